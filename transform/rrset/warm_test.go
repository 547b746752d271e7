package rrset

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"strings"
	"testing"

	"github.com/miekg/dns"

	"github.com/dnstap-pdns/dnstap-pdns/transform"
)

// A warmWorld is a model of the Internet for one question: how soon packets verify most of what a
// resolver looks up that has been running for days. Names have a popularity, and each kind of
// record has the TTLs that are common for it.
type warmWorld struct {
	random  *rand.Rand
	tlds    []string
	domains []warmDomain
	address map[string]netip.Addr // by host
}

type warmDomain struct {
	name, tld string
	hosts     []string
	parentTTL uint32 // of the delegation in the zone of the TLD
	ownTTL    uint32 // of the NS RRset in the zone
	hostTTL   uint32 // of the addresses of its hosts in the zone
}

const (
	warmTLDs      = 50
	warmHosters   = 300 // whose hosts serve 70 % of the domains
	warmDomains   = 20_000
	warmMaxTTL    = 86400 // of the resolver's cache
	warmAnswerTTL = 300
	tldTTL        = 172800
)

func newWarmWorld() *warmWorld {
	w := &warmWorld{random: rand.New(rand.NewPCG(1, 2)), address: map[string]netip.Addr{}}
	for i := range warmTLDs {
		w.tlds = append(w.tlds, fmt.Sprintf("tld%d.", i))
	}
	pick := func(ttls ...uint32) uint32 { return ttls[w.random.IntN(len(ttls))] }
	byUse := rand.NewZipf(w.random, 1.5, 1, warmTLDs-1)
	byHoster := rand.NewZipf(w.random, 1.2, 1, warmHosters-1)
	for i := range warmDomains {
		tld := w.tlds[byUse.Uint64()]
		d := warmDomain{
			name: fmt.Sprintf("d%d.%s", i, tld), tld: tld,
			parentTTL: pick(3600, 86400, 172800), ownTTL: pick(3600, 21600, 86400, 172800), hostTTL: pick(300, 3600, 86400),
		}
		if i >= warmHosters && w.random.IntN(100) < 70 {
			d.hosts = w.domains[byHoster.Uint64()].hosts
		} else {
			d.hosts = []string{"ns1." + d.name, "ns2." + d.name}
		}
		w.domains = append(w.domains, d)
	}
	return w
}

// addressOf returns the address of a host.
func (w *warmWorld) addressOf(host string) netip.Addr {
	a, ok := w.address[host]
	if !ok {
		n := len(w.address)
		a = netip.AddrFrom4([4]byte{198, 18 + byte(n>>16), byte(n >> 8), byte(n)})
		w.address[host] = a
	}
	return a
}

func (w *warmWorld) hostsOf(tld string) []string { return []string{"a.nic." + tld, "b.nic." + tld} }

// A warmResolver looks up names, and remembers what it knows until its TTL ends.
type warmResolver struct {
	*warmWorld
	now     int64            // seconds
	expires map[string]int64 // by "owner type"
	own     map[string]bool  // the NS RRset is that of the zone itself
	seen    func(reply)      // nil: nobody captures packets yet
}

func (r *warmResolver) has(key string) bool { return r.expires[key] > r.now }

func (r *warmResolver) keep(key string, ttl uint32) {
	r.expires[key] = r.now + int64(min(ttl, warmMaxTTL))
}

// show builds a reply only if packets are captured.
func (r *warmResolver) show(server netip.Addr, name, answer, authority, additional string) {
	if r.seen != nil {
		r.seen(reply{
			server: server.String(), name: name, answer: answer, authority: authority, additional: additional,
			time: noon + transform.Time(r.now)*second,
		})
	}
}

// records returns an NS RRset, and the addresses of its hosts below a zone.
func (r *warmResolver) records(owner string, hosts []string, zone string, nsTTL, hostTTL uint32) (ns, addresses string) {
	for _, h := range hosts {
		ns += fmt.Sprintf("%s %d NS %s\n", owner, nsTTL, h)
		if dns.IsSubDomain(zone, h) {
			addresses += fmt.Sprintf("%s %d A %s\n", h, hostTTL, r.addressOf(h))
		}
	}
	return ns, addresses
}

