package integration

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/miekg/dns"

	"github.com/dnstap-pdns/dnstap-pdns/integration/lab"
	"github.com/dnstap-pdns/dnstap-pdns/integration/nmsgcheck"
)

// aggregation is the part of a configuration that writes records to the folder first, their RRsets
// to second as dnsdedupe, and to cof.json as COF. The aggregate has more attributes.
func aggregation(attributes string) string {
	return exactRoot + fileSink("first", "dnsobs") + fileSink("second", "dnsdedupe") + fmt.Sprintf(`
aggregate "rrsets" {
%s
}
sink "json" "cof" {
  to     = "file://DIR/cof.json"
  format = "cof"
  rotate = "0s"
}
`, attributes)
}

// exactRoot is the policy of a site in the closed world, whose root has addresses of its own.
var exactRoot = strings.Replace(site, "scrub {", "scrub {\n  root_servers = [\"198.41.0.4\", \"2001:db8:41::4\"]", 1)

// liarQuestions are questions to the server that adds forged records.
func liarQuestions() []lab.Question {
	var all []lab.Question
	for i := range 20 {
		all = append(all,
			lab.Question{Name: fmt.Sprintf("n%d.www.liar.com.", i), Type: dns.TypeA, From: lab.Client1},
			lab.Question{Name: fmt.Sprintf("n%d.none.liar.com.", i), Type: dns.TypeA, From: lab.Client1})
	}
	return all
}

// TestForgedRRsetsStayAndTrueOnesPass runs two sensors for one resolver: one receives its dnstap,
// one captures packets. A server adds forged records to each of its answers. No forged RRset passes
// either sensor, each true one passes, and both outputs of a sensor have the same RRsets.
func TestForgedRRsetsStayAndTrueOnesPass(t *testing.T) {
	forEachResolver(t, func(t *testing.T, r dnstapResolver) {
		w := lab.NewWorld(t)
		liar := w.StartLiar(t)
		port := w.SpanPort(t, lab.SpanOptions{})
		config := aggregation("")
		fromDnstap := startSensor(t, port.Namespace, unixSource+config)
		fromPackets := startCapture(t, port.Namespace, 1, packetSource("", port.Interfaces...)+config)
		resolver := r.start(w, t, lab.Options{Tap: lab.UnixTap(fromDnstap.tapPath()), Span: port})
		fromDnstap.awaitLog(t, connected, 1)
		w.Ask(t, resolver, lab.Questions())
		w.Ask(t, resolver, liarQuestions())
		resolver.Stop(t)
		fromDnstap.stop(t)
		fromPackets.stop(t)

		dnstap := fromDnstap.rrsets(t)
		checkTrue(t, "dnstap", dnstap, expectedRRsets(fromDnstap.written(t, "first"), func(r nmsgcheck.Record) string { return r.Zone }))
		packets := fromPackets.rrsets(t)
		checkTrue(t, "packets", packets, expectedRRsets(fromPackets.written(t, "first"), func(r nmsgcheck.Record) string { return w.Zones.Apex(r.Server, r.Name) }))
		for _, s := range []*sensor{fromDnstap, fromPackets} {
			forged := checkForged(t, liar, s)
			if len(forged) < 4*len(liarQuestions()) {
				t.Errorf("only %d forged records in the messages: the test checks nothing", len(forged))
			}
			s.checkCOF(t)
			s.checkCat(t)
		}
		checkAgree(t, dnstap, packets, r.name == "PowerDNS")
		t.Logf("%d RRsets of dnstap, %d of packets; %d different forged records", len(dnstap), len(packets), liar.Len())
	})
}

// checkAgree checks that dnstap and packets of the same messages give the same RRsets, with the same
// bailiwicks. PowerDNS Recursor asks some questions without logging them.
func checkAgree(t *testing.T, dnstap, packets map[rrsetKey]sightings, unlogged bool) {
	t.Helper()
	for k := range dnstap {
		if _, ok := packets[k]; !ok {
			t.Errorf("only dnstap has %+v", k)
		}
	}
	for k := range packets {
		if _, ok := dnstap[k]; !ok && !unlogged {
			t.Errorf("only packets have %+v", k)
		}
	}
}

// rrsetKey identifies an RRset in a database.
type rrsetKey struct {
	owner     string
	rtype     uint16
	bailiwick string
	rdata     string // all of it, sorted
}

// sightings are when an RRset was seen and how often.
type sightings struct {
	First, Last int64
	Count       uint64
}

func keyOfRRset(bailiwick string, rrs []dns.RR) rrsetKey {
	h := rrs[0].Header()
	var all []string
	for _, rr := range rrs {
		all = append(all, strings.TrimPrefix(rr.String(), rr.Header().String()))
	}
	slices.Sort(all)
	return rrsetKey{dns.CanonicalName(h.Name), h.Rrtype, dns.CanonicalName(bailiwick), strings.Join(slices.Compact(all), "\n")}
}

