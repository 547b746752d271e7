package nmsgjson

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/miekg/dns"

	"github.com/dnstap-pdns/dnstap-pdns/forward/nmsg"
	"github.com/dnstap-pdns/dnstap-pdns/forward/nmsg/nmsgtest"
)

// TestVectorsAreEncodedAsNmsgtoolPrintsThem compares with nmsgtool's own output.
func TestVectorsAreEncodedAsNmsgtoolPrintsThem(t *testing.T) {
	lines := map[string]int{"unbound-dnsqr": 127, "dnsobs": 3, "dnstap-layout": 4}
	var e Encoder
	for _, name := range nmsgtest.Vectors {
		t.Run(name, func(t *testing.T) {
			file, err := os.ReadFile("../testdata/" + name + ".json")
			if err != nil {
				t.Fatal(err)
			}
			want := bytes.SplitAfter(file, []byte{'\n'})
			messages := nmsgtest.Read(t, "../testdata/"+name+".nmsg")
			if len(messages) != lines[name] {
				t.Fatalf("read %d messages, want %d", len(messages), lines[name])
			}
			for i, m := range messages {
				got, err := e.Append(nil, m)
				if err != nil {
					t.Fatalf("line %d: %v", i+1, err)
				}
				if diff := cmp.Diff(string(want[i]), string(got)); diff != "" {
					t.Errorf("line %d (-nmsgtool +ours):\n%s", i+1, diff)
				}
			}
		})
	}
}

func jsonLine(t *testing.T, m nmsg.Message) string {
	t.Helper()
	got, err := new(Encoder).Append(nil, m)
	if err != nil {
		t.Fatal(err)
	}
	if !json.Valid(got) {
		t.Fatalf("no JSON: %s", got)
	}
	return string(got)
}

// member returns a member of the message as it is written.
func member(t *testing.T, m nmsg.Message, name string) string {
	t.Helper()
	var line struct{ Message map[string]json.RawMessage }
	if err := json.Unmarshal([]byte(jsonLine(t, m)), &line); err != nil {
		t.Fatal(err)
	}
	return string(line.Message[name])
}

func TestMemoryIsReused(t *testing.T) {
	var e Encoder
	messages := nmsgtest.Read(t, "../testdata/unbound-dnsqr.nmsg")
	held := func() int {
		for _, m := range messages {
			if _, err := e.Append(nil, m); err != nil {
				t.Fatal(err)
			}
		}
		return cap(e.text) + cap(e.texts) + cap(e.names) + cap(e.numbers) + cap(e.rrsets) + cap(e.questions) + cap(e.opts) + cap(e.messages)
	}
	first := held()
	if second := held(); second != first {
		t.Errorf("room for %d items grew to %d", first, second)
	}
}

func TestIDsAndTimeOfThePayload(t *testing.T) {
	m := nmsg.Message{Vendor: nmsg.VendorSIE, Type: 2, Sec: -1, Nsec: 5, Source: 0xabc, Operator: 2, Group: 3, Data: []byte("\x00\xff")}
	want := `{"time":"1969-12-31 23:59:59.000000005","vname":"SIE","mname":"(unknown)","source":"00000abc",` +
		`"operator":2,"group":3,"vid":2,"msgtype":2,"payload":"AP8="}` + "\n"
	if diff := cmp.Diff(want, jsonLine(t, m)); diff != "" {
		t.Error(diff)
	}
}

func TestDistantTimesKeepTheirFormat(t *testing.T) {
	for _, sec := range []int64{math.MinInt64, -1 << 40, 0, math.MaxUint32, 1 << 40, math.MaxInt64} {
		got := string(AppendTime(nil, sec, math.MaxUint32))
		if !regexp.MustCompile(`^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{9}$`).MatchString(got) {
			t.Errorf("second %d shows as %q", sec, got)
		}
	}
}

func TestNumbersAreWrittenAsNmsgtoolDoes(t *testing.T) {
	for v, want := range map[float64]string{
		0:                   "0.0",
		0.00006:             "0.00006",
		3.007718:            "3.007718000000000114",
		-1.5:                "-1.5",
		20:                  "20.0",
		math.Inf(1):         "null",
		math.NaN():          "null",
		math.MaxFloat64 / 2: strconv.FormatFloat(math.MaxFloat64/2, 'f', 1, 64),
	} {
		m := nmsgtest.Base(nmsg.NumberDNSQR, nmsgtest.DNSQR().Fixed64(20, math.Float64bits(v)))
		if got := member(t, m, "timeout"); got != want {
			t.Errorf("timeout %v is written %s, want %s", v, got, want)
		}
	}
	m := nmsgtest.Base(nmsg.NumberDNSQR, nmsgtest.DNSQR().Varint(13, math.MaxUint64).Fixed32(14, math.MaxUint32))
	if got, want := member(t, m, "query_time_sec"), "[18446744073709551615]"; got != want {
		t.Errorf("second -1 is written %s, want %s", got, want)
	}
	if got, want := member(t, m, "query_time_nsec"), "[18446744073709551615]"; got != want {
		t.Errorf("nanosecond -1 is written %s, want %s", got, want)
	}
}