// lookUp asks what the resolver does not know, from the root down.
func (r *warmResolver) lookUp(d *warmDomain) {
	name := "www." + d.name
	if r.has(name) {
		return
	}
	r.know(d)
	host := d.hosts[r.random.IntN(len(d.hosts))]
	ns, addresses := r.records(d.name, d.hosts, d.name, d.ownTTL, d.hostTTL)
	r.show(r.addressOf(host), name, fmt.Sprintf("%s %d A 192.0.2.80", name, warmAnswerTTL), ns, addresses)
	r.keep(name, warmAnswerTTL)
	if !r.own[d.name] { // an RRset of the zone itself is not extended (CVE-2012-1033)
		r.own[d.name] = true
		r.keep("NS "+d.name, d.ownTTL)
	}
	if dns.IsSubDomain(d.name, d.hosts[0]) {
		r.keep("A "+d.hosts[0], d.hostTTL)
	}
}

// know makes the resolver know the servers of a domain, and their addresses.
func (r *warmResolver) know(d *warmDomain) {
	inside := dns.IsSubDomain(d.name, d.hosts[0])
	if !r.has("NS "+d.name) || inside && !r.has("A "+d.hosts[0]) {
		r.knowTLD(d.tld)
		ns, glue := r.records(d.name, d.hosts, d.tld, d.parentTTL, d.parentTTL)
		r.show(r.addressOf(r.hostsOf(d.tld)[r.random.IntN(2)]), "www."+d.name, "", ns, glue)
		r.own[d.name] = false
		r.keep("NS "+d.name, d.parentTTL)
		if glue != "" {
			r.keep("A "+d.hosts[0], d.parentTTL)
		}
	}
	if r.has("A " + d.hosts[0]) {
		return
	}
	hoster := r.owner(d.hosts[0])
	r.know(hoster)
	for _, h := range d.hosts {
		r.show(r.addressOf(hoster.hosts[0]), h, fmt.Sprintf("%s %d A %s", h, hoster.hostTTL, r.addressOf(h)), "", "")
	}
	r.keep("A "+d.hosts[0], hoster.hostTTL)
}

// owner returns the domain of a host.
func (r *warmResolver) owner(host string) *warmDomain {
	var i int
	fmt.Sscanf(host[strings.Index(host, ".d")+2:], "%d", &i)
	return &r.domains[i]
}

func (r *warmResolver) knowTLD(tld string) {
	if r.has("NS " + tld) {
		return
	}
	ns, glue := r.records(tld, r.hostsOf(tld), tld, tldTTL, tldTTL)
	r.show(rootServer, tld, "", ns, glue)
	r.keep("NS "+tld, tldTTL)
}

// TestVerifiedShareOfAWarmResolver begins to capture packets when the resolver has been running for
// three days, with and without a root zone file.
func TestVerifiedShareOfAWarmResolver(t *testing.T) {
	const hour, start = 3600, 72 * 3600
	w := newWarmWorld()
	r := &warmResolver{warmWorld: w, expires: map[string]int64{}, own: map[string]bool{}}
	sensors := []*sensor{newSensor(t), newSensor(t)}
	for _, s := range sensors {
		s.delegations.room.limit = 64 << 20
	}
	sensors[1].delegations.Plant(r.seed(t))
	byName := rand.NewZipf(w.random, 1.05, 10, warmDomains-1)
	var before [2]Counts
	for ; r.now < start+24*hour; r.now++ {
		if r.now == start {
			r.seen = func(x reply) {
				record := x.record(t)
				for _, s := range sensors {
					s.Take(record, 0, s.note)
					s.passed = s.passed[:0]
				}
			}
		}
		r.lookUp(&w.domains[byName.Uint64()])
		if r.now < start || r.now%hour != hour-1 {
			continue
		}
		n := (r.now - start) / hour
		for i, s := range sensors {
			now := s.Counts()
			verified, unverified := now.Verified()-before[i].Verified(), now.By[Unverified]-before[i].By[Unverified]
			share := 100 * float64(verified) / float64(verified+unverified)
			zones, hosts := s.delegations.Len()
			t.Logf("hour %d, with a root zone file: %v: %.1f %% of %d RRsets; %d zones, %d hosts, %d octets",
				n+1, i == 1, share, verified+unverified, zones, hosts, s.delegations.Octets())
			if want := map[int64]float64{0: 60, 5: 85, 23: 99}[n]; share < want {
				t.Errorf("want %v %%", want)
			}
			before[i] = now
		}
	}
}

// seed returns the root zone.
func (r *warmResolver) seed(t *testing.T) *Seed {
	text := rootZone
	for _, tld := range r.tlds {
		ns, glue := r.records(tld, r.hostsOf(tld), ".", tldTTL, tldTTL)
		text += ns + glue
	}
	seed, err := ReadSeed(strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	return seed
}
