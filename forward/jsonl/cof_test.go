package jsonl

import (
	"bytes"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/miekg/dns"

	"github.com/dnstap-pdns/dnstap-pdns/forward/cof"
	"github.com/dnstap-pdns/dnstap-pdns/forward/nmsg"
	"github.com/dnstap-pdns/dnstap-pdns/transform/rrset"
)

func addresses(event rrset.Event) *rrset.Aggregate {
	return &rrset.Aggregate{
		RRset: rrset.RRset{
			Name: []byte("\x03www\x07example\x00"), Type: dns.TypeA, Class: dns.ClassINET, Bailiwick: []byte("\x07example\x00"),
			Rdata: [][]byte{{192, 0, 2, 1}, {192, 0, 2, 2}},
		},
		Sighting: rrset.Sighting{TimeFirst: 1_700_000_001, TimeLast: 1_700_000_099, Count: 3},
		Event:    event,
	}
}

func TestAnRRsetIsAUnitOfLines(t *testing.T) {
	ids := nmsg.IDs{Source: 255}
	for f, want := range map[COF]string{
		{Profile: cof.Draft, Resolution: time.Minute}: `{"rrname":"www.example","rrtype":"A","rdata":["192.0.2.1","192.0.2.2"],"time_first":1699999980,"time_last":1700000040,"count":3,"bailiwick":"example","sensor_id":"000000ff"}
`,
		{Profile: cof.CIRCL}: `{"rrname":"www.example","rrtype":"A","rdata":"192.0.2.1","time_first":1700000001,"time_last":1700000099,"sensor_id":"000000ff"}
{"rrname":"www.example","rrtype":"A","rdata":"192.0.2.2","time_first":1700000001,"time_last":1700000099,"sensor_id":"000000ff"}
`,
	} {
		a := addresses(rrset.Expiration)
		b, err := f.AppendRRset([]byte("before\n"), a, ids)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff("before\n"+want, string(b)); diff != "" {
			t.Errorf("%+v (-want +got):\n%s", f, diff)
		}
		if diff := cmp.Diff(addresses(rrset.Expiration), a); diff != "" {
			t.Errorf("the RRset has changed:\n%s", diff)
		}
		lines := strings.NewReader(want + want[:len(want)/2-1])
		if n, err := f.Whole(lines); n != int64(len(want)) || err != nil {
			t.Errorf("%d octets are whole (%v), want %d", n, err, len(want))
		}
	}
}

func TestRRsetsWithoutALine(t *testing.T) {
	other := addresses(rrset.Expiration)
	other.Class = dns.ClassCHAOS
	for name, a := range map[string]*rrset.Aggregate{"an insertion": addresses(rrset.Insertion), "another class": other} {
		if b, err := (COF{}).AppendRRset(nil, a, nmsg.IDs{}); len(b) > 0 || err != nil {
			t.Errorf("%s: %q, %v", name, b, err)
		}
	}
}

func TestAnRRsetCanBeTooLongForALine(t *testing.T) {
	a := addresses(rrset.Expiration)
	a.Type, a.Rdata = dns.TypeNULL, nil
	for i := range 10 {
		a.Rdata = append(a.Rdata, append(bytes.Repeat([]byte{0}, 64000), byte(i)))
	}
	if b, err := (COF{}).AppendRRset([]byte("before"), a, nmsg.IDs{}); !errors.Is(err, nmsg.ErrTooBig) || string(b) != "before" {
		t.Errorf("%d octets, %v", len(b), err)
	}
}