// rrsets returns the RRsets that a sensor wrote, with their sightings in all windows.
func (s *sensor) rrsets(t *testing.T) map[rrsetKey]sightings {
	t.Helper()
	all := map[rrsetKey]sightings{}
	for _, e := range s.expirations(t) {
		all[keyOfRRset(e.Bailiwick, e.RRs)] = all[keyOfRRset(e.Bailiwick, e.RRs)].and(sightings{e.First, e.Last, e.Count})
	}
	return all
}

// expirations returns the payloads of the dnsdedupe sink.
func (s *sensor) expirations(t *testing.T) (all []nmsgcheck.RRset) {
	t.Helper()
	return rrsetsIn(t, s.octets(t, "second"))
}

// and returns the sightings of both.
func (s sightings) and(o sightings) sightings {
	if s.Count == 0 {
		return o
	}
	return sightings{min(s.First, o.First), max(s.Last, o.Last), s.Count + o.Count}
}

// expectedRRsets returns the RRsets that the servers of the records had the authority to state.
// zone returns the zone that was queried.
func expectedRRsets(o output, zone func(nmsgcheck.Record) string) map[rrsetKey]sightings {
	all := map[rrsetKey]sightings{}
	for _, r := range o.records {
		apex := dns.CanonicalName(zone(r))
		if zone(r) == "" || !dns.IsSubDomain(apex, r.Name) {
			continue
		}
		at := r.Payload.Time.Unix()
		for _, section := range [][]dns.RR{r.Response.Answer, r.Response.Ns, r.Response.Extra} {
			for _, set := range rrsetsOf(section) {
				h := set[0].Header()
				if dns.IsSubDomain(apex, h.Name) && proven(r, set[0]) {
					k := keyOfRRset(apex, set)
					all[k] = all[k].and(sightings{at, at, 1})
				}
			}
		}
	}
	return all
}

// proven reports whether the rcode of a response lets a record of the zone count.
func proven(r nmsgcheck.Record, rr dns.RR) bool {
	switch r.Rcode {
	case dns.RcodeSuccess:
		return true
	case dns.RcodeNameError: // no chain of aliases in the world ends with it
		return rr.Header().Rrtype == dns.TypeSOA && slices.Contains(r.Response.Ns, rr)
	}
	return false
}

// rrsetsOf returns the RRsets of a section.
func rrsetsOf(section []dns.RR) [][]dns.RR {
	var sets [][]dns.RR
	for _, rr := range section {
		h := rr.Header()
		if h.Rrtype == dns.TypeOPT {
			continue
		}
		i := slices.IndexFunc(sets, func(set []dns.RR) bool {
			o := set[0].Header()
			return dns.CanonicalName(o.Name) == dns.CanonicalName(h.Name) && o.Rrtype == h.Rrtype
		})
		if i < 0 {
			sets = append(sets, []dns.RR{rr})
			continue
		}
		sets[i] = append(sets[i], rr)
	}
	return sets
}

// checkTrue checks that a sensor wrote all true RRsets, with their sightings, and no other.
func checkTrue(t *testing.T, source string, got, want map[rrsetKey]sightings) {
	t.Helper()
	if d := cmp.Diff(want, got, cmp.AllowUnexported(rrsetKey{})); d != "" {
		t.Errorf("RRsets of %s (-records +written):\n%s", source, d)
	}
	if len(want) < 20 {
		t.Errorf("only %d true RRsets of %s: the test checks nothing", len(want), source)
	}
}

// checkForged checks that no forged record is in the RRsets of a sensor. It returns those in its
// records.
func checkForged(t *testing.T, liar *lab.Liar, s *sensor) (seen []dns.RR) {
	t.Helper()
	for _, e := range s.expirations(t) {
		for _, rr := range e.RRs {
			if liar.Forged(rr) {
				t.Errorf("forged, and in bailiwick of %s: %s", e.Bailiwick, rr)
			}
		}
	}
	for _, r := range s.written(t, "first").records {
		for _, rr := range slices.Concat(r.Response.Answer, r.Response.Ns, r.Response.Extra) {
			if liar.Forged(rr) {
				seen = append(seen, rr)
			}
		}
	}
	return seen
}

