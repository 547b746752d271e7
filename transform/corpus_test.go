package transform

import (
	"bufio"
	"compress/gzip"
	"fmt"
	"maps"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/miekg/dns"

	"github.com/dnstap-pdns/dnstap-pdns/transform/dnswire"
	"github.com/dnstap-pdns/dnstap-pdns/transform/dnswire/wiretest"
)

// A corpusSource is the names of one list.
type corpusSource struct {
	list  string
	names []string
}

// corpusLists are the files in testdata/corpus.
var corpusLists = []string{
	"publicsuffix", "spamassassin", "go-trafilatura", "go-readability", "goose", "go-useragent", "miniflux", "lego",
}

func readCorpus(t *testing.T) []corpusSource {
	t.Helper()
	var all []corpusSource
	for _, list := range corpusLists {
		f, err := os.Open(filepath.Join("testdata", "corpus", list+".txt.gz"))
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		z, err := gzip.NewReader(f)
		if err != nil {
			t.Fatal(err)
		}
		s := corpusSource{list: list}
		lines := bufio.NewScanner(z)
		for lines.Scan() {
			s.names = append(s.names, lines.Text())
		}
		if err := lines.Err(); err != nil {
			t.Fatal(err)
		}
		all = append(all, s)
	}
	return append(all, corpusSource{"captures", captureNames(t)})
}

// captureNames returns the query names, owners and targets in the captures.
func captureNames(t *testing.T) []string {
	seen := map[string]bool{}
	for _, capture := range captures {
		for _, m := range loadCapture(t, capture) {
			var d dns.Msg
			if d.Unpack(m.Wire) != nil {
				continue // invalid names of hostile servers
			}
			for _, q := range d.Question {
				seen[q.Name] = true
			}
			for _, r := range slices.Concat(d.Answer, d.Ns, d.Extra) {
				seen[r.Header().Name] = true
				for _, name := range wiretest.NamesOf(r) {
					seen[name] = true
				}
			}
		}
	}
	names := map[string]bool{}
	for name := range seen {
		names[strings.ToLower(strings.TrimSuffix(name, "."))] = true
	}
	return slices.Sorted(maps.Keys(names))
}

// corpusPolicy forbids a name and networks that no operator in the corpus owns.
func corpusPolicy(t *testing.T) *Policy {
	return testPolicy(t, func(c *Config) {
		c.LocalNames = []string{"univ.edu"}
		c.LocalNetworks = []netip.Prefix{netip.MustParsePrefix("198.18.0.0/16"), netip.MustParsePrefix("10.0.0.0/8")}
		c.Resolvers = append(single(corpusResolver), netip.MustParsePrefix("2001:db8:53::/48"))
		c.LookupZones = DefaultLookupZones()
		c.RootServers = RootServers()
	})
}

var corpusResolver = netip.MustParseAddr("198.18.5.53")

// trueFindings are the names of the corpus that must be dropped.
var trueFindings = map[string]Rule{
	// The Public Suffix List holds special-use names.
	"home.arpa": SpecialUse,
	"onion":     SpecialUse,

	// Rules of mail filters hold names in lists.
	"_dkimdomain_._vouch.dwl.spamhaus.org": ListLookup,
	"activationcode.r.mail-abuse.com":      ListLookup,
	"bl.score.senderscore.com":             ListLookup,

	// The isolated DNS tree of the captures has special-use names.
	"a.fwd.test":     SpecialUse,
	"b.fwd.test":     SpecialUse,
	"c.fwd.test":     SpecialUse,
	"fwd.test":       SpecialUse,
	"h.fwd.test":     SpecialUse,
	"host.local":     SpecialUse,
	"local":          SpecialUse,
	"localhost":      SpecialUse,
	"nobody.invalid": SpecialUse,
	"ns.fwd.test":    SpecialUse,
	"nx.fwd.test":    SpecialUse,
	"printer.local":  SpecialUse,
	"x.home.arpa":    SpecialUse,

	// It has reverse names of private networks.
	"10.in-addr.arpa":        LocalNetwork,
	"1.10.in-addr.arpa":      LocalNetwork,
	"9.10.in-addr.arpa":      LocalNetwork,
	"2.1.10.in-addr.arpa":    LocalNetwork,
	"3.2.1.10.in-addr.arpa":  LocalNetwork,
	"9.9.9.10.in-addr.arpa":  LocalNetwork,
	"168.192.in-addr.arpa":   SpecialUse,
	"1.168.192.in-addr.arpa": SpecialUse,
}

// A corpusFinding is the reason why a name of the corpus was dropped or removed.
type corpusFinding struct {
	list, name string
	rule       Rule
	entry      Entry
}

// judgeAs judges a name as query name and as owner in additional, in answers that contain an
// address. A finding without a rule means that the name is kept.
func judgeAs(t *testing.T, lane *Pairer, p *Policy, f corpusFinding) (asQuery, asOwner corpusFinding) {
	address := []byte{203, 0, 113, 7}
	take := func(d *wiretest.Message) Reason {
		m := asResponse(d.Wire)
		m.Resolver, m.Zone = netip.AddrPortFrom(corpusResolver, 40000), nil
		return lane.Take(m, p, func(*Record) {})
	}
	asQuery, asOwner = f, f
	if take(wiretest.New(f.name, dns.TypeA).With(dnswire.Answer, f.name, dns.TypeA, address)) != Kept {
		asQuery.rule, asQuery.entry = lane.found.Rule, lane.found.Entry
	}
	const other = "q.example.net"
	d := wiretest.New(other, dns.TypeA).With(dnswire.Answer, other, dns.TypeA, address).With(dnswire.Additional, f.name, dns.TypeA, address)
	if reason := take(d); reason != Kept {
		t.Errorf("%s as owner in additional: the message is dropped as %v", f.name, reason)
	} else if lane.applied.has(RRsetRemoved) {
		h := lane.searcher.hits[1]
		asOwner.rule, asOwner.entry = h.rule, h.entry
	}
	return asQuery, asOwner
}

