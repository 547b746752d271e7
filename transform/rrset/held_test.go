package rrset

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"github.com/dnstap-pdns/dnstap-pdns/transform"
	"github.com/dnstap-pdns/dnstap-pdns/transform/dnswire/wiretest"
)

func TestHeldResponsesPassWhenTheirDelegationIsLearned(t *testing.T) {
	s := newSensor(t)
	early := answer
	early.time = s.now - second
	s.source = 5
	s.expect(early)
	s.source = 6
	s.expect(comReferral)
	if c := s.Counts(); c.Held != 3 {
		t.Errorf("%d RRsets are held, want 3", c.Held)
	}
	// the referral of the root verifies that of com, and this the answer
	var times []transform.Time
	var sources []uint32
	r := rootReferral.record(t)
	r.QueryTime = s.now
	var passed []string
	s.Take(r, 7, func(r *RRset, at transform.Time, source uint32) {
		passed, times, sources = append(passed, shown(r)), append(times, at), append(sources, source)
	})
	want := fmt.Sprint([]string{"com. NS .", "a.gtld-servers.net. A .", "example.com. NS com.", "ns.example.com. A com.", "www.example.com. A example.com."},
		[]transform.Time{noon, noon, noon, noon, noon - second}, []uint32{7, 7, 6, 6, 5})
	if got := fmt.Sprint(passed, times, sources); got != want {
		t.Errorf("passed %s, want %s", got, want)
	}
	s.count(map[Outcome]uint64{Delegated: 5})
	if c := s.Counts(); c.Held != 0 || s.held.octets != 0 || len(s.held.byServer) != 0 {
		t.Errorf("%d RRsets are held, and %d octets", c.Held, s.held.octets)
	}
}

// TestHeldResponsesPassWhenAKnownHostServesTheirZone does not show the address of the host again.
func TestHeldResponsesPassWhenAKnownHostServesTheirZone(t *testing.T) {
	s := warm(t)
	s.expect(reply{server: exampleServer, name: "www.example2.com.", answer: "www.example2.com. 60 A 192.0.2.80"})
	s.expect(reply{server: comServer, name: "www.example2.com.", authority: "example2.com. 60 NS ns.example.com."},
		"example2.com. NS com.", "www.example2.com. A example2.com.")
}

// TestHeldResponsesPassWhenAnExpiredDelegationIsRenewed has an expired server, and an expired address.
func TestHeldResponsesPassWhenAnExpiredDelegationIsRenewed(t *testing.T) {
	s := warm(t)
	for _, ns := range []string{"example.com. 864000 NS ns.example.com.", "example.com. 60 NS ns.example.com."} {
		s.expect(reply{server: comServer, name: "www.example.com.", authority: ns}, "example.com. NS com.")
	}
	s.now += 8 * day
	for range 20 { // until the clock believes it
		s.take(rootReferral)
	}
	s.expect(answer) // the address of the server has expired
	s.expect(comReferral, "example.com. NS com.", "ns.example.com. A com.", "www.example.com. A example.com.")
	s.now += 8 * day
	for range 20 {
		s.take(rootReferral)
	}
	s.delegations.hosts[string(wiretest.Name("ns.example.com"))].addresses[0].expires = never - 1
	s.expect(answer) // the server has expired
	again := comReferral
	again.additional = ""
	s.expect(again, "example.com. NS com.", "www.example.com. A example.com.")
}

func TestResponsesWithoutRRsetsAreNotHeld(t *testing.T) {
	s := newSensor(t)
	s.take(reply{server: exampleServer, name: "www.example.com."})
	if s.held.order.Len() != 0 {
		t.Error("held")
	}
}

// TestRetriesAreSpreadOverRecords has more servers to try again than a record may take.
func TestRetriesAreSpreadOverRecords(t *testing.T) {
	s := warm(t)
	ns, as := "", ""
	for i := range 2*maxRetried + 1 {
		s.expect(reply{server: fmt.Sprintf("192.0.3.%d", i), name: "www.many.com.", answer: "www.many.com. 60 A 192.0.2.80"})
		ns += fmt.Sprintf("many.com. 60 NS ns%d.many.com.\n", i)
		as += fmt.Sprintf("ns%d.many.com. 60 A 192.0.3.%d\n", i, i)
	}
	s.take(reply{server: comServer, name: "www.many.com.", authority: ns, additional: as})
	for i, want := range []uint64{maxRetried + 1, 1, 0} {
		if c := s.Counts(); c.Held != want {
			t.Errorf("after %d records %d RRsets are held, want %d", i+1, c.Held, want)
		}
		s.take(comReferral)
	}
}

