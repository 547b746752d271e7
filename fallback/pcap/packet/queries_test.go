package packet

import (
	"net/netip"
	"slices"
	"testing"

	"github.com/miekg/dns"
)

// clientQuestion is a query as a client sends it.
func clientQuestion(t testing.TB) []byte {
	return packed(t, new(dns.Msg).SetQuestion("www.example.com.", dns.TypeA))
}

func TestQueriesThatAreNotOutwardAreCounted(t *testing.T) {
	other := netip.MustParseAddr("192.0.2.54") // a resolver that is not listed
	q, a := questionWire(t, 1), answerWire(t, 1)
	for name, tt := range map[string]struct {
		packet            []byte
		unlisted, clients uint64
	}{
		"an unlisted resolver":         {udpPacket(t, queryFlow(other, server4), q), 1, 0},
		"its response":                 {udpPacket(t, queryFlow(other, server4).back(), a), 0, 0},
		"a listed resolver":            {udpPacket(t, queryFlow(resolver4, server4), q), 0, 0},
		"a client":                     {udpPacket(t, queryFlow(client4, resolver4), clientQuestion(t)), 0, 1},
		"a client of another resolver": {udpPacket(t, queryFlow(client4, server4), clientQuestion(t)), 0, 1},
		"to a listed resolver":         {udpPacket(t, queryFlow(client4, resolver4), q), 0, 0},
		"on loopback":                  {udpPacket(t, queryFlow(netip.MustParseAddr("127.0.0.1"), netip.MustParseAddr("127.0.0.53")), clientQuestion(t)), 0, 0},
		"too short":                    {udpPacket(t, queryFlow(other, server4), q[:2]), 0, 0},
	} {
		d := New(testConfig)
		dissect(d, tt.packet)
		s := d.Stats().Queries
		var senders []Sender
		if tt.unlisted > 0 {
			senders = []Sender{{other, tt.unlisted}}
		}
		if s.Unlisted != tt.unlisted || s.Clients != tt.clients || !slices.Equal(s.Senders.All(), senders) {
			t.Errorf("%s: got %+v", name, s)
		}
	}
}

// addr returns the n-th address of 192.0.2.0/24.
func addr(n int) netip.Addr { return netip.AddrFrom4([4]byte{192, 0, 2, byte(n)}) }

func TestSendersKeepThoseThatSendMost(t *testing.T) {
	var s TopSenders
	for range 100 {
		s.Add(addr(1), 1)
	}
	for n := range 200 {
		s.Add(addr(n), 1)
		s.Add(addr(2), 1)
	}
	all := s.All()
	if len(all) != maxSenders || all[0] != (Sender{addr(2), 201}) || all[1] != (Sender{addr(1), 101}) {
		t.Errorf("got %v", all)
	}
	if n := testing.AllocsPerRun(100, func() { s.Add(addr(3), 1) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func TestSendersAreMerged(t *testing.T) {
	var a, b QueryStats
	a.Senders.Add(addr(1), 2)
	b.Senders.Add(addr(1), 1)
	b.Senders.Add(addr(2), 4)
	a.add(&b)
	if got, want := a.Senders.All(), []Sender{{addr(2), 4}, {addr(1), 3}}; !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

func TestQueriesThatAreNotOutwardDoNotAlloc(t *testing.T) {
	var sink countingSink
	for name, p := range map[string][]byte{
		"unlisted": udpPacket(t, queryFlow(client4, server4), questionWire(t, 1)),
		"client's": udpPacket(t, queryFlow(client4, resolver4), clientQuestion(t)),
	} {
		d := New(testConfig)
		if n := testing.AllocsPerRun(100, func() { d.Frame(raw, &CapturedPacket{Data: p, Length: len(p), Time: at}, &sink) }); n != 0 {
			t.Errorf("%s: %v allocations", name, n)
		}
	}
}