func TestDelayIsThatOfTheLastPacket(t *testing.T) {
	m := nmsgtest.DNSQR().Varint(13, 10).Fixed32(14, 900_000_000).
		Varint(16, 11).Fixed32(17, 100_000_000).Varint(16, 12).Fixed32(17, 400_000_000)
	if got, want := member(t, nmsgtest.Base(nmsg.NumberDNSQR, m), "delay"), "1.5"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	reordered := nmsgtest.DNSQR().Varint(13, 10).Fixed32(14, 0).Varint(16, 12).Fixed32(17, 0).Varint(16, 11).Fixed32(17, 0)
	if got, want := member(t, nmsgtest.Base(nmsg.NumberDNSQR, reordered), "delay"), "2.0"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	uneven := nmsgtest.DNSQR().Varint(13, 10).Fixed32(14, 0).Varint(16, 11)
	if got := member(t, nmsgtest.Base(nmsg.NumberDNSQR, uneven), "delay"); got != "" {
		t.Errorf("got %s from times that lack their nanoseconds, want none", got)
	}
}

func TestValuesWithoutANameAreNumbers(t *testing.T) {
	m := nmsgtest.Base(nmsg.NumberDNSQR, nmsgtest.Fields{}.Varint(1, 99).Bytes(2, make([]byte, 16)).Bytes(3, make([]byte, 16)).
		Varint(4, 132).Varint(5, 1).Varint(6, 2).Varint(7, 3).Bytes(8, nil).
		Varint(9, 65000).Varint(10, 300).Varint(11, 4095).Varint(21, 9).Varint(22, 1).Bytes(18, []byte("t")).Bytes(19, nil))
	got := jsonLine(t, m)
	want := `{"time":"2026-09-21 14:13:20.000000000","vname":"base","mname":"dnsqr","message":{"type":99,"query_ip":"::",` +
		`"response_ip":"::","proto":"132","query_port":1,"response_port":2,"id":3,"qname":"","qclass":"<UNKNOWN>",` +
		`"qtype":"TYPE65000","rcode":"4095","query_packet":[],"query_time_sec":[],"query_time_nsec":[],"response_packet":[],` +
		`"response_time_sec":[],"response_time_nsec":[],"udp_checksum":9,"resolver_address_zeroed":true,"tcp":"dA==","icmp":""}}` + "\n"
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestMalformedDNSIsNullInAValidLine(t *testing.T) {
	good := nmsgtest.Record(dns.TypeA, dns.ClassINET, 300, []byte{192, 0, 2, 1})
	for name, response := range map[string][]byte{
		"nothing":                 {},
		"half a header":           make([]byte, 11),
		"cut record":              nmsgtest.Response(good, good[:12]),
		"record short of a byte":  nmsgtest.Response(good, good[:len(good)-1]),
		"data of the wrong size":  nmsgtest.Response(good, nmsgtest.Record(dns.TypeA, dns.ClassINET, 300, []byte{1})),
		"question without a type": {0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0},
		"pointer loop":            append(make([]byte, 5), 1, 0, 0, 0, 0, 0, 0, 0xc0, 12, 0, 1, 0, 1),
	} {
		t.Run(name, func(t *testing.T) {
			m := nmsgtest.DNSObs([]byte{0}, response, []byte("\x03com\x00"))
			if got := member(t, m, "response_json"); got != "null" {
				t.Errorf("response_json is %s, want null", got)
			}
			if got, want := member(t, m, "query_zone"), `"com."`; got != want {
				t.Errorf("query_zone after it is %s, want %s", got, want)
			}
		})
	}
}

func TestSectionsThatEndEarlyAreTaken(t *testing.T) {
	wire := nmsgtest.Response(nmsgtest.Record(dns.TypeA, dns.ClassINET, 300, []byte{192, 0, 2, 1}))
	wire[7] = 9
	want := `{"header":{"opcode":"QUERY","rcode":"NOERROR","id":0,"flags":["qr"]},"question":[],` +
		`"answer":[{"rrname":".","rrttl":300,"rrclass":"IN","rrtype":"A","rdata":["192.0.2.1"]}],"authority":[],"additional":[]}`
	if diff := cmp.Diff(want, member(t, nmsgtest.DNSObs([]byte{0}, wire, nil), "response_json")); diff != "" {
		t.Error(diff)
	}
}

func TestRRsetsAreGatheredUnderFirstOwnerAndLowestTTL(t *testing.T) {
	wire := nmsgtest.Pack(t, "A.example.org. 300 A 192.0.2.1", "b.example.org. 300 A 192.0.2.2",
		"a.EXAMPLE.org. 60 A 192.0.2.3", "a.example.org. 10 TXT x", "a.example.org. 900 A 192.0.2.4")
	var got struct {
		Answer []struct {
			RRName string
			RRTTL  int
			Rdata  []string
		}
	}
	if err := json.Unmarshal([]byte(member(t, nmsgtest.DNSObs([]byte{0}, wire, nil), "response_json")), &got); err != nil {
		t.Fatal(err)
	}
	want := `[{A.example.org. 60 [192.0.2.1 192.0.2.3 192.0.2.4]} {b.example.org. 300 [192.0.2.2]} {a.example.org. 10 ["x"]}]`
	if diff := cmp.Diff(want, fmt.Sprint(got.Answer)); diff != "" {
		t.Error(diff)
	}
}

func TestExtendedRcodeAndRareHeaders(t *testing.T) {
	wire := nmsgtest.Response(nmsgtest.Record(dns.TypeOPT, 4096, 1<<24, nil))
	wire[2], wire[3] = 0xab, 0xf2 // QR, opcode 5, TC, RD, RA, Z, AD, CD, rcode 2
	want := `{"header":{"opcode":"UPDATE","rcode":18,"id":0,"flags":["qr","tc","rd","ra","ad","cd"],` +
		`"opt":{"edns":{"version":0,"flags":[],"udp":4096,"options":[]}}},"question":[],"answer":[],"authority":[],"additional":[]}`
	if diff := cmp.Diff(want, member(t, nmsgtest.DNSObs([]byte{0}, wire, nil), "response_json")); diff != "" {
		t.Error(diff)
	}
}

func TestFragmentedPacketsHaveNoMessage(t *testing.T) {
	packet := nmsgtest.Read(t, "../testdata/unbound-dnsqr.nmsg")[0]
	one := jsonLine(t, packet)
	if !strings.Contains(one, `"response_json":{`) {
		t.Fatalf("the vector has no response: %s", one)
	}
	q, err := nmsg.DecodeDNSQR(packet.Data)
	if err != nil {
		t.Fatal(err)
	}
	packet.Data = nmsgtest.Fields(bytes.Clone(packet.Data)).Bytes(15, q.ResponsePacket[0])
	if got := member(t, packet, "response_json"); got != "" {
		t.Errorf("two packets gave %s, want no response_json", got)
	}
}

func TestAMessageOfAnotherTypeIsAnErrorAndTheBufferIsUnchanged(t *testing.T) {
	for _, kind := range []uint32{nmsg.NumberDNSQR, nmsg.NumberDNSTap, nmsg.NumberDNSObs} {
		for name, data := range map[string][]byte{"empty": {}, "cut": {0x0a, 9, 1}, "garbage": []byte("garbage")} {
			got, err := new(Encoder).Append([]byte("before"), nmsgtest.Base(kind, data))
			if err == nil || string(got) != "before" {
				t.Errorf("type %d, %s: got %q, %v", kind, name, got, err)
			}
		}
	}
}

func TestDNSTapOfOtherTransportsIsShown(t *testing.T) {
	for protocol, want := range map[uint64]string{3: `"DOT"`, 4: `"DOH"`, 7: "7"} {
		message := nmsgtest.Fields{}.Varint(1, 4).Varint(2, 1).Varint(3, protocol).Bytes(4, []byte{1, 2, 3})
		m := nmsgtest.Base(nmsg.NumberDNSTap, nmsgtest.Fields{}.Bytes(1, []byte("\x1b[2J")).Varint(15, 1).Bytes(14, message))
		if got := member(t, m, "socket_protocol"); got != want {
			t.Errorf("protocol %d is written %s, want %s", protocol, got, want)
		}
		if got := member(t, m, "query_address"); got != "null" {
			t.Errorf("an address of three bytes is written %s, want null", got)
		}
		if got, want := member(t, m, "identity"), `"G1sySg=="`; got != want {
			t.Errorf("identity is written %s, want %s", got, want)
		}
	}
}
