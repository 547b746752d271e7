package page

import (
	"bytes"
	"fmt"
	"io"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"golang.org/x/net/html"

	"gotest.tools/v3/golden"

	"github.com/dnstap-pdns/dnstap-pdns/cmd/dnstap-pdns/internal/admin"
	"github.com/dnstap-pdns/dnstap-pdns/cmd/dnstap-pdns/internal/admin/samples"
	"github.com/dnstap-pdns/dnstap-pdns/conf"
	"github.com/dnstap-pdns/dnstap-pdns/forward"
	"github.com/dnstap-pdns/dnstap-pdns/transform"
)

func get(p *Page, path string) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	p.ServeHTTP(w, httptest.NewRequest("GET", path, nil))
	return w
}

// show returns the page as a browser parses it.
func show(t *testing.T, p *Page) *html.Node {
	t.Helper()
	w := get(p, "/")
	if w.Code != 200 {
		t.Fatalf("got %d %s", w.Code, w.Body)
	}
	doc, err := html.ParseWithOptions(w.Body, html.ParseOptionEnableScripting(false))
	if err != nil {
		t.Fatal(err)
	}
	return doc
}

// text returns the text of a node, with each run of spaces as one.
func text(n *html.Node) string {
	var b strings.Builder
	for d := range n.Descendants() {
		if d.Type == html.TextNode {
			b.WriteString(d.Data + " ")
		}
	}
	return strings.Join(strings.Fields(b.String()), " ")
}

func attr(n *html.Node, name string) (value string, has bool) {
	for _, a := range n.Attr {
		if a.Key == name {
			return a.Val, true
		}
	}
	return "", false
}

// every returns the elements with this name, or all elements if it is empty.
func every(doc *html.Node, name string) (all []*html.Node) {
	for n := range doc.Descendants() {
		if n.Type == html.ElementNode && (name == "" || n.Data == name) {
			all = append(all, n)
		}
	}
	return all
}

func TestEveryCountIsShown(t *testing.T) {
	said := text(show(t, mustPage(t, full)))
	l := full()
	rows := slices.Concat(flat(&l.Total), l.Total.Scrubbing().Rows)
	for i := range l.Sources {
		if d := l.Sources[i].Dnstap; d != nil {
			rows = append(rows, d.Rows()...)
		}
		if p := l.Sources[i].Pcap; p != nil {
			rows = append(rows, p.Rows()...)
		}
		if k := l.Sources[i].Kafka; k != nil {
			rows = append(rows, k.Rows()...)
		}
	}
	for i := range l.Sinks {
		a := l.Sinks[i].Account()
		rows = slices.Concat(rows, a.Whole, a.Parts, a.Lost.Rows, l.Sinks[i].Rows())
	}
	want := []string{"read DNS messages, and frames or packets that should have been one " + number(l.Total.Read)}
	for _, r := range rows {
		want = append(want, fmt.Sprintf("%s %s %s", r.Name, r.Meaning, number(r.Value)))
	}
	for _, r := range transform.Reasons() {
		want = append(want, fmt.Sprintf("%s %s %s", r, r.Meaning(), number(1000+uint64(r))))
	}
	for _, r := range transform.Rules() {
		want = append(want, fmt.Sprintf("%s %s %s", r, r.Meaning(), number(2_000_000+uint64(r))))
	}
	for _, l := range forward.Losses() {
		want = append(want, fmt.Sprintf("%s %s %s", l, l.Meaning(), number(3000+uint64(l))))
	}
	want = append(want, "1,234,567 records, each offered to every sink", "= read, adds up", "= offered + resumed, adds up", "98,765 records", "5,678 frames", "4,567 messages",
		"8,765", "7,654 packets", "6,543 packets", "12 of 131,072 queries", "v1.2.3", "Brings nothing outward. set this.", "fails for 1 min 0 s",
		"capturing, because dnstap is silent", "removed by a reload",
		"Not read yet 22,222 messages", "Last commit 2 min 0 s ago", "Not committed for 1 min 30 s", "reads 0 partitions", "Last commit none so far", "Waits for acknowledgement 3.0 MiB")
	for _, w := range want {
		if !strings.Contains(said, w) {
			t.Errorf("the page does not say %q", w)
		}
	}
	for _, w := range []string{"Never so far", "did not occur", "≠"} {
		if strings.Contains(said, w) {
			t.Errorf("the page says %q where all occurred", w)
		}
	}
}

