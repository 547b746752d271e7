package integration

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/dnstap-pdns/dnstap-pdns/integration/lab"
	"github.com/miekg/dns"
)

// whoAmI returns questions of one type for n subjects of the server of whoami.com.
func whoAmI(prefix string, n int, qtype uint16) []lab.Question {
	all := make([]lab.Question, n)
	for i := range all {
		all[i] = lab.Question{Name: fmt.Sprintf("%s%d.whoami.com.", prefix, i), Type: qtype, From: lab.Client1}
	}
	return all
}

// addresses returns the first n addresses of a /64, whose prefix is given up to its last colon.
func addresses(prefix string, n int) []string {
	all := make([]string, n)
	for i := range all {
		all[i] = fmt.Sprintf("%s:%x", prefix, i+1)
	}
	return all
}

// TestWhoAmIAnswersStay checks that no answer with an address of the resolver leaves. Unbound
// asks from many addresses, or from any address of a prefix; its dnstap contains only the first
// one.
func TestWhoAmIAnswersStay(t *testing.T) {
	t.Parallel()
	const prefix = "2001:db8:64::/64"
	for name, c := range map[string]struct {
		route   string   // ip(8) command
		from    []string // addresses in addition to Resolver4
		unbound string   // lines of its server clause
		scrub   string
		askers  int // addresses that ask, at least
	}{
		"seventy addresses": {from: addresses("2001:db8:70:", 70), askers: 65},
		"prefix": {
			route:   "route add local " + prefix + " dev lo",
			unbound: "  ip-freebind: yes\n  outgoing-interface: " + prefix,
			scrub:   fmt.Sprintf("scrub {\n  resolvers = [%q]\n}\n", prefix),
			askers:  100,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := lab.NewWorld(t)
			server := w.StartWhoAmI(t)
			w.AddAddresses(t, c.from...)
			w.IP(t, c.route)
			s := startSensor(t, w.Namespace, unixSource+c.scrub+jsonLog+fileSink("first", "dnsqr")+"admin {}\n")
			// With minimisation Unbound asks for A before it asks for another type.
			unbound := w.Unbound(t, lab.Options{Tap: lab.UnixTap(s.tapPath()), AskFrom: append(c.from, lab.Resolver4),
				Directives: "server:\n  qname-minimisation: no\n" + c.unbound})
			public := []lab.Question{
				{Name: "www.shop.com.", Type: dns.TypeA, From: lab.Client1},
				{Name: "mail.shop.com.", Type: dns.TypeAAAA, From: lab.Client1},
				{Name: "shop.com.", Type: dns.TypeTXT, From: lab.Client1},
				{Name: "edge.cdn.net.", Type: dns.TypeA, From: lab.Client1},
			}
			w.Ask(t, unbound, public)
			answered := map[key]bool{}
			// A is last, because it shows the IPv4 address after many others were seen.
			for _, qtype := range []uint16{dns.TypeAAAA, dns.TypeTXT, dns.TypeA} {
				questions := whoAmI(dns.TypeToString[qtype], 200, qtype)
				for i, answer := range w.Ask(t, unbound, questions) {
					if answer == nil || answer.Rcode != dns.RcodeSuccess {
						t.Fatalf("%s was answered with %s", questions[i].Name, answer)
					}
					if len(answer.Answer) > 0 {
						answered[key{name: dns.CanonicalName(questions[i].Name), qtype: qtype}] = true
					}
				}
			}
			// Unbound has one thread, so the last message is read last.
			w.Ask(t, unbound, []lab.Question{{Name: "nosuchtld.", Type: dns.TypeA, From: lab.Client1}})
			await(t, "the last answer to be dropped", func() bool { return s.readLedger(t).Total.Dropped["special_name"] > 0 })
			unbound.StopNow(t)
			closing := s.stop(t)

			out := s.written(t, "first")
			checkRecords(t, w.Zones, out)
			checkExpected(t, w.Zones, out, public)
			askers := server.Askers()
			for _, a := range askers {
				checkAddressAbsent(t, out, a.String())
			}
			left := 0
			for _, r := range out.records {
				if answered[key{name: r.Name, qtype: r.Type}] && len(r.Response.Answer) > 0 {
					left++
				}
			}
			dropped := closing.Dropped["resolver_address"]
			if len(askers) < c.askers || left > 0 || dropped < uint64(len(answered)) {
				t.Errorf("%d addresses asked, want %d or more; of %d answers %d left, and %d were dropped", len(askers), c.askers, len(answered), left, dropped)
			}
			t.Logf("%d answers with one of %d addresses: %d dropped, %d left; %d records", len(answered), len(askers), dropped, left, closing.Records)
		})
	}
}

