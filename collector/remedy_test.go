package collector

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	dnstap "github.com/dnstap/golang-dnstap"
	"google.golang.org/protobuf/proto"
	"gotest.tools/v3/golden"

	"github.com/dnstap-pdns/dnstap-pdns/transform"
)

// defaultJudge returns the Take of a lane with the default policy.
func defaultJudge(t *testing.T) func(*transform.Message) transform.Reason {
	policy, err := transform.NewPolicy(transform.Config{PairingTimeout: time.Minute, TimeResolution: time.Second})
	if err != nil {
		t.Fatal(err)
	}
	p := transform.NewPairer(transform.NewBudget(1000))
	return func(m *transform.Message) transform.Reason { return p.Take(m, policy, func(*transform.Record) {}) }
}

func newJudgedSession(t *testing.T) *session {
	s := newSession(t)
	s.lane.judge = defaultJudge(t)
	s.send(t, start)
	return s
}

// filtered returns the frames of a capture for which keep returns true.
func filtered(t *testing.T, name string, keep func(*dnstap.Dnstap) bool) []byte {
	t.Helper()
	_, frames := capture(t, name)
	var all []byte
	for _, f := range frames {
		d := new(dnstap.Dnstap)
		if err := proto.Unmarshal(f, d); err != nil {
			t.Fatal(err)
		}
		if keep(d) {
			all = append(all, frame(marshal(d))...)
		}
	}
	if len(all) == 0 {
		t.Fatal("nothing left of the capture")
	}
	return all
}

func isClient(d *dnstap.Dnstap) bool {
	return strings.HasPrefix(d.Message.Type.String(), "CLIENT")
}

func everything(*dnstap.Dnstap) bool { return true }

// frameOfType returns a frame with this type and version, and without the fields that an
// outward message needs.
func frameOfType(kind dnstap.Message_Type, version string) []byte {
	d := &dnstap.Dnstap{Type: dnstap.Dnstap_MESSAGE.Enum(), Message: &dnstap.Message{Type: &kind}}
	if version != "" {
		d.Version = []byte(version)
	}
	return frame(marshal(d))
}

// newDomainEvent returns the frame by which PowerDNS reports a new domain.
func newDomainEvent(version string) []byte {
	d := sample()
	d.Version = []byte(version)
	d.Message.ResponseTimeSec, d.Message.ResponseTimeNsec = nil, nil
	return frame(marshal(d))
}

func TestConnectionWithoutOutwardMessagesIsReported(t *testing.T) {
	const client = dnstap.Message_CLIENT_QUERY
	tests := []struct {
		name   string
		in     []byte
		sender string // of the remedy; empty: no report
	}{
		{"kresd as it is", filtered(t, "kresd.fstrm", everything), "Knot Resolver"},
		{"Knot Resolver's own version", frameOfType(client, "Knot Resolver 5.6.0"), "Knot Resolver"},
		{"Unbound's clients", filtered(t, "unbound.fstrm", isClient), "Unbound"},
		{"BIND's clients", filtered(t, "bind.fstrm", isClient), "BIND"},
		{"PowerDNS's events", newDomainEvent("pdns-recursor 4.8.8"), "PowerDNS Recursor"},
		{"events without a version", newDomainEvent(""), "a resolver that does not say which"},
		{"no version", frameOfType(client, ""), "a resolver that does not say which"},
		{"a version of the operator's", frameOfType(client, "not telling"), "a resolver that does not say which"},
		{"Knot DNS", join(frameOfType(dnstap.Message_AUTH_QUERY, ""), frameOfType(dnstap.Message_AUTH_RESPONSE, "Knot DNS 3.2")),
			"an authoritative server"},
		{"BIND as an authoritative server", frameOfType(dnstap.Message_AUTH_QUERY, "BIND 9.18"), "an authoritative server"},
		{"BIND with zones and clients", join(frameOfType(dnstap.Message_AUTH_QUERY, "BIND 9.18"), frameOfType(client, "")), "BIND"},
		{"unknown types", frameOfType(99, "unbound 1.17.1"), "Unbound"},
		{"BIND that forwards", filtered(t, "bind-fwd.fstrm", everything), "a forwarder"},

		{"Unbound as it is", filtered(t, "unbound.fstrm", everything), ""},
		{"BIND as it is", filtered(t, "bind.fstrm", everything), ""},
		{"PowerDNS as it is", filtered(t, "pdns.fstrm", everything), ""},
		{"one outward message", join(filtered(t, "kresd.fstrm", everything), sampleFrame()), ""},
		{"nothing", nil, ""},
		{"junk", frame([]byte("junk")), ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newJudgedSession(t)
				s.send(t, tt.in)
				time.Sleep(2 * reportDelay)
				got, _ := s.conn.show()
				if got.Remedy.Sender != tt.sender {
					t.Errorf("got %+v, want %q", got.Remedy, tt.sender)
				}
				lines := 0
				if tt.sender != "" {
					lines = 1
				}
				if n := s.log.count("level=WARN"); n != lines || s.log.count(tt.sender) == 0 {
					t.Errorf("%d warnings, want %d:\n%s", n, lines, s.log.String())
				}
			})
		})
	}
}