func TestCountsOfZeroAreShown(t *testing.T) {
	said := text(show(t, mustPage(t, empty)))
	for _, r := range transform.Reasons() {
		if want := fmt.Sprintf("%s %s 0", r, r.Meaning()); !strings.Contains(said, want) {
			t.Errorf("the page does not say %q", want)
		}
	}
	for _, r := range transform.Rules() {
		if want := fmt.Sprintf("%s %s Never so far: nothing has been read yet. 0", r, r.Meaning()); !strings.Contains(said, want) {
			t.Errorf("the page does not say %q", want)
		}
	}
	for _, want := range []string{"19 reasons that did not occur", "0 resolver connections", "1 warning ", "none since the start"} {
		if !strings.Contains(said, want) {
			t.Errorf("the page does not say %q in\n%s", want, said)
		}
	}
}

func TestRulesThatNeverMatchedHaveAReason(t *testing.T) {
	l := empty()
	l.Total = messages(5, false)
	for known, want := range map[bool]string{
		false: "it cannot match: neither messages nor scrub.resolvers contain an address of the resolver",
		true:  "no answer has contained a known address of the resolver",
	} {
		l.Sources[0].ResolverKnown = known
		if got := whyNever(&l, transform.ResolverInName); got != want {
			t.Errorf("known %v: got %q", known, got)
		}
	}
	if got := whyNever(&l, transform.LocalNameInName); !strings.Contains(got, "scrub.local_names") {
		t.Errorf("got %q", got)
	}
	l.Total.Records = 0
	if got := whyNever(&l, transform.OPTRemoved); got != "no record has been made yet" {
		t.Errorf("got %q", got)
	}
}

func TestWrongSumsAreShown(t *testing.T) {
	said := text(show(t, mustPage(t, func() admin.Ledger {
		l := full()
		l.Sinks[1].Delivered++
		return l
	})))
	if !strings.Contains(said, "≠ offered") || !strings.Contains(said, "the ledger does not add up") {
		t.Errorf("the page says\n%s", said)
	}
}

// TestCausesOfFewRecordsAreWarnings shows the page of a packet source with wrong resolvers.
func TestCausesOfFewRecordsAreWarnings(t *testing.T) {
	text, err := mustPage(t, func() admin.Ledger {
		return admin.Ledger{Reload: admin.Reload{OK: true}, Sources: []admin.Source{{Name: "span", Kind: admin.KindPcap, Pcap: &admin.Packets{
			Counts: map[string]uint64{"unlisted_queries": 352}, Interfaces: []admin.Interface{{Name: "eth0", Up: true}}}}}}
	}).text()
	if err != nil {
		t.Fatal(err)
	}
	_, from, _ := strings.Cut(string(text), `<section id="warnings"`)
	warnings, _, _ := strings.Cut(from, "</section>")
	golden.Assert(t, warnings, "fewrecords.html")
}

func TestThePageNamesItsHost(t *testing.T) {
	doc := show(t, mustPage(t, full))
	if title := text(every(doc, "title")[0]); !strings.Contains(title, "dnstap-pdns on sensor1") {
		t.Errorf("title %q", title)
	}
	if said := text(every(doc, "header")[0]); !strings.Contains(said, "Passive DNS sensor on sensor1") {
		t.Errorf("header %q", said)
	}
	p := mustPage(t, full)
	p.host = ""
	if title := text(every(show(t, p), "title")[0]); !strings.HasSuffix(title, "dnstap-pdns") {
		t.Errorf("title without a name %q", title)
	}
}

