package explain

import (
	"bytes"
	"encoding/json"
	"testing"

	"github.com/miekg/dns"

	"github.com/dnstap-pdns/dnstap-pdns/cmd/dnstap-pdns/internal/canary"
	"github.com/dnstap-pdns/dnstap-pdns/transform"
)

// FuzzReport has arbitrary messages, zones and frames: the report is printable, and its JSON is
// one document.
func FuzzReport(f *testing.F) {
	for _, m := range []*dns.Msg{
		withOPT(response(f, `\027[2J\007<script>.test-tld.`, dns.TypeTXT, `\027[2J\007<script>.test-tld. TXT "\027]0;x\007"`)),
		response(f, `bü\"cher.corp.example.`, dns.TypeA),
		response(f, "whoami.test-tld.", dns.TypeTXT, `whoami.test-tld. TXT "\000\377 192.0.2.53"`),
		response(f, "x.test-tld.", 65280, `x.test-tld. TYPE65280 \# 4 c0000235`),
	} {
		f.Add(pack(f, m), []byte("\x04\x1b[2J\x00"), []byte("\x0a\x05\x1b[2J\xff"), "caf\u00e9\x1b\u202e")
	}
	f.Fuzz(func(t *testing.T, wire, zone, frame []byte, word string) {
		policy, err := transform.NewPolicy(site())
		if err != nil {
			t.Fatal(err)
		}
		e := New(site(), Options{Canaries: []canary.Canary{canary.OfText("test")}})
		e.EnableCensus(len(wire)%2 == 0)
		e.addFrame(frame)
		p := transform.NewPairer(transform.NewBudget(10))
		p.Trace(e.Trace(word))
		for _, m := range []*transform.Message{asked(wire), answered(wire)} {
			m.Zone = zone
			p.Take(m, policy, func(r *transform.Record) { e.Sent("dnsqr", contained(t, r), false) })
		}
		p.Finish(policy, func(*transform.Record) {})
		e.Sent("dnsqr", frame, false)
		counts := p.Counts()
		r := e.Report(&counts, Origin{Version: word, Command: []string{word}, Configuration: word,
			Inputs: []Input{{Name: word}}, Problems: []string{word}})
		var text, doc bytes.Buffer
		if err := r.WriteText(&text, true); err != nil {
			t.Fatal(err)
		}
		if err := r.WriteJSON(&doc); err != nil {
			t.Fatal(err)
		}
		var back Report
		if err := json.Unmarshal(doc.Bytes(), &back); err != nil {
			t.Fatal(err)
		}
		for _, out := range [][]byte{text.Bytes(), doc.Bytes()} {
			if i := bytes.IndexFunc(out, func(c rune) bool { return c != '\n' && (c < ' ' || c > '~') }); i >= 0 {
				t.Errorf("not printable: %q", out[i:min(len(out), i+40)])
			}
		}
	})
}
