package lab

import (
	"errors"
	"io"
	"net/netip"
	"os"
	"slices"
	"testing"

	dnstap "github.com/dnstap/golang-dnstap"
	"github.com/miekg/dns"
)

// TestServersAnswerAsInTheZoneFiles asks every server for every name of the world and for
// its ancestors. It checks against NSD what other tests compare records with.
func TestServersAnswerAsInTheZoneFiles(t *testing.T) {
	t.Parallel()
	w := NewWorld(t)
	kinds := make(map[Kind]int)
	for _, server := range w.Zones.Servers() {
		for _, q := range everyQuestion() {
			ask := new(dns.Msg).SetQuestion(q.Name, q.Qtype)
			ask.RecursionDesired = false
			ask.SetEdns0(1232, false)
			answer, err := w.exchange(t.Context(), "udp", netip.Addr{}, netip.AddrPortFrom(server, 53), ask, startTime)
			if err == nil && answer.Truncated {
				answer, err = w.exchange(t.Context(), "tcp", netip.Addr{}, netip.AddrPortFrom(server, 53), ask, startTime)
			}
			if err != nil {
				t.Errorf("%s %s from %s: %v", q.Name, dns.TypeToString[q.Qtype], server, err)
				continue
			}
			if err := w.Zones.Check(server, answer); err != nil {
				t.Error(err)
			}
			kinds[w.Zones.Lookup(server, q.Name, q.Qtype).Kind]++
		}
	}
	for _, k := range []Kind{Answer, NoData, NXDomain, Referral, Refused} {
		if kinds[k] == 0 {
			t.Errorf("no question was answered with a %s", k)
		}
	}
	t.Logf("asked: %v", kinds)
}

// everyQuestion returns the clients' questions in lowercase, and those that QNAME
// minimisation derives from them.
func everyQuestion() []dns.Question {
	seen := make(map[dns.Question]bool)
	var all []dns.Question
	for _, q := range Questions() {
		if q.Class == dns.ClassCHAOS {
			continue
		}
		for name := dns.CanonicalName(q.Name); name != "."; name = parent(name) {
			for _, t := range []uint16{q.Type, dns.TypeA, dns.TypeNS} {
				one := dns.Question{Name: name, Qtype: t, Qclass: dns.ClassINET}
				if !seen[one] {
					seen[one] = true
					all = append(all, one)
				}
			}
		}
	}
	return all
}

// TestResolversResolveTheWorld checks that clients of each resolver get the data of the
// zones, and that its dnstap output is complete when it is stopped.
func TestResolversResolveTheWorld(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		start            func(*World, testing.TB, Options) *Resolver
		outward, clients bool // which messages the resolver can send
	}{
		"Unbound":  {(*World).Unbound, true, true},
		"BIND":     {(*World).BIND, true, true},
		"PowerDNS": {(*World).PowerDNS, true, false},
		"Knot":     {(*World).Knot, false, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := NewWorld(t)
			capture := w.StartCapture(t, "tap")
			resolver := c.start(w, t, Options{Tap: UnixTap(capture.Socket)})
			questions := Questions()
			for i, answer := range w.Ask(t, resolver, questions) {
				if q := questions[i]; q.Class != dns.ClassCHAOS {
					checkClient(t, w.Zones, q, answer)
				}
			}
			resolver.Stop(t)
			capture.Stop(t)

			types := messageTypes(t, frames(t, capture.File))
			// BIND logs a query for its own version as AUTH_QUERY.
			if n := types[dnstap.Message_CLIENT_QUERY] + types[dnstap.Message_AUTH_QUERY]; c.clients && n < len(questions) || !c.clients && n > 0 {
				t.Errorf("%d client queries in the capture, %d were asked", n, len(questions))
			}
			q, r := types[dnstap.Message_RESOLVER_QUERY], types[dnstap.Message_RESOLVER_RESPONSE]
			if c.outward && (r == 0 || q <= r) || !c.outward && q+r > 0 {
				t.Errorf("%d resolver queries, %d responses: want both from resolvers that send them, and unanswered queries to dead.com", q, r)
			}
		})
	}
}

// messageTypes counts messages by type, and checks the query address of resolver responses.
func messageTypes(t *testing.T, all []*dnstap.Message) map[dnstap.Message_Type]int {
	t.Helper()
	types := make(map[dnstap.Message_Type]int)
	for _, m := range all {
		types[m.GetType()]++
		if a, _ := netip.AddrFromSlice(m.QueryAddress); m.GetType() == dnstap.Message_RESOLVER_RESPONSE &&
			a.String() != Resolver4 && a.String() != Resolver6 {
			t.Errorf("a response to %s", a)
		}
	}
	return types
}

// checkClient compares a resolver's answer with the zones: the rcode must be equal, and the
// answer must contain the records of the authoritative server.
func checkClient(t *testing.T, zones *Zones, q Question, answer *dns.Msg) {
	t.Helper()
	what := q.Name + " " + dns.TypeToString[q.Type]
	servers, truth := zones.Resolve(dns.CanonicalName(q.Name), q.Type)
	switch {
	case len(servers) == 0 && answer != nil && answer.Rcode != dns.RcodeServerFailure:
		t.Errorf("%s: no server answers for this name, but the resolver's answer is %s", what, answer)
		return
	case len(servers) == 0:
		return
	case answer == nil:
		t.Errorf("%s: no answer", what)
		return
	case truth.Kind == Refused:
		truth.Rcode = dns.RcodeServerFailure
	}
	if answer.Rcode != truth.Rcode {
		t.Errorf("%s: %s, want %s", what, dns.RcodeToString[answer.Rcode], dns.RcodeToString[truth.Rcode])
	}
	if answer.Truncated {
		return
	}
	for _, want := range truth.Answer {
		if !slices.ContainsFunc(answer.Answer, func(rr dns.RR) bool { return dns.IsDuplicate(rr, want) }) {
			t.Errorf("%s: %s is missing", what, want)
		}
	}
}

func frames(t *testing.T, file string) []*dnstap.Message {
	t.Helper()
	f, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	r, err := dnstap.NewReader(f, nil)
	if err != nil {
		t.Fatal(err)
	}
	d := dnstap.NewDecoder(r, 1<<20)
	var all []*dnstap.Message
	for {
		frame := new(dnstap.Dnstap)
		switch err := d.Decode(frame); {
		case errors.Is(err, io.EOF):
			return all
		case err != nil:
			t.Fatal(err)
		}
		all = append(all, frame.Message)
	}
}