// TestManySinksAreShownBelowTheMessages: next to each other, the column of the messages would be
// empty below its table.
func TestManySinksAreShownBelowTheMessages(t *testing.T) {
	for sinks, want := range map[int]string{1: "flow", 2: "flow", 3: "flow many", 20: "flow many"} {
		doc := show(t, mustPage(t, func() admin.Ledger { return admin.Ledger{Sinks: make([]admin.Sink, sinks)} }))
		for _, n := range every(doc, "div") {
			if class, _ := attr(n, "class"); strings.HasPrefix(class, "flow") && class != want {
				t.Errorf("%d sinks: class %q, want %q", sinks, class, want)
			}
		}
	}
}

func TestHostileTextIsEscaped(t *testing.T) {
	p, l := mustPage(t, full), full()
	v := viewOf("", &l, &p.history, p.samples)
	v.SamplesOn, v.Samples = true, []samples.Sample{{Sink: hostile, Text: hostile}}
	var page bytes.Buffer
	if err := p.template.Execute(&page, v); err != nil {
		t.Fatal(err)
	}
	doc, err := html.Parse(&page)
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range every(doc, "") {
		if n.Data == "img" {
			if src, _ := attr(n, "src"); src != "/page/icon.svg" {
				t.Errorf("an image of %q", src)
			}
		}
		for _, a := range n.Attr {
			if strings.HasPrefix(a.Key, "on") || a.Key == "style" {
				t.Errorf("%s has %s=%q", n.Data, a.Key, a.Val)
			}
			if slices.Contains([]string{"href", "src"}, a.Key) && !strings.HasPrefix(a.Val, "/") && !strings.HasPrefix(a.Val, "#") {
				t.Errorf("%s leads to %q", n.Data, a.Val)
			}
		}
		if src, has := attr(n, "src"); n.Data == "script" && (!has || src != "/page/page.js" || n.FirstChild != nil) || n.Data == "style" {
			t.Errorf("%s in the page itself", n.Data)
		}
	}
	if n := strings.Count(text(doc), hostile); n < 10 {
		t.Errorf("%q is shown %d times", hostile, n)
	}
}

// TestUnprintableCharactersOfPeersAreEscaped: some would reorder the text around them.
func TestUnprintableCharactersOfPeersAreEscaped(t *testing.T) {
	const unprintable = "un\u202egnp.\x1b[31m\n\xff"
	w := get(mustPage(t, func() admin.Ledger {
		l := full()
		c := l.Sources[0].Dnstap.Connections
		c[0].Version, c[0].Identity, c[1].Client = unprintable, unprintable, unprintable
		l.Sinks[0].Failing.Error = unprintable // on the page and in a warning
		return l
	}), "/")
	if n := strings.Count(w.Body.String(), `un\u202egnp.\u001b[31m\u000a\xff`); n != 5 || strings.ContainsAny(w.Body.String(), "\u202e\x1b") {
		t.Errorf("it is escaped %d times, want 5", n)
	}
}

