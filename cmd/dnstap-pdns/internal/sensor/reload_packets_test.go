package sensor

import (
	"context"
	"net/netip"
	"testing"

	"github.com/miekg/dns"

	"github.com/dnstap-pdns/dnstap-pdns/fallback/pcap"
	"github.com/dnstap-pdns/dnstap-pdns/transform"
)

// TestWhatACaptureBringsAsItEndsHoldsNoneOfItsResolvers: a capture that a reload takes
// away hands out what it has received before it ends, when the new policy no longer
// names its resolvers. Another address of theirs than the one that asked is known by
// nothing else.
func TestWhatACaptureBringsAsItEndsHoldsNoneOfItsResolvers(t *testing.T) {
	h := start(t, sourceBlock("one", "one.sock")+sinkBlock("sink"))
	reason := make(chan transform.Reason, 1)
	h.mu.Lock()
	src := &packetSource{capture: new(pcap.Source), config: pcap.Config{Name: "span", Resolvers: []netip.Prefix{netip.MustParsePrefix("2001:db8:53::/64")}}}
	src.task = h.start("span", func(ctx context.Context) error {
		<-ctx.Done()
		reason <- h.lastOf(t, "2001:db8:53::2")
		return nil
	})
	h.packets = append(h.packets, src)
	h.mu.Unlock()

	h.reload(t, sourceBlock("one", "one.sock")+sinkBlock("sink"))
	if got := <-reason; got != transform.ResolverAddress {
		t.Errorf("the answer was %v, want %v", got, transform.ResolverAddress)
	}
}

// lastOf is what becomes of a query by one of the resolver's addresses and the answer
// to it, which holds another.
func (h *house) lastOf(t *testing.T, own string) transform.Reason {
	m := new(dns.Msg).SetQuestion("www.example.com.", dns.TypeAAAA)
	m.RecursionDesired = false
	query := pack(t, m)
	m.Response = true
	m.Answer = []dns.RR{&dns.AAAA{Hdr: header("www.example.com.", dns.TypeAAAA), AAAA: netip.MustParseAddr(own).AsSlice()}}
	lane := h.forwarder.Lane("span")
	defer lane.Close()
	lane.Begin()
	defer lane.End()
	said := transform.Message{
		Role: transform.ResolverQuery, Packet: true, Wire: query, QueryTime: 1e18, ResponseTime: transform.NoTime,
		Server: netip.MustParseAddrPort("198.51.100.53:53"), Resolver: netip.MustParseAddrPort("[2001:db8:53::1]:4711"),
	}
	lane.Take(&said)
	said.Role, said.Wire, said.ResponseTime = transform.ResolverResponse, pack(t, m), said.QueryTime+1
	return lane.Take(&said)
}
