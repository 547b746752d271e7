package nmsgjson

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/miekg/dns"

	"github.com/dnstap-pdns/dnstap-pdns/forward/nmsg"
	"github.com/dnstap-pdns/dnstap-pdns/forward/nmsg/nmsgtest"
)

// TestDNSDedupeIsAsNmsgtoolPrintsIt has lines in the form of nmsgtool's own for this type.
func TestDNSDedupeIsAsNmsgtoolPrintsIt(t *testing.T) {
	const (
		www     = "\x03www\x07example\x03com\x00"
		example = "\x07example\x03com\x00"
		times   = `"time_first":"2026-09-21 14:12:20","time_last":"2026-09-21 14:13:20",`
	)
	for _, tt := range []struct {
		m    nmsgtest.Fields
		want string
	}{
		{
			nmsgtest.Fields(nmsgtest.DNSDedupe([]byte(www), dns.TypeA, []byte{192, 0, 2, 1}, []byte{192, 0, 2, 2}).Data),
			`{"type":"EXPIRATION","count":3,` + times + `"bailiwick":"www.example.com.","rrname":"www.example.com.",` +
				`"rrclass":"IN","rrtype":"A","rrttl":300,"rdata":["192.0.2.1","192.0.2.2"]}`,
		}, {
			nmsgtest.Fields{}.Bytes(1, []byte(www)).Varint(2, 47).Varint(3, 1).Varint(4, 3600).
				Bytes(5, []byte("\x01\x00"+www+"\x00\x06\x40\x00\x00\x00\x00\x03")).Varint(10, 1).Varint(11, 1789999940).Varint(12, 1790000000).
				Varint(13, 0).Bytes(14, []byte("\x20\x01\x0d\xb8\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x01")).Bytes(16, []byte(example)),
			`{"type":"INSERTION","count":1,` + times + `"response_ip":"2001:db8::1","bailiwick":"example.com.","rrname":"www.example.com.",` +
				`"rrclass":"IN","rrtype":"NSEC","rrttl":3600,"rdata":["\\000.www.example.com. A RRSIG NSEC"]}`,
		}, {
			nmsgtest.Fields{}.Varint(13, 3).Varint(10, 5000000005).Varint(17, 0).Varint(18, 1<<32-1).Varint(2, 65534).Varint(3, 9).
				Bytes(5, []byte{0xab, 0xcd}).Bytes(15, []byte("\x00\xff")),
			`{"type":"AUTHORITATIVE","count":5000000005,"zone_time_first":"1970-01-01 00:00:00","zone_time_last":"2106-02-07 06:28:15",` +
				`"rrclass":"<UNKNOWN>","rrtype":"TYPE65534","rdata":["\\# 2 ab cd "],"response":"AP8="}`,
		},
		{nmsgtest.Fields{}, `{"rdata":[]}`},
		{nmsgtest.Fields{}.Varint(13, 7).Bytes(5, []byte{192, 0, 2, 1}), `{"type":7,"rdata":["\\# 4 c0 00 02 01 "]}`},
		{nmsgtest.Fields(nmsgtest.DNSDedupe([]byte{0}, dns.TypeA, []byte{192, 0, 2}).Data),
			`{"type":"EXPIRATION","count":3,` + times + `"bailiwick":".","rrname":".","rrclass":"IN","rrtype":"A","rrttl":300,` +
				`"rdata":["\\# 3 c0 00 02 "]}`},
	} {
		want := `{"time":"2026-09-21 14:13:20.000000000","vname":"SIE","mname":"dnsdedupe","message":` + tt.want + "}\n"
		if diff := cmp.Diff(want, jsonLine(t, nmsgtest.SIE(nmsg.NumberDNSDedupe, tt.m))); diff != "" {
			t.Error(diff)
		}
	}
}

// TestEveryRdataOfDNSDedupeIsThatOfAResponse compares rdata with the same rdata in a DNS message.
func TestEveryRdataOfDNSDedupeIsThatOfAResponse(t *testing.T) {
	for _, s := range nmsgtest.RRs {
		rr, err := dns.NewRR(s)
		if err != nil {
			t.Fatal(err)
		}
		wire := make([]byte, 512)
		end, err := dns.PackRR(rr, wire, 0, nil, false)
		if err != nil {
			t.Fatal(err)
		}
		owner, _ := dns.PackDomainName(rr.Header().Name, make([]byte, 255), 0, nil, false)
		m := nmsgtest.DNSDedupe(wire[:owner], rr.Header().Rrtype, wire[owner+10:end])
		if rr.Header().Class != dns.ClassINET {
			m.Data = nmsgtest.Fields(m.Data).Varint(3, uint64(rr.Header().Class))
		}
		got := member(t, m, "rdata")
		want := string(answer(t, nmsgtest.Pack(t, s))[0])
		_, want, _ = strings.Cut(want, `"rdata":`)
		if want = strings.TrimSuffix(want, "}"); want == `[""]` {
			want = `["\\# 4 c0 00 02 01 "]` // wdns has no form for addresses of class CH
		}
		if got != want {
			t.Errorf("%s is written %s, want %s", s, got, want)
		}
	}
}
