package present

import (
	"bytes"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/miekg/dns"
	"gotest.tools/v3/golden"

	"github.com/dnstap-pdns/dnstap-pdns/forward/nmsg"
)

func textOf(t *testing.T, m nmsg.Message) string {
	t.Helper()
	got, err := AppendText(nil, m)
	if err != nil {
		t.Fatal(err)
	}
	checkPlain(t, got)
	return string(got)
}

// checkPlain fails unless b is lines of printable ASCII.
func checkPlain(t *testing.T, b []byte) {
	t.Helper()
	if len(b) == 0 || b[len(b)-1] != '\n' {
		t.Fatalf("no whole line: %q", b)
	}
	for i, c := range b {
		if c != '\n' && (c < ' ' || c > '~') {
			t.Fatalf("byte %#x at %d of %q", c, i, b)
		}
	}
}

func TestTextOfVectors(t *testing.T) {
	for name, every := range map[string]int{"unbound-dnsqr": 9, "dnsobs": 1, "dnstap-layout": 1} {
		t.Run(name, func(t *testing.T) {
			var got strings.Builder
			for i, m := range readMessages(t, name+".nmsg") {
				if i%every == 0 {
					got.WriteString(textOf(t, m))
				}
			}
			golden.Assert(t, got.String(), name+".txt")
		})
	}
}

// recordLines returns the lines of text that are records.
func recordLines(text string) []string {
	var records []string
	for line := range strings.Lines(text) {
		if strings.HasPrefix(line, "  ") && !strings.HasPrefix(line, "  ;") {
			records = append(records, strings.TrimSpace(line))
		}
	}
	return records
}

func TestRecordsInTextReadBackAsTheyWere(t *testing.T) {
	var messages []nmsg.Message
	for _, name := range []string{"unbound-dnsqr", "dnsobs", "dnstap-layout"} {
		messages = append(messages, readMessages(t, name+".nmsg")...)
	}
	messages = append(messages, observation([]byte{0}, pack(t, everyType...), nil))
	records := 0
	for _, m := range messages {
		s, err := summarize(m.Type, m.Data)
		if err != nil {
			t.Fatal(err)
		}
		if s.response == nil {
			continue
		}
		lines := recordLines(textOf(t, m))
		records += len(lines)
		compareRecords(t, s.response, lines)
	}
	if records < 200 {
		t.Errorf("compared %d records, want the vectors' hundreds", records)
	}
}

// compareRecords fails unless the lines are the records of msg, in miekg/dns's
// reading of both, in any order.
func compareRecords(t *testing.T, msg []byte, lines []string) {
	t.Helper()
	var m dns.Msg
	if err := m.Unpack(msg); err != nil {
		t.Fatal(err)
	}
	want := make(map[string]int)
	for _, rr := range append(append(m.Answer, m.Ns...), m.Extra...) {
		if rr.Header().Rrtype != dns.TypeOPT {
			want[rr.String()]++
		}
	}
	got := make(map[string]int)
	for _, line := range lines {
		rr, err := dns.NewRR(line)
		if err != nil {
			t.Errorf("%s: %v", line, err)
			continue
		}
		got[throughWire(t, rr).String()]++
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-message +text):\n%s", diff)
	}
}

// throughWire gives a record that was read as text the looks of one that was
// read off the wire.
func throughWire(t *testing.T, rr dns.RR) dns.RR {
	t.Helper()
	wire := make([]byte, dns.Len(rr)+16)
	n, err := dns.PackRR(rr, wire, 0, nil, false)
	if err != nil {
		t.Fatalf("%v: %v", rr, err)
	}
	back, _, err := dns.UnpackRR(wire[:n], 0)
	if err != nil {
		t.Fatalf("%v: %v", rr, err)
	}
	return back
}

