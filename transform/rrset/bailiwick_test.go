package rrset

import (
	"net/netip"
	"os"
	"strings"
	"testing"

	"github.com/miekg/dns"

	"github.com/dnstap-pdns/dnstap-pdns/transform"
	"github.com/dnstap-pdns/dnstap-pdns/transform/dnswire"
	"github.com/dnstap-pdns/dnstap-pdns/transform/dnswire/wiretest"
)

const (
	comServer     = "192.5.6.30"
	exampleServer = "192.0.2.1"
)

// TestExactVerification has one case for each rule about the zone that the resolver stated.
func TestExactVerification(t *testing.T) {
	for _, c := range []struct {
		what  string
		reply reply
		want  []string
		count map[Outcome]uint64
	}{
		{
			"every section of NOERROR passes",
			reply{server: exampleServer, zone: "example.com", name: "www.example.com.",
				answer: "www.example.com. 60 A 192.0.2.80", authority: "example.com. 60 NS ns.example.com.", additional: "ns.example.com. 60 A 192.0.2.1"},
			[]string{"www.example.com. A example.com.", "example.com. NS example.com.", "ns.example.com. A example.com."},
			map[Outcome]uint64{Exact: 3},
		}, {
			"names are compared by whole labels",
			reply{server: exampleServer, zone: "example.com", name: "www.example.com.",
				answer: "www.example.com. 60 A 192.0.2.80", additional: "notexample.com. 60 A 192.0.2.66\nexample.com.evil.test. 60 A 192.0.2.66"},
			[]string{"www.example.com. A example.com."},
			map[Outcome]uint64{Exact: 1, OutOfZone: 2},
		}, {
			"the query name is outside",
			reply{server: exampleServer, zone: "example.com", name: "notexample.com.", answer: "www.example.com. 60 A 192.0.2.80"},
			nil,
			map[Outcome]uint64{OutOfZone: 1},
		}, {
			"a target outside the zone waits for its own query",
			reply{server: exampleServer, zone: "example.com", name: "www.example.com.",
				answer: "www.example.com. 60 CNAME www.example.net.\nwww.example.net. 60 A 192.0.2.80"},
			[]string{"www.example.com. CNAME example.com."},
			map[Outcome]uint64{Exact: 1, OutOfZone: 1},
		}, {
			"a chain inside the zone passes whole",
			reply{server: exampleServer, zone: "example.com", name: "a.example.com.",
				answer: "a.example.com. 60 CNAME b.example.com.\nb.example.com. 60 CNAME c.sub.example.com.\nc.sub.example.com. 60 A 192.0.2.80"},
			[]string{"a.example.com. CNAME example.com.", "b.example.com. CNAME example.com.", "c.sub.example.com. A example.com."},
			map[Outcome]uint64{Exact: 3},
		}, {
			"DNAME with its synthesised CNAME",
			reply{server: exampleServer, zone: "example.com", name: "x.old.example.com.",
				answer: "old.example.com. 60 DNAME new.example.org.\nx.old.example.com. 60 CNAME x.new.example.org.\nx.new.example.org. 60 A 192.0.2.80"},
			[]string{"old.example.com. DNAME example.com.", "x.old.example.com. CNAME example.com."},
			map[Outcome]uint64{Exact: 2, OutOfZone: 1},
		}, {
			"a referral: NS, DS and glue of the child are the parent's to state",
			reply{server: comServer, zone: "com", name: "www.example.com.",
				authority:  "example.com. 60 NS ns.example.com.\nexample.com. 60 DS 1 8 2 00\nexample.com. 60 RRSIG DS 8 2 60 20300101000000 20200101000000 1 com. AA==",
				additional: "ns.example.com. 60 A 192.0.2.1\nns.example.net. 60 A 192.0.2.2"},
			[]string{"example.com. NS com.", "example.com. DS com.", "example.com. RRSIG com.", "ns.example.com. A com."},
			map[Outcome]uint64{Exact: 4, OutOfZone: 1},
		}, {
			"DS at the apex belongs to the parent, with its signature",
			reply{server: exampleServer, zone: "example.com", name: "example.com.", qtype: dns.TypeDS,
				answer: "example.com. 60 DS 1 8 2 00\nexample.com. 60 RRSIG DS 8 2 60 20300101000000 20200101000000 1 com. AA=="},
			nil,
			map[Outcome]uint64{OutOfZone: 2},
		}, {
			"other signatures at the apex pass",
			reply{server: exampleServer, zone: "example.com", name: "example.com.", qtype: dns.TypeANY,
				answer: "example.com. 60 RRSIG DS 8 2 60 20300101000000 20200101000000 1 com. AA==\nexample.com. 60 RRSIG NS 8 2 60 20300101000000 20200101000000 1 example.com. AA=="},
			[]string{"example.com. RRSIG example.com."},
			map[Outcome]uint64{Exact: 1},
		}, {
			"priming",
			reply{server: rootServer.String(), zone: ".", name: ".", qtype: dns.TypeNS,
				answer: ". 60 NS a.root-servers.net.", additional: "a.root-servers.net. 60 A 198.41.0.4"},
			[]string{". NS .", "a.root-servers.net. A ."},
			map[Outcome]uint64{Exact: 2},
		}, {
			"the root zone needs a root server",
			reply{server: exampleServer, zone: ".", name: "www.example.com.", answer: "www.example.com. 60 A 192.0.2.80"},
			nil,
			map[Outcome]uint64{NotRoot: 1},
		}, {
			"a server that is asked as a resolver",
			reply{server: exampleServer, zone: "example.com", name: "www.example.com.", answer: "www.example.com. 60 A 192.0.2.80", forwarded: true},
			nil,
			map[Outcome]uint64{Forwarded: 1},
		}, {
			"a lame server refers to the root",
			reply{server: exampleServer, zone: "example.com", name: "www.example.com.", authority: ". 60 NS a.root-servers.net.\ncom. 60 NS a.gtld-servers.net."},
			nil,
			map[Outcome]uint64{OutOfZone: 2},
		}, {
			"a server that fails proves nothing",
			reply{server: exampleServer, zone: "example.com", name: "www.example.com.", rcode: dns.RcodeServerFailure, answer: "www.example.com. 60 A 192.0.2.80"},
			nil,
			map[Outcome]uint64{Rcode: 1},
		}, {
			"NXDOMAIN: the chain and the proof",
			reply{server: exampleServer, zone: "example.com", name: "a.example.com.", rcode: dns.RcodeNameError,
				answer: `a.example.com. 60 CNAME x.old.example.com.
					a.example.com. 60 RRSIG CNAME 8 3 60 20300101000000 20200101000000 1 example.com. AA==
					a.example.com. 60 RRSIG A 8 3 60 20300101000000 20200101000000 1 example.com. AA==
					old.example.com. 60 DNAME new.example.com.
					x.new.example.com. 60 CNAME gone.example.com.
					stray.example.com. 60 CNAME gone.example.com.
					gone.example.com. 60 A 192.0.2.80`,
				authority: `example.com. 60 SOA ns.example.com. h.example.com. 1 2 3 4 5
					example.com. 60 RRSIG SOA 8 2 60 20300101000000 20200101000000 1 example.com. AA==
					example.com. 60 NS ns.example.com.
					a.example.com. 60 NSEC z.example.com. A
					0.example.com. 60 NSEC3 1 0 0 - 00 A`,
				additional: "ns.example.com. 60 A 192.0.2.1"},
			[]string{"a.example.com. CNAME example.com.", "a.example.com. RRSIG example.com.", "old.example.com. DNAME example.com.",
				"x.new.example.com. CNAME example.com.", "example.com. SOA example.com.", "example.com. RRSIG example.com.",
				"a.example.com. NSEC example.com.", "0.example.com. NSEC3 example.com."},
			map[Outcome]uint64{Exact: 8, Rcode: 4},
		}, {
			"NXDOMAIN: a CNAME before the DNAME above it",
			reply{server: exampleServer, zone: "example.com", name: "x.old.example.com.", rcode: dns.RcodeNameError,
				answer: `old.example.com. 60 DNAME new.example.com.
					x.old.example.com. 60 CNAME other.example.com.
					x.new.example.com. 60 CNAME gone.example.com.
					other.example.com. 60 CNAME gone.example.com.`},
			[]string{"old.example.com. DNAME example.com.", "x.old.example.com. CNAME example.com.", "other.example.com. CNAME example.com."},
			map[Outcome]uint64{Exact: 3, Rcode: 1},
		}, {
			"NXDOMAIN: a loop of aliases, and names that become too long",
			reply{server: exampleServer, zone: "example.com", name: "a.example.com.", rcode: dns.RcodeNameError,
				answer: `a.example.com. 60 CNAME x.b.example.com.
					b.example.com. 60 DNAME ` + strings.Repeat("y", 50) + `.b.example.com.
					stray.example.com. 60 CNAME gone.example.com.`},
			[]string{"a.example.com. CNAME example.com.", "b.example.com. DNAME example.com."},
			map[Outcome]uint64{Exact: 2, Rcode: 1},
		}, {
			"another class than the question's",
			reply{server: exampleServer, zone: "example.com", name: "www.example.com.", answer: "www.example.com. 60 CH TXT x"},
			nil,
			map[Outcome]uint64{OutOfZone: 1},
		},
	} {
		t.Run(c.what, func(t *testing.T) {
			s := newSensor(t)
			s.expect(c.reply, c.want...)
			s.count(c.count)
		})
	}
}