// TestRetriesAreBounded has 128 servers with held responses that become servers of a zone at once, and
// each of them twice.
func TestRetriesAreBounded(t *testing.T) {
	s := warm(t)
	ns, as := "", ""
	for i := range 128 {
		server := netip.AddrFrom4([4]byte{192, 0, 3, byte(i)}).String()
		s.take(reply{server: server, name: "www.many.com.", answer: "www.many.com. 60 A 192.0.2.80"})
		ns += fmt.Sprintf("many.com. 60 NS ns%d.many.com.\nmany.com. 60 NS also%[1]d.many.com.\n", i/16)
		as += fmt.Sprintf("ns%d.many.com. 60 A %s\nalso%[1]d.many.com. 60 A %[2]s\n", i/16, server)
	}
	s.take(reply{server: comServer, name: "www.many.com.", authority: ns, additional: as})
	if n := len(s.changed); n != maxChanged-maxRetried {
		t.Errorf("%d servers wait, want %d", n, maxChanged-maxRetried)
	}
	for range maxChanged / maxRetried {
		s.take(comReferral)
	}
	if c := s.Counts(); c.Held != 128-maxChanged {
		t.Errorf("%d responses are held, want %d", c.Held, 128-maxChanged)
	}
	s.now += 10 * second // the rest gets a last try
	s.take(comReferral)
	if c := s.Counts(); c.Held != 0 || c.By[Unverified] != 0 {
		t.Errorf("counts %+v", c)
	}
}

func TestHeldResponsesAreDroppedAfterTheWait(t *testing.T) {
	s := newSensor(t)
	s.take(answer)
	s.now += 10*second - 1
	s.take(reply{server: comServer, name: "x."})
	s.count(map[Outcome]uint64{})
	s.now++
	s.take(reply{server: comServer, name: "x."})
	s.count(map[Outcome]uint64{Unverified: 1})
	s.expect(comReferral)
	s.Finish()
	s.count(map[Outcome]uint64{Unverified: 3})
}

// TestWrongTimesDropNothing because the clock does not follow a single record.
func TestWrongTimesDropNothing(t *testing.T) {
	s := warm(t)
	s.take(reply{server: "192.0.2.99", name: "www.example.com.", answer: "www.example.com. 60 A 192.0.2.80"})
	for _, wrong := range []transform.Time{0, noon + 3650*day, transform.NoTime} {
		late := comReferral
		late.time = wrong
		s.take(late)
	}
	s.count(map[Outcome]uint64{Delegated: 4 + 6})
	s.expect(answer, "www.example.com. A example.com.")
}

// TestHeldResponsesAreBounded for each server, in total, and in length.
func TestHeldResponsesAreBounded(t *testing.T) {
	s := newSensor(t)
	for i := range maxPerServer + 5 {
		r := answer
		r.name = fmt.Sprintf("n%d.example.com.", i)
		s.take(r)
	}
	s.count(map[Outcome]uint64{HeldFull: 5})
	s.held.limit = 300 * s.held.oldest().size()
	for i := range 400 {
		r := answer
		r.server = netip.AddrFrom4([4]byte{192, 0, 3 + byte(i>>8), byte(i)}).String()
		s.take(r)
		if s.held.octets > s.held.limit {
			t.Fatalf("%d octets are held, the limit is %d", s.held.octets, s.held.limit)
		}
	}
	if c := s.Counts(); c.Held < 290 || c.Held+c.By[HeldFull] != maxPerServer+5+400 || s.held.has(netip.MustParseAddr(exampleServer)) {
		t.Errorf("counts %+v", c)
	}
	held := s.Counts().Held
	long := answer
	long.server, long.answer = "192.0.2.99", "www.example.com. 60 TXT "+strings.Repeat("x", 250)
	s.take(long)
	if c := s.Counts(); c.Held != held || s.held.has(netip.MustParseAddr(long.server)) {
		t.Errorf("a long response is held")
	}
	s.Finish()
	if c := s.Counts(); c.Held != 0 || c.By[HeldFull]+c.By[Unverified] != maxPerServer+5+400+1 || s.held.octets != 0 || len(s.held.byServer) != 0 {
		t.Errorf("counts %+v, %d octets are held", c, s.held.octets)
	}
}
