package rrset

import (
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/miekg/dns"

	"github.com/dnstap-pdns/dnstap-pdns/transform"
	"github.com/dnstap-pdns/dnstap-pdns/transform/dnswire/wiretest"
)

const (
	noon   = transform.Time(1_700_000_000_000_000_000)
	second = transform.Time(time.Second)
	day    = 86400 * second
)

// rootServer is the only root server of these tests.
var rootServer = netip.MustParseAddr("198.41.0.4")

// A sensor is a Verifier that is fed with responses in presentation form.
type sensor struct {
	source uint32 // of the records
	*Verifier
	tb     testing.TB
	now    transform.Time
	passed []string // "owner type bailiwick" of each RRset
}

func newSensor(tb testing.TB) *sensor {
	d := NewDelegations([]netip.Addr{rootServer}, 1<<22)
	return &sensor{Verifier: NewVerifier(Config{Wait: 10 * time.Second, MaxHeld: 1 << 24}, d), tb: tb, now: noon}
}

// A reply is a response in presentation form.
type reply struct {
	server string
	zone   string // that the resolver stated; "" for packets
	name   string
	qtype  uint16 // 0: A
	rcode  int

	answer, authority, additional string // records, a line each

	alone     bool // its query was not seen
	forwarded bool
	time      transform.Time // 0: the sensor's time
}

// take gives a reply to the Verifier, and returns what it passes.
func (s *sensor) take(r reply) []string {
	s.tb.Helper()
	s.passed = nil
	record := r.record(s.tb)
	if r.time == 0 {
		record.QueryTime = s.now
	}
	s.Take(record, s.source, s.note)
	return s.passed
}

func (s *sensor) note(r *RRset, _ transform.Time, _ uint32) {
	s.passed = append(s.passed, shown(r))
}

func shown(r *RRset) string {
	return text(r.Name) + " " + dns.TypeToString[r.Type] + " " + text(r.Bailiwick)
}

// text returns a name in presentation form.
func text(wire []byte) string {
	name, _, err := dns.UnpackDomainName(wire, 0)
	if err != nil {
		return err.Error()
	}
	return name
}

// record returns the reply as the scrubber makes it.
func (r *reply) record(tb testing.TB) *transform.Record {
	tb.Helper()
	m := new(dns.Msg)
	m.SetQuestion(r.name, max(r.qtype, 1))
	m.Response, m.RecursionDesired, m.Rcode, m.Compress = true, false, r.rcode, true
	m.Answer, m.Ns, m.Extra = resourceRecords(tb, r.answer), resourceRecords(tb, r.authority), resourceRecords(tb, r.additional)
	wire, err := m.Pack()
	if err != nil {
		tb.Fatal(err)
	}
	record := &transform.Record{
		Server: netip.AddrPortFrom(netip.MustParseAddr(r.server), 53), HasResponse: true, HasQuery: !r.alone, Forwarded: r.forwarded,
		QueryTime: r.time, ResponseTime: transform.NoTime, Response: wire,
	}
	if r.zone != "" {
		record.Zone = wiretest.Name(r.zone)
	}
	return record
}

// resourceRecords reads records in zone file form, a line each.
func resourceRecords(tb testing.TB, lines string) (all []dns.RR) {
	tb.Helper()
	for line := range strings.Lines(lines) {
		if line = strings.TrimSpace(line); line == "" {
			continue
		}
		rr, err := dns.NewRR(line)
		if err != nil {
			tb.Fatalf("%q: %v", line, err)
		}
		all = append(all, rr)
	}
	return all
}

// expect fails the test if the reply passes other RRsets than these.
func (s *sensor) expect(r reply, want ...string) {
	s.tb.Helper()
	got := s.take(r)
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		s.tb.Errorf("%s from %s: passed RRsets, want (-) and got (+):\n%s", r.name, r.server, cmp.Diff(want, got))
	}
}

// count fails the test if the counts are not these, and others than 0.
func (s *sensor) count(want map[Outcome]uint64) {
	s.tb.Helper()
	got := map[Outcome]uint64{}
	for o, n := range s.Counts().By {
		if n > 0 {
			got[Outcome(o)] = n
		}
	}
	if !cmp.Equal(got, want) {
		s.tb.Errorf("counts, want (-) and got (+):\n%s", cmp.Diff(want, got))
	}
}