// TestUnusableZonesAreJudgedAsPackets covers zones that a source states but that are no names: they
// never count as the root.
func TestUnusableZonesAreJudgedAsPackets(t *testing.T) {
	for _, zone := range [][]byte{nil, {}, {3, 'c', 'o'}, {0, 0}, {0xc0, 0x0c}} {
		s := newSensor(t)
		r := (&reply{server: exampleServer, name: "www.example.com.", answer: "www.example.com. 60 A 192.0.2.80", time: noon}).record(t)
		r.Zone = zone
		s.Take(r, 0, s.note)
		if c := s.Counts(); len(s.passed) > 0 || c.Held != 1 {
			t.Errorf("zone %v: passed %v, counts %+v", zone, s.passed, c)
		}
	}
}

func TestQueriesWithoutResponsesHaveNoRRsets(t *testing.T) {
	s := newSensor(t)
	r := (&reply{server: exampleServer, name: "www.example.com.", time: noon}).record(t)
	r.HasResponse, r.Response = false, nil
	s.Take(r, 0, s.note)
	s.count(map[Outcome]uint64{})
}

func TestAMalformedResponseCountsOnce(t *testing.T) {
	s := newSensor(t)
	r := (&reply{server: exampleServer, zone: "example.com", name: "www.example.com.", answer: "www.example.com. 60 A 192.0.2.80", time: noon}).record(t)
	r.Response = r.Response[:len(r.Response)-1]
	s.Take(r, 0, s.note)
	s.count(map[Outcome]uint64{Malformed: 1})
}

