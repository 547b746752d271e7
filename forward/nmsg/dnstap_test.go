package nmsg

import (
	"bytes"
	"encoding/hex"
	"net/netip"
	"testing"

	dnstap "github.com/dnstap/golang-dnstap"
	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/testing/protocmp"

	"github.com/dnstap-pdns/dnstap-pdns/transform"
)

// tapOf returns the message that golang-dnstap reads, which must have no unknown fields.
func tapOf(t testing.TB, data []byte) *dnstap.Dnstap {
	t.Helper()
	d := new(dnstap.Dnstap)
	if err := proto.Unmarshal(data, d); err != nil {
		t.Fatalf("%v in %x", err, data)
	}
	if unknown := append(d.ProtoReflect().GetUnknown(), d.Message.ProtoReflect().GetUnknown()...); len(unknown) > 0 {
		t.Fatalf("unknown fields %x", unknown)
	}
	return d
}

// The vector was written by hand; the .json file of the same name is nmsgtool's output.
func TestDNSTapIsTheVectorToTheByte(t *testing.T) {
	at := transform.Time(1_790_000_000_000_000_000)
	bank := []byte("\x04bank\x03com\x00")
	vectors := payloadsIn(t, vector(t, "dnstap-layout.nmsg"))
	if len(vectors) != 4 {
		t.Fatalf("%d payloads", len(vectors))
	}
	for i, r := range []*transform.Record{
		{Server: netip.MustParseAddrPort("203.0.113.10:53"), HasResponse: true, HasQuery: true, QueryTime: at, ResponseTime: at, Zone: bank},
		{Server: netip.MustParseAddrPort("[2001:db8:113::10]:53"), Transport: transform.TCP, HasResponse: true, HasQuery: true, Rcode: 3, QueryTime: at, ResponseTime: at, Zone: bank},
		{Server: netip.MustParseAddrPort("203.0.113.10:53"), HasResponse: true, Rcode: 2, QueryTime: at, ResponseTime: at},
		{Server: netip.MustParseAddrPort("203.0.113.10:53"), HasQuery: true, QueryTime: at, ResponseTime: transform.NoTime, Zone: bank},
	} {
		want := vectors[i]
		m, err := parsePayload(want.Bytes)
		if err != nil {
			t.Fatal(err)
		}
		r.Query, r.Response = query, tapOf(t, m.Data).Message.ResponseMessage
		if !r.HasResponse {
			r.Query = tapOf(t, m.Data).Message.QueryMessage
		}
		got := appendTo(t, DNSTap, IDs{}, r)
		if !bytes.Equal(got.Bytes, want.Bytes) || got.CRC != want.CRC {
			t.Errorf("payload %d: CRC %#x, want %#x; got\n%s\nwant\n%s", i, got.CRC, want.CRC, hex.Dump(got.Bytes), hex.Dump(want.Bytes))
		}
	}
}

// payloadsIn returns the payloads of the only container of a file.
func payloadsIn(t testing.TB, file []byte) []Payload {
	t.Helper()
	var all []Payload
	crcs := 0
	for b := file[headerLen:]; len(b) > 0; {
		f, rest, err := nextField(b)
		if err != nil {
			t.Fatal(err)
		}
		b = rest
		switch f.num {
		case containerPayloads:
			all = append(all, Payload{Bytes: f.bytes})
		case containerPayloadCRCs:
			all[crcs].CRC = wireCRC(uint32(f.value)) // which undoes itself
			crcs++
		}
	}
	return all
}

