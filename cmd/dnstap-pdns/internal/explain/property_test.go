package explain_test

import (
	"net/netip"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/dnstap-pdns/dnstap-pdns/cmd/dnstap-pdns/internal/canary"
	"github.com/dnstap-pdns/dnstap-pdns/transform"
)

// visits is the number of places into which an item is put.
const visits = 12

// TestScrubberAndSearchAgree puts each form of each kind of entry, and similar items that are not
// local, into all places. The scrubber removes exactly the items that the search finds, and these
// are the items that are local by the construction of the test.
func TestScrubberAndSearchAgree(t *testing.T) {
	visited := map[string]int{}
	for _, f := range forms {
		t.Run(f.name, func(t *testing.T) {
			found := map[bool]int{}
			rapid.Check(t, func(rt *rapid.T) { f.check(newGen(rt), found, visited) })
			if found[true] == 0 || found[false] == 0 {
				t.Errorf("forbidden and not: %v", found)
			}
		})
	}
	for _, p := range allPlaces {
		if visited[p.name] == 0 {
			t.Errorf("nothing was ever in place %s", p.name)
		}
	}
}

// check draws an item in this form and puts it into some places.
func (f *form) check(g gen, found map[bool]int, visited map[string]int) {
	k := f.kinds[g.below(len(f.kinds))]
	e := g.entry(k, f.six && (f.plain || g.bool()))
	near := g.below(3) == 0
	x, is := f.item(g, &e, near)
	s := site{keepInside: g.below(4) == 0, keepResolver: g.below(5) == 0, asked: g.bool()}
	s.add(g, &e)
	if err := s.compile(); err != nil {
		g.Fatalf("%+v: %v", e, err)
	}
	fitting := slices.DeleteFunc(slices.Clone(allPlaces), func(p place) bool { return !p.fits(&x) })
	for range min(visits, len(fitting)) {
		p := pick(g, fitting...)
		visited[p.name]++
		m := s.response(g)
		if p.kind == inName && g.bool() {
			m.setQueryName(g, x.labels)
		}
		inChain := p.put(&m, x, g)
		want := is && s.forbids(f, &e, &p, &x) || s.forbidsOctets(&e, &p, &x)
		found[want]++
		m.agree(g, want, inChain, func() {
			g.Logf("%s in %s, near: %v\nentry %+v\nitem %q %q %q %v", f.name, p.name, near, e, x.labels, x.text, x.octets, x.addr)
		})
	}
}

// item draws an item, and reports whether it is local in places that count.
func (f *form) item(g gen, e *entry, near bool) (x content, is bool) {
	if e.isName() {
		x, is = f.write(g, e, netip.Addr{}, near)
	} else {
		a, counts := g.inside(e.prefix), true
		if near {
			a = g.next(e.prefix)
		}
		least := f.least6
		if !e.is6() {
			least = f.least4
		}
		if f.six && !e.is6() {
			a, counts = embed(g, e, a)
		}
		x, is = f.write(g, e, a, near)
		is = is && counts && e.prefix.Bits() >= least
	}
	x.whole = x.whole || !is
	return x, is
}

// fits reports whether an item can be in a place.
func (p *place) fits(x *content) bool {
	switch p.kind {
	case inName:
		return len(x.labels) > 0 && len(wireName(x.labels)) < 256 && !slices.ContainsFunc(x.labels, func(l string) bool { return len(l) > 63 })
	case inText:
		return x.text != ""
	case inOpaque, inRandom:
		return x.octets != "" && (p.room == 0 || len(x.octets) <= p.room) && (p.ends || !x.whole)
	default:
		return x.addr.IsValid() && x.addr.Is6() == p.six
	}
}

// A site is a set of local items.
type site struct {
	keepInside, keepResolver, asked bool

	entries             []entry
	config              transform.Config
	search              canary.Policy
	own, queryOwn       netip.Addr
	subnet, querySubnet netip.Prefix

	policy    *transform.Policy
	forbidden *canary.ForbiddenSearch
}

