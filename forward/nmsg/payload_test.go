package nmsg

import (
	"bytes"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/dnstap-pdns/dnstap-pdns/transform"
)

func TestDNSObsHoldsWhatIsKnown(t *testing.T) {
	want := fields{
		"time": uint64(1_700_000_000), "response_ip": []byte{192, 0, 2, 1}, "qname": name,
		"qtype": uint32(1), "qclass": uint32(1), "rcode": uint32(0), "response": response, "query_zone": zone,
	}
	for _, tc := range []struct {
		name    string
		changes []func(*transform.Record)
		set     fields
		without []string
	}{
		{name: "IPv4"},
		{name: "IPv6", changes: []func(*transform.Record){onIPv6}, set: fields{"response_ip": server6.Addr().AsSlice()}},
		{name: "no zone", changes: []func(*transform.Record){func(r *transform.Record) { r.Zone = nil }}, without: []string{"query_zone"}},
		{name: "NXDOMAIN", changes: []func(*transform.Record){func(r *transform.Record) { r.Rcode = 3 }}, set: fields{"rcode": uint32(3)}},
		{name: "before 1970", changes: []func(*transform.Record){func(r *transform.Record) { r.QueryTime = -1 }}, set: fields{"time": uint64(0)}},
		{name: "65,535 bytes", changes: []func(*transform.Record){responseOf(65535)},
			set: fields{"response": recordWith(responseOf(65535)).Response}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			want := cloneFields(want)
			for k, v := range tc.set {
				want[k] = v
			}
			for _, k := range tc.without {
				delete(want, k)
			}
			got := readByOracle(t, "DnsObs", dataOf(t, appendTo(t, DNSObs, IDs{}, recordWith(tc.changes...))))
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func cloneFields(f fields) fields {
	c := fields{}
	for k, v := range f {
		c[k] = v
	}
	return c
}

func TestDNSObsHasNoFormForAnUnansweredQuery(t *testing.T) {
	r := recordWith(unanswered)
	if DNSObs.Takes(r) {
		t.Error("dnsobs takes an unanswered query")
	}
	before := []byte("before")
	b, _, err := AppendPayload(before, DNSObs, IDs{}, r)
	if err == nil || !bytes.Equal(b, before) {
		t.Errorf("buffer %q, error %v", b, err)
	}
	if !DNSQR.Takes(r) || !DNSQR.Takes(recordWith(responseOnly)) || !DNSObs.Takes(recordWith(responseOnly)) {
		t.Error("a record that has a form is refused")
	}
}

func TestPayloadCarriesTimeAndIDs(t *testing.T) {
	for _, tc := range []struct {
		name string
		time transform.Time
		sec  int64
		nsec uint32
	}{
		{"now", queryTime, 1_700_000_000, 250_000_000},
		{"epoch", 0, 0, 0},
		{"last nanosecond before the epoch", -1, -1, 999_999_999},
		{"whole second before the epoch", -1_000_000_000, -1, 0},
		{"2106", 4_294_967_296_000_000_000, 4_294_967_296, 0},
		{"earliest", transform.NoTime + 1, -9_223_372_037, 145_224_193},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r := recordWith(func(r *transform.Record) { r.QueryTime = tc.time })
			got := readByOracle(t, "NmsgPayload", appendTo(t, DNSQR, IDs{Source: 1, Operator: 300, Group: 1 << 31}, r).Bytes)
			delete(got, "payload")
			want := fields{
				"vid": uint32(1), "msgtype": uint32(9), "time_sec": tc.sec, "time_nsec": tc.nsec,
				"source": uint32(1), "operator": uint32(300), "group": uint32(1 << 31),
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestPayloadOfUnknownTimesIsComplete(t *testing.T) {
	r := recordWith(func(r *transform.Record) { r.QueryTime, r.ResponseTime = transform.NoTime, transform.NoTime })
	p := appendTo(t, DNSQR, IDs{}, r)
	if got := readByOracle(t, "NmsgPayload", p.Bytes); got["time_sec"] != int64(0) || got["time_nsec"] != uint32(0) {
		t.Errorf("payload time %v.%v, want the epoch", got["time_sec"], got["time_nsec"])
	}
	got := readByOracle(t, "DnsQR", dataOf(t, p))
	if len(got["query_time_sec"].([]any)) != 1 || len(got["response_time_nsec"].([]any)) != 1 {
		t.Errorf("packets without a time: %v", got)
	}
}

func TestQueryWithoutATimeTakesTheRecords(t *testing.T) {
	r := recordWith(func(r *transform.Record) { r.QueryTime = transform.NoTime })
	q, err := DecodeDNSQR(dataOf(t, appendTo(t, DNSQR, IDs{}, r)))
	if err != nil {
		t.Fatal(err)
	}
	if q.QueryTimeNsec[0] != 255_000_000 {
		t.Errorf("query time is %d ns, want the response's", q.QueryTimeNsec[0])
	}
}

// Lengths of 1, 2 and 3 bytes in front of the message: setLength moves all but the
// second kind.
func TestPayloadLengthIsCanonical(t *testing.T) {
	for _, size := range []int{33, 60, 100, 16_000, 16_383, 65_000} {
		p := appendTo(t, DNSObs, IDs{Group: 7}, recordWith(responseOf(size), func(r *transform.Record) { r.Zone = nil }))
		m, err := parsePayload(p.Bytes)
		if err != nil || m.Group != 7 {
			t.Fatalf("response of %d bytes: %+v, %v", size, m, err)
		}
		again := appendBytes(nil, payloadData, m.Data)
		if !bytes.Contains(p.Bytes, again) {
			t.Errorf("response of %d bytes: the length is not the shortest form", size)
		}
	}
}