// everyType has an RR of each type whose form wdns and miekg/dns share.
var everyType = []string{
	`a.test. 1 IN A 192.0.2.1`,
	`a.test. 1 IN AAAA 2001:db8::1`,
	`a.test. 1 IN CNAME b.test.`,
	`a.test. 1 IN DNAME b.test.`,
	`a.test. 1 IN PTR b.test.`,
	`a.test. 1 IN MX 10 b.test.`,
	`a.test. 1 IN SOA b.test. c.test. 1 2 3 4 5`,
	`a.test. 1 IN TXT "a \"quoted\" word" "" "\000\255\\;"`,
	`a.test. 1 IN SPF "v=spf1"`,
	`a.test. 1 IN HINFO "a" "b"`,
	`a.test. 1 IN RP b.test. c.test.`,
	`a.test. 1 IN SRV 1 2 3 b.test.`,
	`a.test. 1 IN NAPTR 1 2 "s" "SIP+D2U" "!^.*$!sip:a@b!" .`,
	`a.test. 1 IN KX 1 b.test.`,
	`a.test. 1 IN CAA 0 issue "ca.test; policy=\"x\""`,
	`a.test. 1 IN URI 10 1 "ftp://a.test/"`,
	`a.test. 1 IN DS 60485 5 1 2BB183AF5F22588179A53B0A98631FAD1A292118`,
	`a.test. 1 IN CDS 60485 5 1 2BB183AF5F22588179A53B0A98631FAD1A292118`,
	`a.test. 1 IN DNSKEY 256 3 5 AQPSKmynfzW4kyBv015MUG2DeIQ3Cbl+BBZH4b/0PY1kxkmvHjcZc8nokfzj31GajIQKY+5CptLr3buXA10hWqTk`,
	`a.test. 1 IN RRSIG A 8 2 300 20261124000000 20261110000000 12345 test. AQPSKmynfzW4kyBv015MUG2DeIQ3Cbl+BBZH4b/0PY1k`,
	`a.test. 1 IN NSEC b.test. A MX RRSIG NSEC CAA TYPE1234`,
	`a.test. 1 IN NSEC3 1 1 12 AABBCCDD 2T7B4G4VSA5SMI47K61MV5BV1A22BOJR A RRSIG`,
	`a.test. 1 IN NSEC3PARAM 1 0 12 AABBCCDD`,
	`a.test. 1 IN TLSA 3 1 1 D2ABDE240D7CD3EE6B4B28C54DF034B9`,
	`a.test. 1 IN OPENPGPKEY AQIDBA==`,
	`a.test. 1 IN CSYNC 66 3 A NS AAAA`,
	`a.test. 1 IN EUI48 ab-cd-ef-01-02-03`,
	`a.test. 1 IN EUI64 ab-cd-ef-01-02-03-04-05`,
	`a.test. 1 IN HTTPS 1 . alpn="h2,h3" port=443 ipv4hint=192.0.2.1 ech=AQID ipv6hint=2001:db8::1`,
	`a.test. 1 IN SVCB 1 b.test. mandatory=alpn alpn="f\\\\oo\\,bar,h2" no-default-alpn key667="hello\210qoo"`,
	`a.test. 1 IN SSHFP 1 1 ABCDEF`,
	`a.test. 1 IN CERT PKIX 1 RSASHA1 AQID`,
	`a.test. 1 IN LOC 52 22 23.000 N 4 53 32.000 E -2.00m 0.00m 10000m 10m`,
	`a.test. 1 IN TYPE65000 \# 3 abcdef`,
	`a.test. 1 IN TYPE65001 \# 0`,
	`a.test. 1 CH TXT "class"`,
	`a.test. 1 CH A \# 4 c0000201`,
	`\"a\;b\"\@\$\(\).\.\\\000\255 1 IN A 192.0.2.2`,
	`\$include.@. 1 IN NS a\032b.`,
}

func TestTextSaysWhatIsKnown(t *testing.T) {
	obs := observation([]byte("\x01a\x00"), nil, nil)
	obs.Source, obs.Operator, obs.Group = 0xabc, 2, 3
	unanswered := base(typeDNSQR, fields{}.varint(1, 2).bytes(2, make([]byte, 4)).bytes(3, []byte{192, 0, 2, 1}).
		varint(4, 17).varint(5, 0).varint(6, 53).varint(7, 0).bytes(8, []byte("\x01a\x00")).varint(9, 28).varint(10, 3).
		fixed64(20, 0x400c000000000000))
	broken := observation([]byte("\x01a\x00"), []byte("abc"), []byte("\x00"))
	for name, tt := range map[string]struct {
		m    nmsg.Message
		want string
	}{
		"ids":                  {obs, "2026-09-21 14:13:20 dnsobs 192.0.2.1 a. A NOERROR source=00000abc operator=2 group=3\n"},
		"unanswered, class CH": {unanswered, "2026-09-21 14:13:20 dnsqr UDP_UNANSWERED_QUERY 192.0.2.1 a. CH AAAA timeout=3.500000s\n"},
		"broken DNS":           {broken, "2026-09-21 14:13:20 dnsobs 192.0.2.1 a. A NOERROR zone=.\n  ; no readable DNS message: 3 bytes\n"},
		"unknown type": {nmsg.Message{Vendor: 7, Type: 9, Nsec: 1, Data: []byte("\x1b[2J")},
			"1970-01-01 00:00:00.000000001 vendor=7 type=9 bytes=4\n  ; G1sySg==\n"},
		"dnstap without a message": {base(typeDNSTap, fields{}.varint(15, 1)), "2026-09-21 14:13:20 dnstap MESSAGE\n"},
	} {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(tt.want, textOf(t, tt.m)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestARecordThatCannotBeReadIsShownAsBytesBesideTheOthers(t *testing.T) {
	wire := answers(record(dns.TypeA, dns.ClassINET, 1, []byte{1, 2}), record(dns.TypeA, dns.ClassINET, 1, []byte{192, 0, 2, 1}))
	want := []string{`. 1 IN A \# 2 0102`, `. 1 IN A 192.0.2.1`}
	if diff := cmp.Diff(want, recordLines(textOf(t, observation([]byte{0}, wire, nil)))); diff != "" {
		t.Error(diff)
	}
}

func TestPrinterReusesItsBuffersWithoutMixingMessages(t *testing.T) {
	messages := append(readMessages(t, "unbound-dnsqr.nmsg"), base(typeDNSQR, []byte("garbage")))
	messages = append(messages, readMessages(t, "dnstap-layout.nmsg")...)
	for format, appendFormat := range map[Format]func([]byte, nmsg.Message) ([]byte, error){JSON: AppendJSON, Text: AppendText} {
		var got, want bytes.Buffer
		p := Printer{Format: format}
		for _, m := range messages {
			line, wantErr := appendFormat(nil, m)
			want.Write(line)
			if err := p.Print(&got, m); (err == nil) != (wantErr == nil) {
				t.Fatalf("Print says %v, want %v", err, wantErr)
			}
		}
		if diff := cmp.Diff(want.String(), got.String()); diff != "" {
			t.Error(diff)
		}
	}
}
