package nmsgjson

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"net/netip"
	"testing"
	"time"

	dnstappb "github.com/dnstap/golang-dnstap"
	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/proto"

	"github.com/dnstap-pdns/dnstap-pdns/forward/nmsg"
	"github.com/dnstap-pdns/dnstap-pdns/forward/nmsg/nmsgtest"
	"github.com/dnstap-pdns/dnstap-pdns/transform/dnstext"
)

// object is a JSON object as a program reads it.
type object map[string]any

// checkValues fails the test unless line is one line of JSON in printable ASCII from which a
// program reads the values of the payload.
func checkValues(t *testing.T, m nmsg.Message, line []byte) {
	t.Helper()
	nmsgtest.CheckPlain(t, line)
	if bytes.IndexByte(line, '\n') != len(line)-1 {
		t.Fatalf("more than one line: %q", line)
	}
	d := json.NewDecoder(bytes.NewReader(line))
	d.UseNumber()
	var got object
	if err := d.Decode(&got); err != nil {
		t.Fatalf("no JSON: %v: %s", err, line)
	}
	want := object{"operator": number(m.Operator), "group": number(m.Group)}
	if m.Operator == 0 {
		want["operator"] = nil
	}
	if m.Group == 0 {
		want["group"] = nil
	}
	inside, _ := got["message"].(map[string]any)
	switch [2]uint32{m.Vendor, m.Type} {
	case [2]uint32{1, nmsg.NumberDNSQR}:
		checkDNSQR(t, m.Data, inside)
	case [2]uint32{1, nmsg.NumberDNSObs}:
		checkDNSObs(t, m.Data, inside)
	case [2]uint32{1, nmsg.NumberDNSTap}:
		checkDNSTap(t, m.Data, inside)
	case [2]uint32{2, nmsg.NumberDNSDedupe}:
		checkDNSDedupe(t, m.Data, inside)
	default:
		want["vid"], want["msgtype"], want["payload"] = number(m.Vendor), number(m.Type), octets(append([]byte{}, m.Data...))
	}
	check(t, got, want)
}

// check compares the members that are named in want. A nil one must be absent.
func check(t *testing.T, got, want object) {
	t.Helper()
	for name, w := range want {
		g, present := got[name]
		if w == nil && present || w != nil && !cmp.Equal(g, w) {
			t.Errorf("%s is %v, want %v", name, g, w)
		}
	}
}

func number[T uint16 | uint32 | uint64](n T) any { return json.Number(fmt.Sprint(n)) }

// optional is the number in p, if there is one.
func optional[T uint32 | uint64](p *T) any {
	if p == nil {
		return nil
	}
	return number(*p)
}

// octets is what base64 has to be; nil if there are none.
func octets(b []byte) any {
	if b == nil {
		return nil
	}
	text, err := json.Marshal(b)
	if err != nil {
		panic(err)
	}
	return string(bytes.Trim(text, `"`))
}

func lists[T, U any](all []T, f func(T) U) any {
	list := []any{}
	for _, v := range all {
		list = append(list, f(v))
	}
	return list
}

func checkDNSDedupe(t *testing.T, data []byte, got object) {
	d, err := nmsg.DecodeDNSDedupe(data)
	if err != nil {
		t.Fatal(err)
	}
	check(t, got, object{"count": optional(d.Count), "rrttl": optional(d.RRTTL), "response": octets(d.Response)})
	for name, want := range map[string]*uint32{"time_first": d.TimeFirst, "time_last": d.TimeLast,
		"zone_time_first": d.ZoneTimeFirst, "zone_time_last": d.ZoneTimeLast} {
		text, present := got[name].(string)
		if at, err := time.Parse(time.DateTime, text); present != (want != nil) || present && (err != nil || at.Unix() != int64(*want)) {
			t.Errorf("%s is %v, want %v", name, got[name], want)
		}
	}
	checkName(t, got, "rrname", d.RRName)
	checkName(t, got, "bailiwick", d.Bailiwick)
	if all, ok := got["rdata"].([]any); !ok || len(all) != len(d.RData) {
		t.Errorf("rdata is %v, want %d records", got["rdata"], len(d.RData))
	}
}