func TestEveryOutcomeHasANameAndAMeaning(t *testing.T) {
	names := map[string]bool{}
	for _, o := range Outcomes() {
		if o.String() == "" || o.Meaning() == "" || names[o.String()] {
			t.Errorf("outcome %d: %q: %q", o, o, o.Meaning())
		}
		names[o.String()] = true
	}
	if o := numOutcomes; o.String() != "unknown" || o.Meaning() != "" {
		t.Errorf("an unknown outcome: %q: %q", o, o.Meaning())
	}
}

func TestEveryOutcomeIsDocumented(t *testing.T) {
	page, err := os.ReadFile("../../docs/rrsets.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, o := range Outcomes() {
		if row := "| `" + o.String() + "` | " + o.Meaning() + " |\n"; !strings.Contains(string(page), row) {
			t.Errorf("docs/rrsets.md lacks the row %s", row)
		}
	}
}

// TestTakeAllocatesNothing when it learns nothing new.
func TestTakeAllocatesNothing(t *testing.T) {
	for _, zone := range []string{"example.com", ""} {
		s := warm(t)
		r := &transform.Record{
			Server: netip.AddrPortFrom(netip.MustParseAddr(exampleServer), 53), HasResponse: true, HasQuery: true, QueryTime: noon,
			Response: manyRRsets(t),
		}
		if zone != "" {
			r.Zone = wiretest.Name(zone)
		}
		passed := 0
		emit := func(*RRset, transform.Time, uint32) { passed++ }
		s.Take(r, 0, emit)
		if n := testing.AllocsPerRun(100, func() { s.Take(r, 0, emit) }); n != 0 || passed != 102*4 {
			t.Errorf("zone %q: %v allocations, %d RRsets passed", zone, n, passed)
		}
	}
}

func BenchmarkTake(b *testing.B) {
	for _, zone := range []string{"example.com", ""} {
		b.Run(map[bool]string{true: "packets", false: "exact"}[zone == ""], func(b *testing.B) {
			s := warm(b)
			r := &transform.Record{
				Server: netip.AddrPortFrom(netip.MustParseAddr(exampleServer), 53), HasResponse: true, HasQuery: true, QueryTime: noon,
				Response: manyRRsets(b),
			}
			if zone != "" {
				r.Zone = wiretest.Name(zone)
			}
			emit := func(*RRset, transform.Time, uint32) {}
			b.ReportAllocs()
			for b.Loop() {
				s.Take(r, 0, emit)
			}
		})
	}
}

// FuzzTake gives two arbitrary responses to a sensor that knows their servers. Every RRset must have
// one outcome, and what passes must be in the zone of its server.
func FuzzTake(f *testing.F) {
	for _, msg := range wiretest.RealMessages(f) {
		f.Add(msg, msg, false)
	}
	f.Add(comReferral.record(f).Response, answer.record(f).Response, false)
	f.Add(rootReferral.record(f).Response, manyRRsets(f), true)
	f.Fuzz(func(t *testing.T, first, second []byte, zoned bool) {
		s := warm(t)
		before := s.Counts()
		want, other := uint64(0), NewSplitter()
		for i, server := range []string{comServer, exampleServer} {
			r := &transform.Record{
				Server: netip.AddrPortFrom(netip.MustParseAddr(server), 53), HasResponse: true, HasQuery: true, QueryTime: s.now,
				Response: [][]byte{first, second}[i],
			}
			zone := wiretest.Name([]string{"com", "example.com"}[i])
			if zoned {
				r.Zone = zone
			}
			if x, ok := other.Split(r.Response); ok {
				want += uint64(x.Len())
			} else {
				want++
			}
			s.Take(r, 0, func(r *RRset, _ transform.Time, _ uint32) {
				if !dnswire.IsBelow(r.Name, r.Bailiwick) || !dnswire.IsBelow(r.Bailiwick, zone) {
					t.Errorf("%s passed from the server of %s", shown(r), text(zone))
				}
			})
		}
		c, got := s.Counts(), uint64(0)
		for o := range c.By {
			got += c.By[o] - before.By[o]
		}
		if got+c.Held != want {
			t.Errorf("%d RRsets have an outcome and %d are held, of %d", got, c.Held, want)
		}
	})
}
