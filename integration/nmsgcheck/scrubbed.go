package nmsgcheck

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"

	"github.com/miekg/dns"
)

const checksumAbsent = 1

// CheckScrubbed returns all deviations of a record from the default policy: resolver address,
// port and ID are zero, packets are synthesised, names are lowercase, there is no OPT, header
// bits are cleared, times are whole seconds. It also reports contradictions between parts of the
// record. It does not check which fields a dnstap has, because Decode does.
func (r Record) CheckScrubbed() error {
	var wrong []error
	note := func(bad bool, format string, args ...any) {
		if bad {
			wrong = append(wrong, fmt.Errorf(format, args...))
		}
	}
	note(r.Name != strings.ToLower(r.Name), "name %s is not lowercase", r.Name)
	note(r.Zone != strings.ToLower(r.Zone), "zone %s is not lowercase", r.Zone)
	note(r.Payload.Time.Nanosecond() != 0, "payload time %s", r.Payload.Time)
	if r.Response != nil {
		note(!r.Response.Response, "response without QR")
		note(r.Response.Rcode != r.Rcode, "rcode %d, its response has %d", r.Rcode, r.Response.Rcode)
		r.checkMessage(r.Response, note)
	}
	if r.Exchange != nil {
		r.checkExchange(note)
	}
	if r.Packets != nil {
		r.checkPackets(note)
	}
	if r.Tap != nil {
		r.checkTap(note)
	}
	if len(wrong) > 0 {
		return fmt.Errorf("%s %s %s from %s: %w", r.TypeName, r.Name, dns.TypeToString[r.Type], r.Server, errors.Join(wrong...))
	}
	return nil
}

func (r Record) checkMessage(m *dns.Msg, note func(bool, string, ...any)) {
	want := dns.Question{Name: r.Name, Qtype: r.Type, Qclass: r.Class}
	note(len(m.Question) != 1 || m.Question[0] != want, "question %v, record has %v", m.Question, want)
	note(m.Id != 0, "DNS ID %d", m.Id)
	note(m.RecursionDesired || m.AuthenticatedData || m.CheckingDisabled || m.Zero, "header bits %+v", m.MsgHdr)
	note(m.IsEdns0() != nil, "OPT")
	for _, section := range [][]dns.RR{m.Answer, m.Ns, m.Extra} {
		for _, rr := range section {
			note(rr.Header().Name != strings.ToLower(rr.Header().Name), "owner %s is not lowercase", rr.Header().Name)
		}
	}
}

// zeroedResolver returns the address of the resolver in a scrubbed record: the unspecified address
// of the server's family.
func (r Record) zeroedResolver() netip.Addr {
	if r.Server.Is6() {
		return netip.IPv6Unspecified()
	}
	return netip.IPv4Unspecified()
}

func (r Record) checkExchange(note func(bool, string, ...any)) {
	note(r.Resolver != r.zeroedResolver(), "resolver %s", r.Resolver)
	note(r.ResolverPort != 0, "resolver's port %d", r.ResolverPort)
	note(r.ServerPort != 53, "server's port %d", r.ServerPort)
	if r.Query != nil {
		r.checkMessage(r.Query, note)
		note(r.Query.Response, "query with QR")
		note(len(r.Query.Answer)+len(r.Query.Ns)+len(r.Query.Extra) > 0, "query with records")
	}
	if !r.QueryTime.IsZero() {
		note(!r.QueryTime.Equal(r.Payload.Time), "query time %s, payload time %s", r.QueryTime, r.Payload.Time)
	}
	if r.Response != nil {
		note(r.ResponseTime.Nanosecond() != 0, "response time %s", r.ResponseTime)
		note(r.ResponseTime.Before(r.QueryTime), "response %s before query %s", r.ResponseTime, r.QueryTime)
	}
}

func (r Record) checkPackets(note func(bool, string, ...any)) {
	note(r.ID != 0, "ID %d", r.ID)
	note(!r.Zeroed, "resolver_address_zeroed is not set")
	note(r.Checksum != checksumAbsent, "udp_checksum %d", r.Checksum)

	kind := map[[2]bool]uint64{{true, true}: 1, {true, false}: 2, {false, true}: 7}[[2]bool{r.Query != nil, r.Response != nil}]
	note(r.Kind != kind, "type %d, with query %t and response %t", r.Kind, r.Query != nil, r.Response != nil)

	server, zeroedResolver := netip.AddrPortFrom(r.Server, r.ServerPort), netip.AddrPortFrom(r.zeroedResolver(), 0)
	if r.QueryPacket != nil {
		checkPacket(r.QueryPacket, zeroedResolver, server, note)
	}
	if r.ResponsePacket != nil {
		checkPacket(r.ResponsePacket, server, zeroedResolver, note)
	}
}

func (r Record) checkTap(note func(bool, string, ...any)) {
	family := uint64(1)
	if r.Server.Is6() {
		family = 2
	}
	note(r.Family != family, "socket_family %d, server %s", r.Family, r.Server)
	note(r.Protocol != 1 && r.Protocol != 2, "socket_protocol %d", r.Protocol)
	note(r.Query != nil && r.QueryTime.IsZero(), "a query without its time")
	if r.QueryTime.IsZero() {
		note(!r.ResponseTime.Equal(r.Payload.Time), "response time %s, payload time %s", r.ResponseTime, r.Payload.Time)
	}
}

func checkPacket(p *Packet, src, dst netip.AddrPort, note func(bool, string, ...any)) {
	note(p.Src != src || p.Dst != dst, "packet from %s to %s", p.Src, p.Dst)
	note(p.HopLimit != 64, "hop limit %d", p.HopLimit)
	note(!p.HeaderOK, "IPv4 header checksum is wrong")
	note(p.UDPChecksum != 0, "UDP checksum %#04x", p.UDPChecksum)
}
