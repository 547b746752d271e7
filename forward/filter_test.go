package forward

import (
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/miekg/dns"
	"pgregory.net/rapid"

	"github.com/dnstap-pdns/dnstap-pdns/forward/nmsg"
	"github.com/dnstap-pdns/dnstap-pdns/transform"
)

// packed returns a name in wire form.
func packed(t testing.TB, name string) []byte {
	t.Helper()
	b := make([]byte, 255)
	n, err := dns.PackDomainName(dns.Fqdn(name), b, 0, nil, false)
	if err != nil {
		t.Fatal(err)
	}
	return b[:n]
}

func TestTheFirstRuleThatAppliesFilters(t *testing.T) {
	all := Filter{Names: []string{"example.com", "Example.NET."}, ExceptNames: []string{"mail.example.com"}, Types: []uint16{1, 28}, RCodes: []uint16{0, 3}}
	for _, c := range []struct {
		filter  Filter
		name    string
		typ     uint16
		rcode   uint8
		isQuery bool
		want    FilterRule
	}{
		{Filter{}, "example.org", 16, 5, true, accepted},
		{all, "example.com", 1, 0, false, accepted},
		{all, "www.example.net", 28, 3, false, accepted},
		{all, "com", 1, 0, false, ByNames},
		{all, "badexample.com", 1, 0, false, ByNames},
		{all, "example.com.evil.example", 1, 0, false, ByNames},
		{all, "example.org", 16, 5, true, ByNames},
		{all, "mail.example.com", 1, 0, false, ByExceptNames},
		{all, "a.mail.example.com", 16, 5, true, ByExceptNames},
		{all, "hotmail.example.com", 1, 0, false, accepted},
		{all, "example.com", 16, 5, true, ByTypes},
		{all, "example.com", 1, 5, false, ByRCodes},
		{all, "example.com", 1, 0, true, ByRCodes},
		{Filter{Names: []string{"."}}, "example.com", 1, 0, false, accepted},
		{Filter{ExceptNames: []string{"."}}, ".", 1, 0, false, ByExceptNames},
		{Filter{Names: []string{"com"}}, ".", 1, 0, false, ByNames},
	} {
		f, err := newFilter(&c.filter)
		if err != nil {
			t.Fatal(err)
		}
		r := &transform.Record{Name: packed(t, c.name), Type: c.typ, Rcode: c.rcode, HasResponse: !c.isQuery}
		if got := f.judge(r); got != c.want {
			t.Errorf("%s, type %d, rcode %d, %+v: %v, want %v", c.name, c.typ, c.rcode, c.filter, got, c.want)
		}
	}
}

func TestAFilterWithAnInvalidNameIsRefused(t *testing.T) {
	c := testSink("a")
	c.Filter.ExceptNames = []string{strings.Repeat("x", 64) + ".example"}
	r := newRig(t, Live)
	if err := r.Apply(r.policy, []SinkConfig{c}); err == nil || !strings.Contains(err.Error(), `sink "a": except_names: "xxx`) {
		t.Errorf("got %v", err)
	}
}

// TestSuffixesMatchAsMiekgDoes compares with another implementation.
func TestSuffixesMatchAsMiekgDoes(t *testing.T) {
	name := rapid.Map(rapid.SliceOfN(rapid.SampledFrom([]string{"a", "b", "ab", `\000`, `\.a`, "\\200"}), 0, 4), func(labels []string) string {
		return dns.Fqdn(strings.Join(labels, "."))
	})
	rapid.Check(t, func(rt *rapid.T) {
		names, of := rapid.SliceOfN(name, 1, 4).Draw(rt, "names"), name.Draw(rt, "name")
		s, err := newSuffixes(names)
		if err != nil {
			rt.Fatal(err)
		}
		want := slices.ContainsFunc(names, func(n string) bool { return dns.IsSubDomain(n, of) })
		if got := s.match(packed(t, of)); got != want {
			rt.Fatalf("%q below %q: %v, want %v", of, names, got, want)
		}
	})
}

