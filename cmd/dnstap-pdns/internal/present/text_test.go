package present

import (
	"bytes"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/miekg/dns"
	"gotest.tools/v3/golden"

	"github.com/dnstap-pdns/dnstap-pdns/forward/nmsg"
	"github.com/dnstap-pdns/dnstap-pdns/forward/nmsg/nmsgjson"
	"github.com/dnstap-pdns/dnstap-pdns/forward/nmsg/nmsgtest"
)

// vectors is the directory of nmsgtest.Vectors.
const vectors = "../../../../forward/nmsg/testdata/"

func textOf(t *testing.T, m nmsg.Message) string {
	t.Helper()
	got, err := AppendText(nil, m)
	if err != nil {
		t.Fatal(err)
	}
	nmsgtest.CheckPlain(t, got)
	return string(got)
}

func TestTextOfVectors(t *testing.T) {
	for name, every := range map[string]int{"unbound-dnsqr": 9, "dnsobs": 1, "dnstap-layout": 1} {
		t.Run(name, func(t *testing.T) {
			var got strings.Builder
			for i, m := range nmsgtest.Read(t, vectors+name+".nmsg") {
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

func TestRecordsInTextCanBeReadBack(t *testing.T) {
	var messages []nmsg.Message
	for _, name := range []string{"unbound-dnsqr", "dnsobs", "dnstap-layout"} {
		messages = append(messages, nmsgtest.Read(t, vectors+name+".nmsg")...)
	}
	messages = append(messages, nmsgtest.DNSObs([]byte{0}, nmsgtest.Pack(t, nmsgtest.RRs...), nil))
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

// compareRecords fails unless miekg/dns reads the same records from msg and from the lines, in any
// order.
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

// throughWire packs and unpacks a record, so that a record read as text equals the same record read
// from a message.
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

func TestTextContainsTheKnownFields(t *testing.T) {
	obs := nmsgtest.DNSObs([]byte("\x01a\x00"), nil, nil)
	obs.Source, obs.Operator, obs.Group = 0xabc, 2, 3
	unanswered := nmsgtest.Base(nmsg.NumberDNSQR, nmsgtest.Fields{}.Varint(1, 2).Bytes(2, make([]byte, 4)).Bytes(3, []byte{192, 0, 2, 1}).
		Varint(4, 17).Varint(5, 0).Varint(6, 53).Varint(7, 0).Bytes(8, []byte("\x01a\x00")).Varint(9, 28).Varint(10, 3).
		Fixed64(20, 0x400c000000000000))
	asked := nmsgtest.DNSObs([]byte("\x01a\x00"), nmsgtest.Pack(t), nil)
	broken := nmsgtest.DNSObs([]byte("\x01a\x00"), []byte("abc"), []byte("\x00"))
	for name, tt := range map[string]struct {
		m    nmsg.Message
		want string
	}{
		"ids":                              {obs, "2026-09-21 14:13:20 dnsobs 192.0.2.1 a. A NOERROR source=00000abc operator=2 group=3\n"},
		"unanswered, class CH":             {unanswered, "2026-09-21 14:13:20 dnsqr UDP_UNANSWERED_QUERY 192.0.2.1 a. CH AAAA timeout=3.500000s\n"},
		"another question in the response": {asked, "2026-09-21 14:13:20 dnsobs 192.0.2.1 a. A NOERROR rd\n"},
		"broken DNS":                       {broken, "2026-09-21 14:13:20 dnsobs 192.0.2.1 a. A NOERROR zone=.\n  ; no readable DNS message: 3 bytes\n"},
		"unknown type": {nmsg.Message{Vendor: 7, Type: 9, Nsec: 1, Data: []byte("\x1b[2J")},
			"1970-01-01 00:00:00.000000001 vendor=7 type=9 bytes=4\n  ; G1sySg==\n"},
		"RRset": {nmsgtest.DNSDedupe([]byte("\x01a\x00"), dns.TypeNS, []byte("\x01b\x01;\x00"), []byte{0}),
			"2026-09-21 14:13:20 dnsdedupe EXPIRATION bailiwick=a. first=2026-09-21T14:12:20Z last=2026-09-21T14:13:20Z count=3\n" +
				"  a. 300 IN NS b.\\;.\n  a. 300 IN NS .\n"},
		"RRset with unusual fields": {nmsgtest.SIE(nmsg.NumberDNSDedupe, nmsgtest.Fields{}.Bytes(5, []byte("\x1b")).
			Varint(13, 7).Bytes(14, []byte{192, 0, 2, 1}).Varint(17, 0).Varint(18, 1)),
			"2026-09-21 14:13:20 dnsdedupe 7 zone_first=1970-01-01T00:00:00Z zone_last=1970-01-01T00:00:01Z server=192.0.2.1\n" +
				"  . 0 CLASS0 TYPE0 \\# 1 1b\n"},
		"dnstap without a message": {nmsgtest.Base(nmsg.NumberDNSTap, nmsgtest.Fields{}.Varint(15, 1)), "2026-09-21 14:13:20 dnstap MESSAGE\n"},
	} {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(tt.want, textOf(t, tt.m)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestAnUnreadableRecordIsShownAsBytesAmongTheOthers(t *testing.T) {
	wire := nmsgtest.Response(nmsgtest.Record(dns.TypeA, dns.ClassINET, 1, []byte{1, 2}), nmsgtest.Record(dns.TypeA, dns.ClassINET, 1, []byte{192, 0, 2, 1}))
	want := []string{`. 1 IN A \# 2 0102`, `. 1 IN A 192.0.2.1`}
	if diff := cmp.Diff(want, recordLines(textOf(t, nmsgtest.DNSObs([]byte{0}, wire, nil)))); diff != "" {
		t.Error(diff)
	}
}

func TestPrinterReusesItsBuffersWithoutMixingMessages(t *testing.T) {
	messages := append(nmsgtest.Read(t, vectors+"unbound-dnsqr.nmsg"), nmsgtest.Base(nmsg.NumberDNSQR, []byte("garbage")))
	messages = append(messages, nmsgtest.Read(t, vectors+"dnstap-layout.nmsg")...)
	for format, appendFormat := range map[Format]func([]byte, nmsg.Message) ([]byte, error){
		JSON: new(nmsgjson.Encoder).Append, Text: AppendText,
	} {
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

func TestAnRRsetThatIsUnreadableIsAnErrorAndTheBufferStays(t *testing.T) {
	got, err := AppendText([]byte("before"), nmsgtest.SIE(nmsg.NumberDNSDedupe, []byte("garbage")))
	if err == nil || string(got) != "before" {
		t.Errorf("got %q, %v", got, err)
	}
}

func TestAMessageOfAnotherTypeIsAnErrorAndTheBufferStays(t *testing.T) {
	for _, kind := range []uint32{nmsg.NumberDNSQR, nmsg.NumberDNSTap, nmsg.NumberDNSObs} {
		for name, data := range map[string][]byte{"empty": {}, "cut": {0x0a, 9, 1}, "garbage": []byte("garbage")} {
			got, err := AppendText([]byte("before"), nmsgtest.Base(kind, data))
			if err == nil || string(got) != "before" {
				t.Errorf("type %d, %s: got %q, %v", kind, name, got, err)
			}
		}
	}
}
