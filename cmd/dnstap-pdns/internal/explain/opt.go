package explain

import (
	"fmt"
	"strings"

	"github.com/miekg/dns"
)

// optAt lists the contents of the OPT record at these octets of a message.
func optAt(wire []byte, from, to int) string {
	rr, _, err := dns.UnpackRR(wire, from)
	opt, ok := rr.(*dns.OPT)
	if err != nil || !ok {
		return octets(wire[from:to])
	}
	all := []string{fmt.Sprintf("UDP size %d", opt.UDPSize())}
	if opt.Do() {
		all = append(all, "DO")
	}
	for _, o := range opt.Option {
		all = append(all, option(o))
	}
	return strings.Join(all, ", ")
}

// option returns one EDNS option as text. Values that are neither numbers nor hexadecimal are
// escaped.
func option(o dns.EDNS0) string {
	switch o := o.(type) {
	case *dns.EDNS0_SUBNET:
		return fmt.Sprintf("client subnet %v/%d", o.Address, o.SourceNetmask)
	case *dns.EDNS0_COOKIE:
		return "cookie " + o.Cookie
	case *dns.EDNS0_NSID:
		return "NSID " + o.Nsid
	case *dns.EDNS0_PADDING:
		return fmt.Sprintf("padding of %d octets", len(o.Padding))
	case *dns.EDNS0_EDE:
		return fmt.Sprintf("extended error %d %s", o.InfoCode, octets([]byte(o.ExtraText)))
	case *dns.EDNS0_TCP_KEEPALIVE:
		return "TCP keepalive"
	case *dns.EDNS0_LOCAL:
		return fmt.Sprintf("option %d %s", o.Code, octets(o.Data))
	}
	return fmt.Sprintf("option %d %s", o.Option(), octets([]byte(o.String())))
}
