package lab

import (
	"errors"
	"maps"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/miekg/dns"
)

// whoAmIZone is served by WhoAmI only. Zones.Check rejects an answer with an address of the
// asker: the zone file has another TXT record, and no A or AAAA record, for each name.
const whoAmIZone = "whoami.com"

var whoAmIAddresses = []string{"203.0.113.98", "2001:db8:113::98"}

// WhoAmI is the server of whoami.com. It answers A, AAAA and TXT queries for the names below
// it with the address that first asked for the same subject, which is the part of the first
// label after its last hyphen: again-n1 has the subject n1. The answer to A is empty if that
// is an IPv6 address, and to AAAA if it is an IPv4 address.
type WhoAmI struct {
	zone *zone

	mu     sync.Mutex
	askers map[string]netip.Addr // by subject
}

// StartWhoAmI starts the server of whoami.com, which ends with the test.
func (w *World) StartWhoAmI(t testing.TB) *WhoAmI {
	t.Helper()
	z, err := loadZone(whoAmIZone)
	if err != nil {
		t.Fatal(err)
	}
	s := &WhoAmI{zone: z, askers: make(map[string]netip.Addr)}
	w.AddAddresses(t, whoAmIAddresses...)
	for _, a := range whoAmIAddresses {
		at := netip.MustParseAddr(a)
		w.Zones.byServer[at] = []*zone{z}
		serve(t, whoAmIZone, w.ListenUDP(t, netip.AddrPortFrom(at, 53)), s)
	}
	return s
}

// serve answers queries at conn until the test ends.
func serve(t testing.TB, zone string, conn net.PacketConn, h dns.Handler) {
	t.Helper()
	started, ended := make(chan struct{}), make(chan error, 1)
	server := &dns.Server{PacketConn: conn, Handler: h, NotifyStartedFunc: func() { close(started) }}
	go func() { ended <- server.ActivateAndServe() }()
	select {
	case <-started:
	case err := <-ended:
		t.Fatalf("serve %s: %v", zone, err)
	}
	t.Cleanup(func() {
		if err := errors.Join(server.Shutdown(), <-ended); err != nil {
			t.Errorf("serve %s: %v", zone, err)
		}
	})
}

// Askers returns the addresses that were the first to ask for any subject, each once, in order.
func (s *WhoAmI) Askers() []netip.Addr {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Compact(slices.SortedFunc(maps.Values(s.askers), netip.Addr.Compare))
}

// ServeDNS answers one query as WhoAmI describes. It implements dns.Handler.
func (s *WhoAmI) ServeDNS(w dns.ResponseWriter, query *dns.Msg) {
	answer := new(dns.Msg).SetReply(query)
	answer.Authoritative = true
	q := query.Question[0]
	name := dns.CanonicalName(q.Name)
	answer.Answer = s.zone.nodes[name][q.Qtype]
	if s.zone.nodes[name] == nil {
		from := netip.MustParseAddrPort(w.RemoteAddr().String()).Addr()
		answer.Answer = addressAnswer(q, s.asker(name, from))
	}
	if answer.Answer == nil {
		answer.Ns = []dns.RR{s.zone.soa()}
	}
	w.WriteMsg(answer) // if this fails, the resolver repeats the query
}

// asker returns the address that first asked for the subject of the name: from, if none did
// before.
func (s *WhoAmI) asker(name string, from netip.Addr) netip.Addr {
	label, _, _ := strings.Cut(name, ".")
	subject := label[strings.LastIndex(label, "-")+1:]
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, ok := s.askers[subject]; !ok {
		s.askers[subject] = from
	}
	return s.askers[subject]
}

// addressAnswer returns the address as a record of the queried type, or nil if that type
// cannot contain it.
func addressAnswer(q dns.Question, a netip.Addr) []dns.RR {
	h := dns.RR_Header{Name: q.Name, Rrtype: q.Qtype, Class: q.Qclass, Ttl: 60}
	switch {
	case q.Qtype == dns.TypeTXT:
		return []dns.RR{&dns.TXT{Hdr: h, Txt: []string{a.String()}}}
	case q.Qtype == dns.TypeA && a.Is4():
		return []dns.RR{&dns.A{Hdr: h, A: a.AsSlice()}}
	case q.Qtype == dns.TypeAAAA && a.Is6():
		return []dns.RR{&dns.AAAA{Hdr: h, AAAA: a.AsSlice()}}
	}
	return nil
}