// TestRealNamesAreSeldomDropped counts wrong drops of real names. docs/wrong-drops.md
// has the result.
func TestRealNamesAreSeldomDropped(t *testing.T) {
	p, lane := corpusPolicy(t), NewPairer(NewBudget(8))
	var dropped, removed []corpusFinding
	found := map[string]Rule{}
	names := 0
	byList := "| source | names | dropped wrongly | removed wrongly |\n|---|---|---|---|\n"
	for _, source := range readCorpus(t) {
		wasDropped, wasRemoved := len(dropped), len(removed)
		for _, name := range source.names {
			asQuery, asOwner := judgeAs(t, lane, p, corpusFinding{list: source.list, name: name})
			if rule := asQuery.rule; rule != NoRule && rule == trueFindings[name] {
				found[name] = rule
			} else if rule != NoRule {
				dropped = append(dropped, asQuery)
			}
			if rule := asOwner.rule; rule != NoRule && rule != trueFindings[name] {
				removed = append(removed, asOwner)
			}
		}
		names += len(source.names)
		byList += fmt.Sprintf("| %s | %s | %d | %d |\n", source.list, thousands(len(source.names)),
			len(dropped)-wasDropped, len(removed)-wasRemoved)
	}
	byList += fmt.Sprintf("| all | %s | %d | %d |\n", thousands(names), len(dropped), len(removed))
	byRule := rulesTable(dropped, removed)
	t.Logf("\n%s\n%s", byList, byRule)
	for _, f := range slices.Concat(dropped, removed) {
		t.Logf("wrong: %s, of %s, by %v, entry %v", f.name, f.list, f.rule, f.entry)
	}
	for name, rule := range trueFindings {
		if found[name] != rule {
			t.Errorf("%s: got %v, want %v", name, found[name], rule)
		}
	}
	if names < 30_000 {
		t.Errorf("only %d names", names)
	}
	if most := names / 1000; len(dropped) >= most || len(removed) >= most {
		t.Errorf("%d dropped and %d removed wrongly, want fewer than %d of each", len(dropped), len(removed), most)
	}
	wantInDocs(t, byList)
	wantInDocs(t, byRule)
}

// rulesTable counts findings by rule.
func rulesTable(dropped, removed []corpusFinding) string {
	table := "| rule | dropped wrongly | removed wrongly |\n|---|---|---|\n"
	for _, rule := range Rules() {
		if rule.ForbidsAs() == Kept {
			continue
		}
		is := func(f corpusFinding) bool { return f.rule == rule }
		table += fmt.Sprintf("| `%v` | %d | %d |\n", rule, countOf(dropped, is), countOf(removed, is))
	}
	return table
}

func countOf[T any](all []T, is func(T) bool) (n int) {
	for _, x := range all {
		if is(x) {
			n++
		}
	}
	return n
}

// corpusForms find names that have a part like an address.
var corpusForms = []struct {
	form    string
	pattern *regexp.Regexp
}{
	{"four numbers in one label, `203-0-113-7`", regexp.MustCompile(`(^|\D)\d{1,3}([-_])\d{1,3}[-_]\d{1,3}[-_]\d{1,3}(\D|$)`)},
	{"four labels that are numbers, `203.0.113.7.example.com`", regexp.MustCompile(`(^|\.)\d{1,3}\.\d{1,3}\.\d{1,3}\.\d{1,3}(\.|$)`)},
	{"8 hexadecimal digits, `cb007107`", regexp.MustCompile(`(^|[^0-9a-z])[0-9a-f]{8}([^0-9a-z]|$)`)},
	{"32 hexadecimal digits", regexp.MustCompile(`(^|[^0-9a-z])[0-9a-f]{32}([^0-9a-z]|$)`)},
	{"one number of 8 digits or more, `3405803783`", regexp.MustCompile(`(^|\D)\d{8,39}(\D|$)`)},
	{"three or more hyphens between groups of hexadecimal digits", regexp.MustCompile(`(^|[^0-9a-z])([0-9a-f]{1,4}-+){3,}[0-9a-f]{1,4}([^0-9a-z]|$)`)},
}

// TestTheCorpusHasNamesThatLookLikeAddresses counts them: only these test the rules about
// addresses.
func TestTheCorpusHasNamesThatLookLikeAddresses(t *testing.T) {
	corpus := readCorpus(t)
	table := "| address-like part | names |\n|---|---|\n"
	for _, f := range corpusForms {
		n := 0
		for _, source := range corpus {
			n += countOf(source.names, f.pattern.MatchString)
		}
		if n == 0 {
			t.Errorf("no name with %s", f.form)
		}
		table += fmt.Sprintf("| %s | %s |\n", f.form, thousands(n))
	}
	t.Logf("\n%s", table)
	wantInDocs(t, table)
}

// wantInDocs compares a table with the published one.
func wantInDocs(t *testing.T, table string) {
	t.Helper()
	page, err := os.ReadFile(filepath.Join("..", "docs", "wrong-drops.md"))
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(page), table) {
		t.Errorf("docs/wrong-drops.md has another table; put this one there:\n%s", table)
	}
}

// thousands writes a number with commas.
func thousands(n int) string {
	if n < 1000 {
		return fmt.Sprint(n)
	}
	return fmt.Sprintf("%s,%03d", thousands(n/1000), n%1000)
}
