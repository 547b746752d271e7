package transform

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/net/publicsuffix"

	"github.com/dnstap-pdns/dnstap-pdns/transform/dnswire"
)

func TestDomainsAreRegisteredDomains(t *testing.T) {
	for name, want := range map[string]string{
		"example.com.":                      "example.com",
		"www.example.com.":                  "example.com",
		"a.b.c.example.co.uk.":              "example.co.uk",
		"4.3.2.1.zen.dnsbl.example.":        "dnsbl.example", // under a TLD that is not listed
		"shop.someone.github.io.":           "someone.github.io",
		"github.io.":                        "github.io", // it has no registered domain
		"co.uk.":                            "co.uk",
		"com.":                              "com",
		".":                                 ".",
		"a.www.ck.":                         "www.ck", // an exception from *.ck
		"a.b.c.ck.":                         "b.c.ck",
		"53.2.0.192.in-addr.arpa.":          "192.in-addr.arpa",
		"192.0.2.53.":                       "192.0.2.53",
		`one\.label.example.com.`:           "example.com",
		`x\.com.`:                           `x\.com`,
		`www.exa\.mple.com.`:                `exa\.mple.com`,
		`\000\255.xn--bcher-kva.com.`:       "xn--bcher-kva.com",
		"::1%label.evil.com.":               "evil.com", // which the public suffix list takes for an address
		"::ffff:192.0.2.1.":                 "2.1",
		strings.Repeat("a.", 125) + "com.":  "a.com",
		strings.Repeat("a", 63) + ".co.uk.": strings.Repeat("a", 63) + ".co.uk",
	} {
		var d DomainCounts
		d.Count(mustPackName(name), ListLookup)
		if diff := cmp.Diff([]DomainCount{{Domain: want, Lookup: 1}}, d.Top(2)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

func TestDomainsAreCountedByWhatForbids(t *testing.T) {
	want := map[Rule]DomainCount{
		ResolverInAddress: {ResolverAddress: 1},
		ResolverInName:    {ResolverAddress: 1},
		ResolverInRdata:   {ResolverAddress: 1},
		ClientSubnet:      {ResolverAddress: 1},
		ListLookup:        {Lookup: 1},
		LocalNameInside:   {LocalNameInside: 1},
	}
	for _, r := range append(Rules(), NoRule) {
		var d DomainCounts
		d.Count(mustPackName("www.example.com"), r)
		var expected []DomainCount
		if c, ok := want[r]; ok {
			c.Domain = "example.com"
			expected = []DomainCount{c}
		}
		if diff := cmp.Diff(expected, d.Top(1), cmp.Transformer("", func(c []DomainCount) string { return fmt.Sprint(c) })); diff != "" {
			t.Errorf("%v (-want +got):\n%s", r, diff)
		}
	}
}

// TestTopDomainsSurviveAFlood counts names of 300,000 domains, among which about one in
// a hundred is in one of two domains that must be reported first.
func TestTopDomainsSurviveAFlood(t *testing.T) {
	var lanes [3]DomainCounts
	random := rand.New(rand.NewPCG(1, 2))
	heavy := []DomainCount{{Domain: "first.example"}, {Domain: "second.example"}}
	for i := range 300_000 {
		d := &lanes[i%len(lanes)]
		switch {
		case i%150 == 0:
			heavy[0].ResolverAddress++
			d.Count(mustPackName(fmt.Sprintf("n%d.first.example", i)), ResolverInAddress)
		case i%220 == 0:
			heavy[1].LocalNameInside++
			d.Count(mustPackName("second.example"), LocalNameInside)
		default:
			d.Count(mustPackName(fmt.Sprintf("x.n%d.example", random.Uint32())), ListLookup)
		}
	}
	var all DomainCounts
	for i := range lanes {
		if n := len(lanes[i].slots); n != maxDomains || len(lanes[i].index) != n {
			t.Errorf("lane %d holds %d domains, %d in its index, want %d", i, n, len(lanes[i].index), maxDomains)
		}
		all.Merge(&lanes[i])
	}
	if n := len(all.slots); n != maxDomains || len(all.index) != n {
		t.Errorf("together they hold %d domains, %d in the index, want %d", n, len(all.index), maxDomains)
	}
	got := all.Top(2)
	for i := range got {
		if got[i].Domain != heavy[i].Domain || got[i].Total() > heavy[i].Total() || got[i].Total() < heavy[i].Total()/2 {
			t.Errorf("number %d: got %+v, want about %+v and no more", i+1, got[i], heavy[i])
		}
	}
}

func TestMergedDomainsAddUp(t *testing.T) {
	var a, b DomainCounts
	a.Count(mustPackName("a.both.example"), ResolverInName)
	a.Count(mustPackName("only-a.example"), ListLookup)
	for range 2 {
		b.Count(mustPackName("b.both.example"), ListLookup)
		b.Count(mustPackName("both.example"), LocalNameInside)
	}
	b.Count(mustPackName("only-b.example"), ListLookup)
	a.Merge(&b)
	want := []DomainCount{
		{Domain: "both.example", ResolverAddress: 1, Lookup: 2, LocalNameInside: 2},
		{Domain: "only-a.example", Lookup: 1},
		{Domain: "only-b.example", Lookup: 1},
	}
	for n := range 5 {
		if diff := cmp.Diff(want[:min(n, len(want))], a.Top(n)); diff != "" {
			t.Errorf("the first %d (-want +got):\n%s", n, diff)
		}
	}
	if got := b.Top(1)[0].ResolverAddress; got != 0 {
		t.Errorf("merging changed what was merged: %d", got)
	}
}

// TestDroppedMessagesAreCountedByDomain takes an answer and an unanswered query that contain
// the resolver's address, and messages that are not counted.
func TestDroppedMessagesAreCountedByDomain(t *testing.T) {
	l := newLane(t, testPolicy(t, func(c *Config) { c.Unanswered = true }))
	own := someResolver.Addr().String()
	l.take(aResponse(asked("WhoAmI.evil.example."), func(d *sketch) { d.dns.Answer = nil }).answer("whoami.evil.example. 1 IN A " + own))
	l.take(aResponse())
	l.take(aResponse(asked("printer.local.")))
	l.take(aQuery(asked("53.2.0.192.in-addr.arpa.")))
	l.pass(2 * time.Minute)
	want := []DomainCount{{Domain: "192.in-addr.arpa", ResolverAddress: 1}, {Domain: "evil.example", ResolverAddress: 1}}
	if diff := cmp.Diff(want, l.Domains().Top(20)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// TestKnownDomainsDoNotAllocate allows the 48 bytes that the public suffix list allocates to
// check that a name is not an address.
func TestKnownDomainsDoNotAllocate(t *testing.T) {
	var d DomainCounts
	name := mustPackName("4.3.2.1.zen.example.co.uk")
	list := testing.AllocsPerRun(100, func() { publicsuffix.PublicSuffix("4.3.2.1.zen.example.co.uk") })
	d.Count(name, ListLookup)
	if got := testing.AllocsPerRun(100, func() { d.Count(name, ListLookup) }); got > list {
		t.Errorf("%v allocations, of which the list makes %v", got, list)
	}
	if got := testing.AllocsPerRun(100, func() { d.Count(name, SpecialUse) }); got != 0 {
		t.Errorf("%v allocations for a rule that is not counted", got)
	}
}

// FuzzDomains compares registered domains with the function of the public suffix list, for
// names that this parses like DNS does, and accepts any octets as a name.
func FuzzDomains(f *testing.F) {
	for _, name := range []string{"www.example.co.uk", "a.b.c.ck", "x.someone.github.io", `a\.b.com`, "com"} {
		f.Add(mustPackName(name))
	}
	f.Add([]byte{})
	f.Add([]byte{63, 1})
	f.Fuzz(func(t *testing.T, name []byte) {
		var d DomainCounts
		d.Count(name, ListLookup)
		if !dnswire.IsName(name) || len(name) == 1 {
			return
		}
		text := shownName(string(name))
		for _, c := range []byte(text) {
			if c != '.' && !isLabelChar(c) {
				return
			}
		}
		want, err := publicsuffix.EffectiveTLDPlusOne(text)
		if err != nil {
			want = text
		}
		if got := d.Top(1)[0].Domain; got != want {
			t.Errorf("%q: got %q, want %q", text, got, want)
		}
	})
}

func TestRegisteredDomain(t *testing.T) {
	for name, want := range map[string]string{
		"example.com": "example.com", "a.b.example.com": "example.com", "www.example.co.uk": "example.co.uk",
		"someone.github.io": "github.io", "x.github.io": "github.io", // of the list's other section
		"a.b.unlisted": "b.unlisted", "x.y.anything.ck": "y.anything.ck", "www.ck": "www.ck",
		"1.2.in-addr.arpa": "2.in-addr.arpa", `a\.b.com`: `a\.b.com`, "1.2.3.4": "3.4",
		".": "", "com": "", "co.uk": "", "anything.ck": "", "unlisted": "", "in-addr.arpa": "",
	} {
		got := ""
		if d := RegisteredDomain(mustPackName(name)); d != nil {
			got = shownName(string(d))
		}
		if got != want {
			t.Errorf("%s: got %q, want %q", name, got, want)
		}
	}
}

func BenchmarkDomains(b *testing.B) {
	for _, domains := range []int{100, 1 << 20} {
		b.Run(fmt.Sprint(domains), func(b *testing.B) {
			b.ReportAllocs()
			var names [1 << 12][]byte
			for i := range names {
				names[i] = mustPackName(fmt.Sprintf("4.3.2.1.zen.n%d.example", i%domains))
			}
			var d DomainCounts
			for i := 0; b.Loop(); i++ {
				d.Count(names[i%len(names)], ListLookup)
			}
		})
	}
}