func checkDNSQR(t *testing.T, data []byte, got object) {
	q, err := nmsg.DecodeDNSQR(data)
	if err != nil {
		t.Fatal(err)
	}
	var query, response []byte
	if len(q.QueryPacket) == 1 {
		query, _ = q.Query()
	}
	if len(q.ResponsePacket) == 1 {
		response, _ = q.Response()
	}
	seconds := func(s int64) any { return number(uint64(s)) }
	nanoseconds := func(n int32) any { return number(uint64(n)) }
	check(t, got, object{
		"query_port": number(uint16(q.QueryPort)), "response_port": number(uint16(q.ResponsePort)), "id": number(uint16(q.ID)),
		"query_packet": lists(q.QueryPacket, octets), "response_packet": lists(q.ResponsePacket, octets),
		"query_time_sec": lists(q.QueryTimeSec, seconds), "response_time_sec": lists(q.ResponseTimeSec, seconds),
		"query_time_nsec": lists(q.QueryTimeNsec, nanoseconds), "response_time_nsec": lists(q.ResponseTimeNsec, nanoseconds),
		"query": octets(query), "response": octets(response), "dns": octets(response), "tcp": octets(q.TCP), "icmp": octets(q.ICMP),
	})
	checkAddr(t, got["query_ip"], q.QueryIP)
	checkAddr(t, got["response_ip"], q.ResponseIP)
	checkName(t, got, "qname", q.QName)
	checkMessage(t, got, "query_json", query)
	checkMessage(t, got, "response_json", response)
	if v, present := got["timeout"]; present != (q.Timeout != nil) {
		t.Errorf("timeout is %v", v)
	} else if present && !math.IsNaN(*q.Timeout) && !math.IsInf(*q.Timeout, 0) {
		f, err := v.(json.Number).Float64()
		if err != nil || math.Abs(f-*q.Timeout) > 1e-18 {
			t.Errorf("timeout is %v, want %v", v, *q.Timeout)
		}
	}
}

func checkDNSObs(t *testing.T, data []byte, got object) {
	o, err := nmsg.DecodeDNSObs(data)
	if err != nil {
		t.Fatal(err)
	}
	want := object{"time": number(o.Time), "response": octets(o.Response), "geoid": octets(o.GeoID), "sensor_id": nil}
	if o.SensorID != nil {
		want["sensor_id"] = fmt.Sprintf("%x", *o.SensorID)
	}
	check(t, got, want)
	checkAddr(t, got["response_ip"], o.ResponseIP)
	checkName(t, got, "qname", o.QName)
	checkName(t, got, "query_zone", o.QueryZone)
	checkMessage(t, got, "response_json", o.Response)
}

func checkDNSTap(t *testing.T, data []byte, got object) {
	var d dnstappb.Dnstap
	if err := proto.Unmarshal(data, &d); err != nil {
		t.Fatal(err)
	}
	check(t, got, object{"identity": octets(d.Identity), "version": octets(d.Version), "extra": octets(d.Extra)})
	m := d.Message
	if m == nil {
		return
	}
	check(t, got, object{
		"query_port": optional(m.QueryPort), "response_port": optional(m.ResponsePort),
		"query_time_sec": optional(m.QueryTimeSec), "response_time_sec": optional(m.ResponseTimeSec),
		"query_time_nsec": optional(m.QueryTimeNsec), "response_time_nsec": optional(m.ResponseTimeNsec),
		"query_message": octets(m.QueryMessage), "response_message": octets(m.ResponseMessage),
	})
	for name, octets := range map[string][]byte{"query_address": m.QueryAddress, "response_address": m.ResponseAddress} {
		if v, present := got[name]; present != (octets != nil) {
			t.Errorf("%s is %v, want that of % x", name, v, octets)
		} else if a, ok := netip.AddrFromSlice(octets); ok {
			checkAddr(t, v, a)
		} else if v != nil {
			t.Errorf("%s is %v, want null", name, v)
		}
	}
	checkName(t, got, "query_zone", m.QueryZone)
	checkMessage(t, got, "query_json", m.QueryMessage)
	checkMessage(t, got, "response_json", m.ResponseMessage)
}