func TestDNSTapHoldsWhatIsKnown(t *testing.T) {
	zero := map[bool][]byte{true: make([]byte, 4), false: make([]byte, 16)}
	server := map[bool][]byte{true: server4.Addr().AsSlice(), false: server6.Addr().AsSlice()}
	family := map[bool]dnstap.SocketFamily{true: dnstap.SocketFamily_INET, false: dnstap.SocketFamily_INET6}
	for _, tc := range []struct {
		name    string
		changes []func(*transform.Record)
		want    func(*dnstap.Message) // changes to what the first has
	}{
		{"answered", nil, nil},
		{"response only", []func(*transform.Record){responseOnly}, nil},
		{"answered over TCP", []func(*transform.Record){overTCP}, func(m *dnstap.Message) {
			m.SocketProtocol = dnstap.SocketProtocol_TCP.Enum()
		}},
		{"answered over DoT", []func(*transform.Record){func(r *transform.Record) { r.Transport = transform.Encrypted }}, func(m *dnstap.Message) {
			m.SocketProtocol = dnstap.SocketProtocol_TCP.Enum()
		}},
		{"unanswered", []func(*transform.Record){unanswered}, func(m *dnstap.Message) {
			m.Type = dnstap.Message_RESOLVER_QUERY.Enum()
			m.QueryMessage = query
			m.ResponseMessage, m.ResponseTimeSec, m.ResponseTimeNsec = nil, nil, nil
		}},
		{"no zone", []func(*transform.Record){func(r *transform.Record) { r.Zone = nil }}, func(m *dnstap.Message) {
			m.QueryZone = nil
		}},
		{"no query time", []func(*transform.Record){func(r *transform.Record) { r.QueryTime = transform.NoTime }}, func(m *dnstap.Message) {
			m.QueryTimeSec, m.QueryTimeNsec = nil, nil
		}},
		{"no response time", []func(*transform.Record){func(r *transform.Record) { r.ResponseTime = transform.NoTime }}, func(m *dnstap.Message) {
			m.ResponseTimeNsec = m.QueryTimeNsec
		}},
		{"no time at all", []func(*transform.Record){func(r *transform.Record) {
			r.QueryTime, r.ResponseTime = transform.NoTime, transform.NoTime
		}}, func(m *dnstap.Message) {
			m.QueryTimeSec, m.QueryTimeNsec = nil, nil
			m.ResponseTimeSec, m.ResponseTimeNsec = proto.Uint64(0), proto.Uint32(0)
		}},
		{"before 1970", []func(*transform.Record){func(r *transform.Record) { r.QueryTime = -1 }}, func(m *dnstap.Message) {
			m.QueryTimeSec, m.QueryTimeNsec = proto.Uint64(0), proto.Uint32(0)
		}},
		{"no port known", []func(*transform.Record){func(r *transform.Record) {
			r.Server = netip.AddrPortFrom(r.Server.Addr(), 0)
		}}, nil},
		{"the resolver of the other family", []func(*transform.Record){func(r *transform.Record) {
			r.Resolver = netip.MustParseAddrPort("198.51.100.7:4000")
			if r.Server.Addr().Is4() {
				r.Resolver = netip.MustParseAddrPort("[2001:db8::7]:4000")
			}
		}}, nil},
		{"the resolver kept", []func(*transform.Record){func(r *transform.Record) {
			r.Resolver = netip.MustParseAddrPort("198.51.100.7:4000")
			if !r.Server.Addr().Is4() {
				r.Resolver = netip.MustParseAddrPort("[2001:db8::7]:4000")
			}
		}}, func(m *dnstap.Message) {
			m.QueryAddress, m.QueryPort = netip.MustParseAddr("198.51.100.7").AsSlice(), proto.Uint32(4000)
			if m.GetSocketFamily() == dnstap.SocketFamily_INET6 {
				m.QueryAddress = netip.MustParseAddr("2001:db8::7").AsSlice()
			}
		}},
	} {
		for _, v4 := range []bool{true, false} {
			t.Run(tc.name+map[bool]string{true: "/IPv4", false: "/IPv6"}[v4], func(t *testing.T) {
				r := recordWith()
				if !v4 {
					onIPv6(r)
				}
				for _, change := range tc.changes {
					change(r)
				}
				m := &dnstap.Message{
					Type:            dnstap.Message_RESOLVER_RESPONSE.Enum(),
					SocketFamily:    family[v4].Enum(),
					SocketProtocol:  dnstap.SocketProtocol_UDP.Enum(),
					QueryAddress:    zero[v4],
					ResponseAddress: server[v4],
					QueryPort:       proto.Uint32(0),
					ResponsePort:    proto.Uint32(53),
					QueryTimeSec:    proto.Uint64(1_700_000_000), QueryTimeNsec: proto.Uint32(250_000_000),
					QueryZone:       zone,
					ResponseTimeSec: proto.Uint64(1_700_000_000), ResponseTimeNsec: proto.Uint32(255_000_000),
					ResponseMessage: response,
				}
				if tc.want != nil {
					tc.want(m)
				}
				want := &dnstap.Dnstap{Type: dnstap.Dnstap_MESSAGE.Enum(), Message: m}
				data := dataOf(t, appendTo(t, DNSTap, IDs{}, r))
				if diff := cmp.Diff(want, tapOf(t, data), protocmp.Transform()); diff != "" {
					t.Errorf("(-want +got):\n%s", diff)
				}
				if canonical, err := proto.Marshal(want); err != nil || !bytes.Equal(canonical, data) {
					t.Errorf("protobuf writes it as\n%x (%v), not as\n%x", canonical, err, data)
				}
			})
		}
	}
}
