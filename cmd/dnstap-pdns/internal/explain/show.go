package explain

import (
	"cmp"
	"fmt"
	"net/netip"
	"strconv"
	"time"

	"github.com/miekg/dns"

	"github.com/dnstap-pdns/dnstap-pdns/transform"
)

// presented returns a name in presentation form, which is printable ASCII; "" for no name.
func presented(name []byte) string {
	if len(name) == 0 {
		return ""
	}
	s, _, err := dns.UnpackDomainName(name, 0)
	if err != nil {
		return octets(name)
	}
	return s
}

// nameAt returns the name at an offset of a message, or the octets if it cannot be read.
func nameAt(wire []byte, from, to int) string {
	if s, _, err := dns.UnpackDomainName(wire, from); err == nil {
		return s
	}
	return octets(wire[from:to])
}

// labelsOf returns labels as a name, or the octets if they end in a pointer or are cut off.
func labelsOf(b []byte) string {
	if s, _, err := dns.UnpackDomainName(append(b[:len(b):len(b)], 0), 0); err == nil {
		return s
	}
	return octets(b)
}

// longestOctets bounds how many octets are shown, as text and as numbers.
const longestOctets = 96

// octets returns octets as a quoted string.
func octets(b []byte) string {
	shown := b[:min(len(b), longestOctets)]
	s := strconv.QuoteToASCII(string(shown))
	if len(shown) < len(b) {
		s += fmt.Sprintf(" and %d octets more", len(b)-len(shown))
	}
	return s
}

// hexOf returns octets as hexadecimal numbers.
func hexOf(b []byte) string {
	shown := b[:min(len(b), longestOctets)]
	s := fmt.Sprintf("% x", shown)
	if len(shown) < len(b) {
		s += fmt.Sprintf(" and %d more", len(b)-len(shown))
	}
	return s
}

func typeName(t uint16) string { return dns.Type(t).String() }

func timeOf(t transform.Time) string {
	if t == transform.NoTime {
		return ""
	}
	return time.Unix(0, int64(t)).UTC().Format(time.RFC3339Nano)
}

func endpoint(a netip.AddrPort) string {
	if !a.IsValid() {
		return ""
	}
	return netip.AddrPortFrom(a.Addr().Unmap(), a.Port()).String()
}

func exampleOf(v *transform.Verdict) Example {
	x := Example{Name: presented(v.Name), Server: endpoint(v.Server), Time: timeOf(v.Time), Response: v.Response}
	if x.Name != "" {
		x.Type = typeName(v.Type)
	}
	return x
}

// foundBy returns the item for which a rule forbade a record.
func (e *Explainer) foundBy(v *transform.Verdict) Change {
	f := v.Finding
	c := Change{After: "no record", Entry: e.present(f.Entry)}
	switch {
	case v.Message == nil:
		c.What, c.Before = "query name or zone", presented(v.Name)
		return c
	case f.To == 0:
		c.What, c.Before = "zone that the source gave", cmp.Or(presented(v.Message.Zone), asInQuery)
		return c
	}
	c.setOctets(v.Message.Wire, f.From, f.To, nil)
	found := v.Message.Wire[f.From:f.To]
	switch f.Rule {
	case transform.LocalNameInRdata, transform.ResolverInRdata:
		c.What, c.Before = "record data", octets(found)
	case transform.ClientSubnet: // anywhere
		c.What, c.Before = "data", octets(found)
	case transform.ResolverInAddress:
		c.What, c.Before = "record data", octets(found)
		if a, ok := netip.AddrFromSlice(found); ok {
			c.What, c.Before = "address", a.String()
		}
	default:
		c.What, c.Before = "name", nameAt(v.Message.Wire, f.From, f.To)
	}
	return c
}

// setOctets sets the octets of the message that changed, and their replacement.
func (c *Change) setOctets(wire []byte, from, to int, after []byte) {
	c.From, c.To = from, to
	c.BeforeHex, c.AfterHex = hexOf(wire[from:to]), hexOf(after)
}