func TestMalformedNamesMatchNothing(t *testing.T) {
	s, err := newSuffixes([]string{"a"})
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"", "\x05a", "\xff", "\x01", "\x01a", strings.Repeat("\x01b", 200)} {
		if s.match([]byte(name)) {
			t.Errorf("%q matches", name)
		}
	}
}

// A countingFormat counts the records that it encodes.
type countingFormat struct {
	NMSG
	encoded *int
}

func (f countingFormat) Append(dst []byte, r *transform.Record, ids nmsg.IDs) ([]byte, error) {
	*f.encoded++
	return f.NMSG.Append(dst, r, ids)
}

func TestARecordThatNoSinkTakesIsNotEncoded(t *testing.T) {
	encoded := 0
	a, b := testSink("a"), testSink("b")
	a.Format, b.Format = countingFormat{encoded: &encoded}, countingFormat{encoded: &encoded}
	a.Filter.Names, b.Filter.Types = []string{"lane0"}, []uint16{1}
	r := newRig(t, Live, a, b)
	l := r.Lane("source")
	burst(l, 0, 0, 1, 0) // for both
	burst(l, 1, 1, 1, 0) // for b
	if encoded != 2 {
		t.Errorf("2 records were encoded %d times", encoded)
	}
	other := testRecord(1, 2, 0)
	other.Type = 28
	l.Begin()
	l.record(other)
	l.End()
	if encoded != 2 {
		t.Error("a record was encoded that no sink takes")
	}
	for name, want := range map[string]FilterCounts{"a": {ByNames: 2}, "b": {ByTypes: 1}} {
		if s := r.ledgerOf(name); s.Offered != 3 || s.Filtered != want || s.Offered != s.Sum() {
			t.Errorf("sink %s: %+v", name, s)
		}
	}
}

func TestAReloadOfTheFilterLosesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := testSink("a")
		r := newRig(t, Live, c)
		r.fake("a").fail(failsOnce, failsOnce)
		stop := r.run()
		l := r.Lane("source")
		burst(l, 0, 0, 100, 300)
		edition := r.sinks[0].current().edition
		c.Filter = Filter{Names: []string{"lane0"}}
		r.mustApply(t, c)
		burst(l, 0, 100, 100, 300)
		burst(l, 1, 200, 100, 300)
		time.Sleep(time.Minute)
		l.Close()
		if err := stop(); err != nil {
			t.Error(err)
		}
		if s := account(t, r, "a", 0); s.Delivered != 200 || s.Filtered != (FilterCounts{ByNames: 100}) {
			t.Errorf("%+v", s)
		}
		if now := r.sinks[0].current().edition; now != edition {
			t.Errorf("edition %d after %d: batches made before the reload had another transport", now, edition)
		}
	})
}

func TestFilterRulesHaveNamesAndMeanings(t *testing.T) {
	seen := map[string]bool{}
	for _, r := range FilterRules() {
		if r.String() == "" || r.Meaning() == "" || seen[r.String()] {
			t.Errorf("rule %d: %q, %q", r, r.String(), r.Meaning())
		}
		seen[r.String()] = true
	}
	if len(seen) != int(numFilterRules) || accepted.String() != "unknown" || accepted.Meaning() != "" {
		t.Errorf("%d rules", len(seen))
	}
}

func BenchmarkFilter(b *testing.B) {
	f, err := newFilter(&Filter{Names: []string{"example.com", "example.net", "example.org"}, ExceptNames: []string{"mail.example.com"},
		Types: []uint16{1, 28}, RCodes: []uint16{0}})
	if err != nil {
		b.Fatal(err)
	}
	r := &transform.Record{Name: packed(b, "www.sub.example.com"), Type: 28, HasResponse: true}
	b.ReportAllocs()
	for b.Loop() {
		if f.judge(r) != accepted {
			b.Fatal("filtered")
		}
	}
}
