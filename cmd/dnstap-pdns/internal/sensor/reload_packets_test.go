package sensor

import (
	"context"
	"net/netip"
	"testing"

	"github.com/miekg/dns"

	"github.com/dnstap-pdns/dnstap-pdns/fallback/pcap"
	"github.com/dnstap-pdns/dnstap-pdns/transform"
)

// TestResolversOfARemovedCaptureStayForbiddenUntilItEnds removes a capture by a reload. The
// capture still delivers what it received, although the new policy does not contain its
// resolvers. Those of their addresses that sent no query are in the old policy only.
func TestResolversOfARemovedCaptureStayForbiddenUntilItEnds(t *testing.T) {
	h := start(t, sourceBlock("one", "one.sock")+sinkBlock("sink"))
	reason := make(chan transform.Reason, 1)
	h.mu.Lock()
	src := &packetSource{capture: new(pcap.Source), config: pcap.Config{Name: "span", Resolvers: []netip.Prefix{netip.MustParsePrefix("2001:db8:53::/64")}}}
	src.task = h.start("span", func(ctx context.Context) error {
		<-ctx.Done()
		reason <- h.judgeAnswerWith(t, "2001:db8:53::2")
		return nil
	})
	h.packets = append(h.packets, src)
	h.mu.Unlock()

	h.reload(t, sourceBlock("one", "one.sock")+sinkBlock("sink"))
	if got := <-reason; got != transform.ResolverAddress {
		t.Errorf("the answer was %v, want %v", got, transform.ResolverAddress)
	}
}

// judgeAnswerWith returns the reason for which a response is dropped. One address of the resolver
// sent its query, and it contains the address own.
func (h *testSensor) judgeAnswerWith(t *testing.T, own string) transform.Reason {
	m := new(dns.Msg).SetQuestion("www.example.com.", dns.TypeAAAA)
	m.RecursionDesired = false
	query := pack(t, m)
	m.Response = true
	m.Answer = []dns.RR{&dns.AAAA{Hdr: header("www.example.com.", dns.TypeAAAA), AAAA: netip.MustParseAddr(own).AsSlice()}}
	lane := h.forwarder.Lane("span")
	defer lane.Close()
	lane.Begin()
	defer lane.End()
	message := transform.Message{
		Role: transform.ResolverQuery, Packet: true, Wire: query, QueryTime: 1e18, ResponseTime: transform.NoTime,
		Server: netip.MustParseAddrPort("198.51.100.53:53"), Resolver: netip.MustParseAddrPort("[2001:db8:53::1]:4711"),
	}
	lane.Take(&message)
	message.Role, message.Wire, message.ResponseTime = transform.ResolverResponse, pack(t, m), message.QueryTime+1
	return lane.Take(&message)
}
