package transform

import (
	"bytes"
	"encoding/binary"
	"strings"
	"testing"

	"github.com/miekg/dns"

	"github.com/dnstap-pdns/dnstap-pdns/transform/dnswire"
	"github.com/dnstap-pdns/dnstap-pdns/transform/dnswire/wiretest"
)

// scrubSeeds returns messages at the boundary of a rule.
func scrubSeeds(tb testing.TB) [][]byte {
	tb.Helper()
	var seeds [][]byte
	for _, tt := range wiretest.WalkCases {
		seeds = append(seeds, wiretest.Unhex(tb, tt.Hex))
	}
	seeds = append(seeds, wiretest.RealMessages(tb)...)
	for _, tt := range nameMatches {
		seeds = append(seeds, wiretest.New(tt.name, dns.TypeA).Wire, answering(dns.TypeNSEC, append(wiretest.Name(tt.name), 0, 1, 0x40)),
			answering(65280, wiretest.Name(tt.name)))
	}
	for _, tt := range textMatches {
		seeds = append(seeds, answering(dns.TypeTXT, charStrings(tt.text[:3], tt.text[3:])), answering(65280, []byte(tt.text)))
	}
	for _, tt := range ownTexts {
		seeds = append(seeds, answering(dns.TypeTXT, charStrings(tt.text)), answering(dns.TypeSVCB, svcb(7, tt.text)))
	}
	for _, tt := range networkAddresses {
		seeds = append(seeds, tt.wire)
	}
	for at := range len(afterOPTRecords) + 1 {
		seeds = append(seeds, withOPT(tb, at, afterOPTRecords))
	}
	for _, typ := range wiretest.KnownTypes() {
		seeds = append(seeds, answering(typ, wiretest.SampleRdata(tb, typ)))
	}
	return seeds
}

// FuzzScrub checks that every record is whole, has the same content as the message, and
// contains nothing that an oracle finds to be local.
func FuzzScrub(f *testing.F) {
	for _, seed := range scrubSeeds(f) {
		f.Add(seed)
	}
	p := scrubPolicy(f)
	o := newOracle()
	lane := NewPairer(NewBudget(8))
	var book notebook
	lane.Trace(&book)
	f.Fuzz(func(t *testing.T, wire []byte) {
		if len(wire) >= dnswire.HeaderLen {
			wire = bytes.Clone(wire)
			wire[2] = wire[2]&0x04 | 0x80 // otherwise few inputs would be scrubbed
		}
		var response []byte
		reason := lane.Take(asResponse(wire), p, func(r *Record) {
			response = r.Response
			if want := lowered(wiretest.Presentation(t, wire, dnswire.HeaderLen)); wiretest.Presentation(t, r.Name, 0) != want {
				t.Errorf("record's name is %q, want %s", r.Name, want)
			}
		})
		if (response != nil) != (reason == Kept) {
			t.Fatalf("%v, with response % x", reason, response)
		}
		if reason == Kept {
			checkScrubbed(t, o, p, wire, response, book.verdicts[0].Edits)
		}
		c := lane.Counts()
		if c.Read != c.Sum() {
			t.Errorf("%d messages, %d accounted for", c.Read, c.Sum())
		}
		checkForbidden(t, &c)
		if v := book.verdicts[0]; v.Record != nil {
			checkEdits(t, wire, &v)
		}
		book = notebook{}
	})
}

func checkScrubbed(t *testing.T, o *oracle, p *Policy, in, out []byte, edits []Edit) {
	t.Helper()
	var w dnswire.Walker
	if !w.Walk(out) || w.OPT >= 0 || w.End != len(out) || len(out) > dnswire.MaxMessage || w.PointsOutsideNames {
		t.Errorf("not clean: % x", out)
	}
	if binary.BigEndian.Uint16(out) != 0 || binary.BigEndian.Uint16(out[2:])&cleared != 0 {
		t.Errorf("header % x", out[:dnswire.HeaderLen])
	}
	sameAnswer(t, in, out, edits...)
	if leaks := o.leaks(t, out); len(leaks) > 0 {
		t.Errorf("leaks: %s\n% x", strings.Join(leaks, "\n"), in)
	}
	out = bytes.Clone(out)
	if again, reason := scrubOne(p, asResponse(out)); again == nil || !bytes.Equal(again.Response, out) {
		t.Errorf("scrubbed twice: %v\n% x", reason, out)
	}
}
