package nmsg

import (
	"bytes"
	"errors"
	"math"
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/encoding/protowire"

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

// messagesIn returns the DNS messages of a payload's data, read by the decoder of the type.
func messagesIn(t testing.TB, typ MessageType, data []byte) (query, response []byte) {
	t.Helper()
	switch typ {
	case DNSQR:
		q, err := DecodeDNSQR(data)
		if err != nil {
			t.Fatal(err)
		}
		query, _ = q.Query()
		response, _ = q.Response()
	case DNSObs:
		o, err := DecodeDNSObs(data)
		if err != nil {
			t.Fatal(err)
		}
		response = o.Response
	case DNSTap:
		m := tapOf(t, data).Message
		query, response = m.QueryMessage, m.ResponseMessage
	default:
		t.Fatalf("no reader for %v", typ)
	}
	return query, response
}

func TestEachTypeTakesMessagesUpToItsLimit(t *testing.T) {
	for _, tc := range []struct {
		typ     MessageType
		family  string
		change  func(*transform.Record)
		largest int
	}{
		{DNSQR, "IPv4", func(*transform.Record) {}, 65507},
		{DNSQR, "IPv6", onIPv6, 65527},
		{DNSQR, "mapped IPv4", func(r *transform.Record) { r.Server = netip.MustParseAddrPort("[::ffff:192.0.2.1]:53") }, 65507},
		{DNSObs, "IPv4", func(*transform.Record) {}, 65535},
		{DNSObs, "IPv6", onIPv6, 65535},
		{DNSTap, "IPv4", func(*transform.Record) {}, 65535},
		{DNSTap, "IPv6", onIPv6, 65535},
	} {
		for _, transport := range []transform.Transport{transform.UDP, transform.TCP} {
			over := func(r *transform.Record) { r.Transport = transport }
			largest := recordWith(tc.change, over, responseOf(tc.largest))
			_, got := messagesIn(t, tc.typ, dataOf(t, appendTo(t, tc.typ, IDs{}, largest)))
			if !bytes.Equal(got, largest.Response) {
				t.Errorf("%v, %s: a message of %d bytes came back as %d", tc.typ, tc.family, tc.largest, len(got))
			}
			before := []byte("before")
			b, _, err := AppendPayload(before, tc.typ, IDs{}, recordWith(tc.change, over, responseOf(tc.largest+1)))
			if !errors.Is(err, ErrTooBig) || !bytes.Equal(b, before) {
				t.Errorf("%v, %s, one byte more: buffer %q, error %v, want ErrTooBig and the buffer as it was", tc.typ, tc.family, b, err)
			}
		}
	}
}

func TestOnlyDNSObsCannotRepresentAnUnansweredQuery(t *testing.T) {
	for _, typ := range MessageTypes() {
		if got := typ.Accepts(recordWith(unanswered)); got != (typ != DNSObs) {
			t.Errorf("%v takes an unanswered query: %v", typ, got)
		}
		if !typ.Accepts(recordWith()) || !typ.Accepts(recordWith(responseOnly)) {
			t.Errorf("%v refuses a response", typ)
		}
	}
	before := []byte("before")
	b, _, err := AppendPayload(before, DNSObs, IDs{}, recordWith(unanswered))
	if err == nil || !bytes.Equal(b, before) {
		t.Errorf("buffer %q, error %v", b, err)
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

func TestQueryWithoutATimeGetsThatOfTheRecord(t *testing.T) {
	r := recordWith(func(r *transform.Record) { r.QueryTime = transform.NoTime })
	q, err := DecodeDNSQR(dataOf(t, appendTo(t, DNSQR, IDs{}, r)))
	if err != nil {
		t.Fatal(err)
	}
	if q.QueryTimeNsec[0] != 255_000_000 {
		t.Errorf("query time is %d ns, want the response's", q.QueryTimeNsec[0])
	}
}

// The length before the message has 1, 2 or 3 bytes: setLength moves the message unless it
// has 2.
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

func TestFieldsAreThoseOfProtowire(t *testing.T) {
	for num := protowire.Number(1); num < 2048; num++ {
		for _, v := range []uint64{0, 1, 0x7f, 0x80, 0x3fff, 0x4000, 1<<28 - 1, 1 << 28, math.MaxInt32, 1<<35 - 1, 1 << 35, math.MaxUint64} {
			want := protowire.AppendVarint(protowire.AppendTag(nil, num, protowire.VarintType), v)
			got := appendNumber(nil, num, v)
			if !bytes.Equal(got, want) {
				t.Fatalf("number %d in field %d: % x, want % x", v, num, got, want)
			}
			got = appendFixed32(nil, num, uint32(v))
			want = protowire.AppendFixed32(protowire.AppendTag(nil, num, protowire.Fixed32Type), uint32(v))
			if !bytes.Equal(got, want) {
				t.Fatalf("fixed32 %d in field %d: % x, want % x", uint32(v), num, got, want)
			}
		}
		for _, size := range []int{1, 0x7f, 0x80, 0x4000} {
			v := make([]byte, size)
			got := appendBytes(nil, num, v)
			want := protowire.AppendBytes(protowire.AppendTag(nil, num, protowire.BytesType), v)
			if !bytes.Equal(got, want) {
				t.Fatalf("%d bytes in field %d: % x..., want % x...", size, num, got[:6], want[:6])
			}
		}
	}
}