func checkAddr(t *testing.T, got any, want netip.Addr) {
	t.Helper()
	text, _ := got.(string)
	if a, err := netip.ParseAddr(text); err != nil || a != want {
		t.Errorf("got %v, want %v", got, want)
	}
}

// checkName expects the octets of a name in its presentation form.
func checkName(t *testing.T, got object, member string, wire []byte) {
	t.Helper()
	v, present := got[member]
	text, _ := v.(string)
	switch {
	case present != (wire != nil):
		t.Errorf("%s is %v, want that of %q", member, v, wire)
	case len(wire) == 0 || len(wire) > 255:
		if text != "" {
			t.Errorf("%s is %q, want nothing", member, text)
		}
	default:
		if got, want := unescaped(text), labels(wire); got != want {
			t.Errorf("%s is %q, want %q", member, got, want)
		}
	}
}

// labels is a name in wire form with dots in place of the lengths.
func labels(wire []byte) (all string) {
	for len(wire) > 0 && wire[0] != 0 {
		end := min(1+int(wire[0]), len(wire))
		all += string(wire[1:end]) + "."
		wire = wire[end:]
	}
	if all == "" {
		return "."
	}
	return all
}

func unescaped(s string) string {
	var b []byte
	for ; s != ""; s = s[1:] {
		switch {
		case s[0] != '\\':
			b = append(b, s[0])
		case len(s) > 3 && '0' <= s[1] && s[1] <= '9':
			b = append(b, (s[1]-'0')*100+(s[2]-'0')*10+s[3]-'0')
			s = s[3:]
		default:
			b = append(b, s[1])
			s = s[1:]
		}
	}
	return string(b)
}

// checkMessage compares the fields of a DNS message that are numbers, and counts the rest.
func checkMessage(t *testing.T, got object, member string, wire []byte) {
	t.Helper()
	v, present := got[member]
	if present != (wire != nil) {
		t.Fatalf("%s is %v", member, v)
	}
	m, _ := v.(map[string]any)
	if m == nil {
		return
	}
	var want dnstext.Message
	if !want.Parse(wire) {
		t.Fatalf("%s is %v, want null", member, m)
	}
	header := object(m["header"].(map[string]any))
	check(t, header, object{"id": number(want.ID), "flags": lists(want.AppendFlags(nil), func(s string) any { return s })})
	if _, present := header["opt"]; present != want.EDNS.Present {
		t.Errorf("opt is %v", header["opt"])
	}
	questions := m["question"].([]any)
	if len(questions) != len(want.Questions) {
		t.Fatalf("%d questions, want %d", len(questions), len(want.Questions))
	}
	for i, q := range questions {
		checkName(t, q.(map[string]any), "qname", want.Questions[i].Name)
	}
	for i, sets := range want.Sections {
		section := m[dnstext.Sections[i]].([]any)
		if len(section) != len(sets) {
			t.Fatalf("%d RRsets, want %d", len(section), len(sets))
		}
		for j := range sets {
			set := object(section[j].(map[string]any))
			checkName(t, set, "rrname", sets[j].Owner)
			check(t, set, object{"rrttl": number(sets[j].TTL)})
			rdata := set["rdata"].([]any)
			for r := range want.Records(&sets[j]) {
				text, ok := want.AppendRdata(nil, &sets[j], r, dnstext.WDNS)
				if !ok || rdata[0] != string(text) {
					t.Errorf("rdata is %v, want %s", rdata[0], text)
				}
				rdata = rdata[1:]
			}
			if len(rdata) > 0 {
				t.Errorf("%d more rdata", len(rdata))
			}
		}
	}
}
