package lab

import (
	"fmt"
	"net/netip"
	"slices"
	"sync"
	"testing"

	"github.com/miekg/dns"
)

const (
	liarZone    = "liar.com"
	liarAddress = "203.0.113.97"
)

// Liar is the server of liar.com. To each of its answers it adds records of zones that it does not
// serve: addresses and names of others, delegations of others to itself, and addresses of other
// zones' servers that are its own. All of them are false.
type Liar struct {
	zones *Zones

	mu     sync.Mutex
	added  int // answers with forged records
	forged map[string]bool
}

// StartLiar starts the server of liar.com, which ends with the test. It answers over UDP.
func (w *World) StartLiar(t testing.TB) *Liar {
	t.Helper()
	z, err := loadZone(liarZone)
	if err != nil {
		t.Fatal(err)
	}
	at := netip.MustParseAddr(liarAddress)
	w.AddAddresses(t, liarAddress)
	w.Zones.byServer[at] = []*zone{z}
	l := &Liar{zones: w.Zones, forged: map[string]bool{}}
	serve(t, liarZone, w.ListenUDP(t, netip.AddrPortFrom(at, 53)), l)
	return l
}

// Forged reports whether the server has sent this record, which is false. The TTL does not
// matter.
func (l *Liar) Forged(rr dns.RR) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.forged[content(rr)]
}

// Len returns the number of different forged records.
func (l *Liar) Len() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.forged)
}

// content returns the text of a record without its TTL.
func content(rr dns.RR) string {
	rr = dns.Copy(rr)
	rr.Header().Ttl = 0
	rr.Header().Name = dns.CanonicalName(rr.Header().Name)
	return rr.String()
}

// ServeDNS answers one query truthfully, and adds forged records. It implements dns.Handler.
func (l *Liar) ServeDNS(w dns.ResponseWriter, query *dns.Msg) {
	q := query.Question[0]
	truth := l.zones.Lookup(netip.MustParseAddr(liarAddress), dns.CanonicalName(q.Name), q.Qtype)
	answer := new(dns.Msg).SetRcode(query, truth.Rcode)
	answer.Authoritative = true
	answer.Answer, answer.Ns = slices.Clone(truth.Answer), slices.Clone(truth.Authority)
	l.forge(answer)
	w.WriteMsg(answer) // if this fails, the resolver repeats the query
}

// forge adds records to each section of an answer.
func (l *Liar) forge(answer *dns.Msg) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.added++
	add := func(to *[]dns.RR, rr dns.RR) {
		*to = append(*to, rr)
		l.forged[content(rr)] = true
	}
	for _, host := range []string{fmt.Sprintf("forged%d.shop.com.", l.added), "xliar.com."} { // one ends like liar.com
		add(&answer.Answer, forgedAddress(host))
	}
	for _, zone := range []string{".", "com.", "net.", "shop.com.", "hoster.net.", fmt.Sprintf("forged%d.com.", l.added)} {
		add(&answer.Ns, forgedServer(zone))
	}
	for _, host := range []string{"a.root-servers.net.", "a.gtld.net.", "ns1.hoster.net.", "www.bank.com."} {
		add(&answer.Extra, forgedAddress(host))
	}
}

func forgedAddress(host string) dns.RR {
	h := dns.RR_Header{Name: host, Rrtype: dns.TypeA, Class: dns.ClassINET, Ttl: 86400}
	return &dns.A{Hdr: h, A: netip.MustParseAddr(liarAddress).AsSlice()}
}

func forgedServer(zone string) dns.RR {
	h := dns.RR_Header{Name: zone, Rrtype: dns.TypeNS, Class: dns.ClassINET, Ttl: 86400}
	return &dns.NS{Hdr: h, Ns: "ns1." + liarZone + "."}
}