func TestReportComesOnceAMinuteAfterTheFirstMessage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newJudgedSession(t)
		frames := frameOfType(dnstap.Message_CLIENT_QUERY, "unbound 1.17.1")
		time.Sleep(time.Hour) // a quiet resolver
		s.send(t, frames)
		time.Sleep(reportDelay - time.Millisecond)
		if n := s.log.count("not outward"); n != 0 {
			t.Errorf("%d reports before time", n)
		}
		time.Sleep(time.Millisecond)
		synctest.Wait()
		if n := s.log.count("not outward"); n != 1 || s.log.count("dnstap-log-resolver-response-messages: yes") != 1 {
			t.Errorf("%d reports in time:\n%s", n, s.log.String())
		}
		for range 100 {
			s.send(t, frames)
			time.Sleep(reportDelay / 10)
		}
		if n := s.log.count("not outward"); n != 1 {
			t.Errorf("%d reports of one connection", n)
		}
		s.expectCounts(t, 101, 0)

		s.send(t, sampleFrame())
		synctest.Wait()
		if got, _ := s.conn.show(); got.Remedy != (Remedy{}) || s.log.count("after all") != 1 {
			t.Errorf("%+v is kept after an outward message:\n%s", got.Remedy, s.log.String())
		}
	})
}

// A report that becomes due in the middle of a frame must not lose that frame.
func TestReportWithinAFrameLosesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newJudgedSession(t)
		frames := frameOfType(dnstap.Message_CLIENT_QUERY, "")
		s.send(t, join(frames, frames[:5]))
		time.Sleep(2 * reportDelay)
		s.send(t, join(frames[5:], stop))
		s.expect(t, ended, 2*reportDelay, "by=STOP")
		s.expectCounts(t, 2, 0)
	})
}

func TestStopAtTheTimeOfTheReport(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newJudgedSession(t)
		s.send(t, frameOfType(dnstap.Message_CLIENT_QUERY, ""))
		time.Sleep(reportDelay)
		s.stop()
		s.expect(t, ended, reportDelay+drainIdle, "by=us")
	})
}

// remedies returns every remedy: one for each resolver that states its version, then
// those for senders that do not.
func remedies() []Remedy {
	var all []Remedy
	for _, r := range resolvers {
		all = append(all, r.Remedy)
	}
	return append(all, anyResolver, authority, forwarder)
}

// TestRemedies compares the remedies with remedies.md, which docs/resolvers.md contains.
func TestRemedies(t *testing.T) {
	var b strings.Builder
	b.WriteString("| at the other end | remedy |\n|---|---|\n")
	for _, r := range remedies() {
		fmt.Fprintf(&b, "| %s | %s |\n", r.Sender, r.Advice)
	}
	golden.Assert(t, b.String(), "remedies.md")
}

func TestRemediesAreCompleteAndDistinct(t *testing.T) {
	seen := map[string]bool{}
	for _, r := range remedies() {
		if r.Sender == "" || r.Advice == "" || seen[r.Sender] {
			t.Errorf("%+v is incomplete or a duplicate", r)
		}
		seen[r.Sender] = true
	}
	for _, name := range []string{"Unbound", "BIND", "PowerDNS Recursor", "Knot Resolver"} {
		if !seen[name] {
			t.Errorf("no remedy for %s", name)
		}
	}
}