// add adds an entry to the site.
func (s *site) add(g gen, e *entry) {
	s.entries = append(s.entries, *e)
	switch e.kind {
	case localName, oneLabel:
		s.config.LocalNames = append(s.config.LocalNames, pick(g, e.name, inALabels(e.name)+"."))
		s.search.LocalNames = append(s.search.LocalNames, canary.Name{ALabels: inALabels(e.name), Written: e.name})
	case localNetwork:
		s.config.LocalNetworks = append(s.config.LocalNetworks, e.prefix)
	case resolver, identity, outgoing:
		s.config.Resolvers = append(s.config.Resolvers, e.prefix)
	case ownAddress:
		s.own = e.prefix.Addr()
	case queryAddress:
		s.asked, s.queryOwn = true, e.prefix.Addr()
	case querySubnet:
		s.asked, s.querySubnet = true, e.prefix
	case responseSubnet:
		s.subnet = e.prefix
	case wideSubnet:
		if g.bool() {
			s.subnet = e.prefix
		} else {
			s.asked, s.querySubnet = true, e.prefix
		}
	}
}

// compile makes the policies of the scrubber and the search.
func (s *site) compile() (err error) {
	if !s.own.IsValid() {
		s.own = netip.MustParseAddr("192.0.2.53")
	}
	if !s.queryOwn.IsValid() {
		s.queryOwn = netip.MustParseAddr("192.0.2.54")
	}
	c := &s.config
	c.PairingTimeout, c.TimeResolution, c.Rcodes = 1e9, 1e9, []uint8{0}
	c.KeepResolver, c.KeepLocalNamesInside, c.KeepLookups = s.keepResolver, s.keepInside, true
	s.search.KeepResolver, s.search.KeepInside = s.keepResolver, s.keepInside
	s.search.LocalNetworks, s.search.Resolvers = c.LocalNetworks, c.Resolvers
	s.forbidden = canary.NewForbidden(s.search)
	s.policy, err = transform.NewPolicy(*c)
	return err
}

// response returns a response without records.
func (s *site) response(g gen) response {
	return response{name: []string{g.word(), g.word(), g.word()}, qtype: 1, seed: g.r.Uint64(),
		own: s.own, queryOwn: s.queryOwn, subnet: s.subnet, querySubnet: s.querySubnet, asked: s.asked,
		trailing: pick(g, "", "", g.junk(10)), policy: s.policy, forbidden: s.forbidden}
}

// forbids reports whether an entry counts in a place.
func (s *site) forbids(f *form, e *entry, p *place, x *content) bool {
	switch {
	case e.isName():
		return p.kind != inName || !x.inside || !s.keepInside
	case e.kind == localNetwork:
		return p.kind == inName
	case e.isResolver():
		return !s.keepResolver && (p.kind != inRandom || len(x.octets) != 4)
	case e.isSubnet():
		return p.kind != inOpaque && p.kind != inRandom || f.reverse
	}
	return false // the network is too wide
}

// forbidsOctets reports whether an IPv6 address contains the octets of the entry, in a place that
// also counts as opaque octets.
func (s *site) forbidsOctets(e *entry, p *place, x *content) bool {
	return p.kind == inAddress && !p.only && e.isResolver() && e.single() && !s.keepResolver &&
		strings.Contains(string(x.addr.AsSlice()), string(e.prefix.Addr().AsSlice()))
}

// setQueryName makes the end of a name the query name, if that is not local.
func (m *response) setQueryName(g gen, labels []string) {
	end := labels[g.r.IntN(len(labels)):]
	if len(m.search(wireName(end), nil)) == 0 {
		m.name = end
	}
}

// agree fails unless scrubber, search and want agree.
func (m *response) agree(g gen, want, inChain bool, describe func()) {
	o, hits := m.scrub(), m.input()
	isDrop := o.reason == transform.LocalName || o.reason == transform.ResolverAddress
	removed := o.record != nil && int(o.record.Response[7])+int(o.record.Response[9])+int(o.record.Response[11]) < len(m.records)
	fail := func(format string, args ...any) {
		describe()
		g.Logf("question %+q, records %#v\nscrubber: %v %v, removed: %v\nsearch: %+v", m.name, m.records, o.reason, o.rule, removed, hits)
		g.Fatalf(format, args...)
	}
	switch {
	case !isDrop && o.record == nil:
		fail("dropped for another reason")
	case (len(hits) > 0) != (isDrop || removed):
		fail("scrubber and search differ")
	case (len(hits) > 0) != want:
		fail("both are wrong: want forbidden: %v", want)
	case want && isDrop != inChain:
		fail("dropped: %v; in the answer chain: %v", isDrop, inChain)
	case o.record == nil:
	case len(m.output(o.record)) > 0:
		fail("in the output: %+v", m.output(o.record))
	}
}