// TestMarkupIsAccessible checks the markup that screen readers need.
func TestMarkupIsAccessible(t *testing.T) {
	for name, ledger := range map[string]func() admin.Ledger{"full": full, "empty": empty, "names alike": namesAlike} {
		p := mustPage(t, ledger)
		p.Adopt(conf.Admin{Listen: "127.0.0.1:9353", Samples: true})
		l := ledger()
		p.history.add(&l)
		doc := show(t, p)
		ids, level := map[string]bool{}, 0
		for _, n := range every(doc, "") {
			if id, has := attr(n, "id"); has {
				if ids[id] {
					t.Errorf("%s: %q is the id of two", name, id)
				}
				ids[id] = true
			}
			if len(n.Data) == 2 && n.Data[0] == 'h' && n.Data[1] >= '1' && n.Data[1] <= '6' {
				if next := int(n.Data[1] - '0'); next > level+1 {
					t.Errorf("%s: %q is a heading of level %d below one of level %d", name, text(n), next, level)
				} else {
					level = next
				}
			}
			label, _ := attr(n, "aria-label")
			hidden, _ := attr(n, "aria-hidden")
			if n.Data == "svg" && label == "" && hidden != "true" {
				t.Errorf("%s: a picture without words", name)
			}
			scope, _ := attr(n, "scope")
			if n.Data == "th" && scope == "" {
				t.Errorf("%s: %q heads neither row nor column", name, text(n))
			}
			if n.Data == "table" && n.FirstChild.NextSibling.Data != "caption" {
				t.Errorf("%s: a table without caption: %s", name, text(n))
			}
		}
		for _, n := range every(doc, "") {
			if by, has := attr(n, "aria-labelledby"); has && !ids[by] {
				t.Errorf("%s: %s is labelled by %q, which is not there", name, n.Data, by)
			}
		}
		for _, once := range []string{"main", "header", "footer", "h1"} {
			if n := len(every(doc, once)); n != 1 {
				t.Errorf("%s: %d times %s", name, n, once)
			}
		}
	}
}

// namesAlike returns a ledger with names that end like ids of the page.
func namesAlike() admin.Ledger {
	l := full()
	for _, s := range l.Sinks {
		for _, end := range []string{"none", "counts"} {
			s.Name += "-" + end
			l.Sinks = append(l.Sinks, s)
		}
	}
	for _, s := range l.Sources {
		for _, end := range []string{"none", "counts"} {
			s.Name += "-" + end
			l.Sources = append(l.Sources, s)
		}
	}
	return l
}

func TestManyConnectionsAreNotAllShown(t *testing.T) {
	said := text(show(t, mustPage(t, func() admin.Ledger {
		l := empty()
		l.Sources[0].Dnstap.Connections = make([]admin.Connection, 60_000)
		return l
	})))
	if !strings.Contains(said, "and 59,950 connections more") || strings.Count(said, "Connected for ") != maxConnections {
		t.Errorf("%d connections are shown", strings.Count(said, "Connected for "))
	}
}

func TestSamplesAreShownIfConfigured(t *testing.T) {
	p := mustPage(t, empty)
	for _, c := range []conf.Admin{{Listen: "127.0.0.1:9353"}, {Listen: "127.0.0.1:9353", Samples: true}, {Samples: true}, {Listen: "127.0.0.1:9353"}} {
		p.Adopt(c)
		on := c.Samples && c.Listen != "" // without an address there is no page
		if said := strings.Contains(text(show(t, p)), "The last records that left"); said != on {
			t.Errorf("samples are %v, and shown: %v", on, said)
		}
	}
}

func TestResponsesHaveSecurityHeaders(t *testing.T) {
	p := mustPage(t, empty)
	for path, kind := range map[string]string{"/": "text/html; charset=utf-8", "/page/page.css": "text/css; charset=utf-8",
		"/page/page.js": "text/javascript; charset=utf-8", "/page/icon.svg": "image/svg+xml", "/page/page.html": "text/plain; charset=utf-8", "/page/": "text/plain; charset=utf-8"} {
		w := get(p, path)
		for name, want := range map[string]string{"Content-Type": kind, "Referrer-Policy": "no-referrer", "Cache-Control": "no-store"} {
			if got := w.Header().Get(name); got != want {
				t.Errorf("%s: %s is %q, want %q", path, name, got, want)
			}
		}
		if csp := w.Header().Get("Content-Security-Policy"); !strings.HasPrefix(csp, "default-src 'none'; ") || strings.Contains(csp, "unsafe") {
			t.Errorf("%s: may %q", path, csp)
		}
		if body, _ := io.ReadAll(w.Body); (w.Code == 404) != strings.HasPrefix(kind, "text/plain") || len(body) == 0 {
			t.Errorf("%s: got %d, %d bytes", path, w.Code, len(body))
		}
	}
}