// checkCOF checks that the COF sink has the RRsets of the dnsdedupe sink.
func (s *sensor) checkCOF(t *testing.T) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(s.dir, "cof.json"))
	if err != nil {
		t.Fatal(err)
	}
	var got, want []string
	for line := range bytes.Lines(text) {
		var o struct {
			RRName    string   `json:"rrname"`
			RRType    string   `json:"rrtype"`
			RData     []string `json:"rdata"`
			First     int64    `json:"time_first"`
			Last      int64    `json:"time_last"`
			Count     uint64   `json:"count"`
			Bailiwick string   `json:"bailiwick"`
		}
		d := json.NewDecoder(bytes.NewReader(line))
		d.DisallowUnknownFields()
		if err := d.Decode(&o); err != nil {
			t.Fatalf("%v in the line %s", err, line)
		}
		got = append(got, fmt.Sprintln(dns.Fqdn(o.RRName), o.RRType, len(o.RData), o.First, o.Last, o.Count, dns.Fqdn(o.Bailiwick)))
	}
	for _, e := range s.expirations(t) {
		want = append(want, fmt.Sprintln(e.Name, dns.TypeToString[e.Type], len(e.RRs), e.First, e.Last, e.Count, e.Bailiwick))
	}
	slices.Sort(got)
	slices.Sort(want)
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("COF (-dnsdedupe +COF):\n%s", d)
	}
}

// checkCat checks that cat prints the RRsets of the dnsdedupe sink, as JSON and as text.
func (s *sensor) checkCat(t *testing.T) {
	t.Helper()
	var got, want []string
	for line := range strings.Lines(s.printed(t, "second")) {
		var o struct {
			Message struct {
				Type      string `json:"type"`
				Count     uint64 `json:"count"`
				RRName    string `json:"rrname"`
				RRType    string `json:"rrtype"`
				Bailiwick string `json:"bailiwick"`
			} `json:"message"`
		}
		if err := json.Unmarshal([]byte(line), &o); err != nil {
			t.Fatalf("%v in the line %s", err, line)
		}
		m := o.Message
		got = append(got, fmt.Sprintln(m.Type, m.RRName, m.RRType, m.Count, m.Bailiwick))
	}
	for _, e := range s.expirations(t) {
		want = append(want, fmt.Sprintln("EXPIRATION", e.Name, dns.TypeToString[e.Type], e.Count, e.Bailiwick))
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("cat --json (-file +printed):\n%s", d)
	}
	text, err := exec.CommandContext(t.Context(), sensorBinary, "cat", filepath.Join(s.dir, "second")).Output()
	if err != nil {
		t.Fatalf("cat: %v", err)
	}
	if n := bytes.Count(text, []byte(" dnsdedupe EXPIRATION ")); n != len(want) {
		t.Errorf("cat prints %d messages, want %d", n, len(want))
	}
}

// TestAggregateContinuesAfterAKill stops a sensor with a state file, starts it, kills it after it
// has saved its state, and starts it once more with a short window. Every RRset leaves once, with the
// sightings of all runs.
func TestAggregateContinuesAfterAKill(t *testing.T) {
	t.Parallel()
	w := lab.NewWorld(t)
	long := unixSource + aggregation("  state = \"DIR/rrsets.state\"\n  window = \"24h\"")
	s := newSensor(t, w.Namespace)
	askAll := func() {
		resolver := w.Unbound(t, lab.Options{Tap: lab.UnixTap(s.tapPath())}) // its cache is empty
		s.awaitLog(t, connected, 1)
		w.Ask(t, resolver, lab.Questions())
		resolver.Stop(t)
	}

	s.run(t, long)
	askAll()
	s.stop(t)
	if n := len(s.expirations(t)); n > 0 {
		t.Errorf("%d RRsets left at the stop, although there is a state file", n)
	}

	s.run(t, long)
	askAll()
	for range 2 { // the first save may have begun earlier
		s.awaitSave(t)
	}
	s.Kill()

	s.run(t, strings.Replace(long, `"24h"`, `"1s"`, 1)+"admin {}\n")
	await(t, "the end of all windows", func() bool {
		var l struct {
			Sinks []struct {
				RRsets *struct{ Entries, Emitted uint64 }
			}
		}
		if err := json.Unmarshal(s.get(t, "/ledger"), &l); err != nil {
			t.Fatal(err)
		}
		r := l.Sinks[0].RRsets
		return r.Entries == 0 && r.Emitted > 0
	})
	s.stop(t)
	records := readOutputs(t, s.octets(t, "first"), 3)
	want := expectedRRsets(records, func(r nmsgcheck.Record) string { return r.Zone })
	checkTrue(t, "all runs", s.rrsets(t), want)
	if all := s.expirations(t); len(all) != len(want) {
		t.Errorf("%d RRsets left, want %d: each once", len(all), len(want))
	}
}

// awaitSave returns when the state file was replaced.
func (s *sensor) awaitSave(t *testing.T) {
	t.Helper()
	const saveTime = 2 * time.Minute // longer than the documented time between saves
	modified := func() time.Time {
		info, err := os.Stat(filepath.Join(s.dir, "rrsets.state"))
		if err != nil {
			t.Fatal(err)
		}
		return info.ModTime()
	}
	before := modified()
	for deadline := time.Now().Add(saveTime); modified().Equal(before); delayFor(100 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("the state was not saved within %s", saveTime)
		}
	}
}