// shareTime is the documented limit until an address from messages of one connection is known
// on every other connection.
const shareTime = 2 * time.Second

// TestAddressIsKnownOnOtherConnections uses PowerDNS Recursor, which has a dnstap connection for
// each thread. An address in messages of one connection is soon known on the other.
func TestAddressIsKnownOnOtherConnections(t *testing.T) {
	t.Parallel()
	const subjects = 60
	// With 1,000 addresses a thread seldom uses one that the other connection contained.
	many := addresses("2001:db8:70:", 1000)
	w := lab.NewWorld(t)
	server := w.StartWhoAmI(t)
	w.AddAddresses(t, many...)
	s := startSensor(t, w.Namespace, unixSource+jsonLog+fileSink("first", "dnsqr")+"admin {}\n")
	powerDNS := w.PowerDNS(t, lab.Options{Tap: lab.UnixTap(s.tapPath()), Threads: 2, AskFrom: many})
	// Afterwards each question is one query, because the zone's server is known.
	w.Ask(t, powerDNS, whoAmI("before", 1, dns.TypeTXT))
	await(t, "the first answer to be dropped", func() bool { return s.readLedger(t).Total.Dropped["resolver_address"] > 0 })

	var lefts []uint64
	// round asks for every subject, and returns how many answers left.
	round := func() uint64 {
		before := s.readLedger(t).Total
		questions := whoAmI(fmt.Sprintf("round%d-", len(lefts)), subjects, dns.TypeTXT)
		for i, answer := range w.Ask(t, powerDNS, questions) {
			if answer == nil || len(answer.Answer) != 1 {
				t.Fatalf("%s was answered with %s", questions[i].Name, answer)
			}
		}
		var left uint64
		await(t, "the answers to be judged", func() bool {
			now := s.readLedger(t).Total
			left = now.Records - before.Records
			return left+now.Dropped["resolver_address"]-before.Dropped["resolver_address"] >= subjects
		})
		lefts = append(lefts, left)
		return left
	}
	// The first round's answers contain the address that asked for them; later ones repeat
	// these, whichever connection shows them.
	round()
	began := time.Now()
	for round() > 0 {
		if time.Since(began) > shareTime+slack {
			t.Fatalf("of rounds of %d answers %d left", subjects, lefts)
		}
	}
	checkTwoConnections(t, s, subjects/4)
	powerDNS.StopNow(t)
	closing := s.stop(t)
	last := fmt.Sprintf("round%d-", len(lefts)-1)
	for _, r := range s.written(t, "first").records {
		if strings.HasPrefix(r.Name, "round0-") || strings.HasPrefix(r.Name, last) {
			t.Errorf("%s left", r.Name)
		}
	}
	t.Logf("%d addresses; of rounds of %d answers %d left: %+v", len(server.Askers()), subjects, lefts, closing.account)
}

// checkTwoConnections checks that at least two connections had n or more outward messages.
func checkTwoConnections(t *testing.T, s *sensor, n uint64) {
	t.Helper()
	var shown struct {
		Sources []struct {
			Dnstap struct{ Connections []struct{ Outward uint64 } }
		}
	}
	if err := json.Unmarshal(s.get(t, "/ledger"), &shown); err != nil {
		t.Fatal(err)
	}
	busy := 0
	for _, c := range shown.Sources[0].Dnstap.Connections {
		if c.Outward >= n {
			busy++
		}
	}
	if busy < 2 {
		t.Errorf("outward messages by connection: %+v, want %d or more on two", shown.Sources[0].Dnstap.Connections, n)
	}
}
