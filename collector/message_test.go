package collector

import (
	"math"
	"net/netip"
	"testing"

	dnstap "github.com/dnstap/golang-dnstap"
	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/proto"

	"github.com/dnstap-pdns/dnstap-pdns/transform"
)

// sampleMessage is what sample() becomes.
func sampleMessage() transform.Message {
	return transform.Message{
		Role:         transform.ResolverResponse,
		Server:       netip.MustParseAddrPort("198.51.100.7:53"),
		Resolver:     netip.MustParseAddrPort("192.0.2.53:40053"),
		QueryTime:    1700000000_000000005,
		ResponseTime: 1700000001_000000007,
		Zone:         []byte("\x07example\x00"),
		Wire:         []byte("twelve bytes and more"),
	}
}

func malformed(*transform.Message) *transform.Message { return nil }

// with makes a change of the expected message.
func with(change func(m *transform.Message)) func(*transform.Message) *transform.Message {
	return func(m *transform.Message) *transform.Message {
		change(m)
		return m
	}
}

func TestMessageFromFields(t *testing.T) {
	asQuery := func(d *dnstap.Message) {
		d.Type = dnstap.Message_RESOLVER_QUERY.Enum()
		d.QueryMessage, d.ResponseMessage = d.ResponseMessage, nil
	}
	tests := []struct {
		name   string
		change func(d *dnstap.Message)
		want   func(*transform.Message) *transform.Message // nil: malformed
	}{
		{"a response", func(*dnstap.Message) {}, with(func(*transform.Message) {})},
		{"a query", asQuery, with(func(m *transform.Message) {
			m.Role, m.ResponseTime = transform.ResolverQuery, transform.NoTime
		})},
		{"a forwarder's response", func(d *dnstap.Message) { d.Type = dnstap.Message_FORWARDER_RESPONSE.Enum() },
			with(func(m *transform.Message) { m.Role = transform.ForwarderResponse })},
		{"a forwarder's query", func(d *dnstap.Message) { asQuery(d); d.Type = dnstap.Message_FORWARDER_QUERY.Enum() },
			with(func(m *transform.Message) { m.Role, m.ResponseTime = transform.ForwarderQuery, transform.NoTime })},

		{"no response_address", func(d *dnstap.Message) { d.ResponseAddress = nil }, malformed},
		{"response_address of 5 bytes", func(d *dnstap.Message) { d.ResponseAddress = make([]byte, 5) }, malformed},
		{"empty response_address", func(d *dnstap.Message) { d.ResponseAddress = []byte{} }, malformed},
		{"no query_address", func(d *dnstap.Message) { d.QueryAddress = nil },
			with(func(m *transform.Message) { m.Resolver = netip.AddrPort{} })},
		{"unspecified query_address", func(d *dnstap.Message) { d.QueryAddress = make([]byte, 16) },
			with(func(m *transform.Message) { m.Resolver = netip.MustParseAddrPort("[::]:40053") })},
		{"query_address of 8 bytes", func(d *dnstap.Message) { d.QueryAddress = make([]byte, 8) }, malformed},
		{"empty query_address", func(d *dnstap.Message) { d.QueryAddress = []byte{} }, malformed},
		{"IPv4-mapped addresses", func(d *dnstap.Message) {
			a, b := netip.MustParseAddr("::ffff:192.0.2.53").As16(), netip.MustParseAddr("::ffff:198.51.100.7").As16()
			d.QueryAddress, d.ResponseAddress = a[:], b[:]
		}, with(func(*transform.Message) {})},
		{"IPv6 with family INET", func(d *dnstap.Message) {
			a := netip.MustParseAddr("2001:db8::7").As16()
			d.ResponseAddress = a[:]
		}, with(func(m *transform.Message) { m.Server = netip.MustParseAddrPort("[2001:db8::7]:53") })},
		{"no response_port", func(d *dnstap.Message) { d.ResponsePort = nil },
			with(func(m *transform.Message) { m.Server = netip.MustParseAddrPort("198.51.100.7:0") })},
		{"response_port 65536", func(d *dnstap.Message) { d.ResponsePort = proto.Uint32(65536) }, malformed},

		{"no response_message", func(d *dnstap.Message) { d.ResponseMessage = nil }, malformed},
		{"empty response_message", func(d *dnstap.Message) { d.ResponseMessage = []byte{} }, malformed},
		{"a response with its query alone", func(d *dnstap.Message) {
			d.QueryMessage, d.ResponseMessage = d.ResponseMessage, nil
		}, malformed},
		{"a query with its response alone", func(d *dnstap.Message) { d.Type = dnstap.Message_RESOLVER_QUERY.Enum() }, malformed},
		{"a response beside its query", func(d *dnstap.Message) { d.QueryMessage = []byte("the query") },
			with(func(*transform.Message) {})},
		{"no query_zone", func(d *dnstap.Message) { d.QueryZone = nil }, with(func(m *transform.Message) { m.Zone = nil })},
		{"a query_zone that is no name", func(d *dnstap.Message) { d.QueryZone = []byte("\xff") },
			with(func(m *transform.Message) { m.Zone = []byte("\xff") })},

		{"no query_time", func(d *dnstap.Message) { d.QueryTimeSec, d.QueryTimeNsec = nil, nil },
			with(func(m *transform.Message) { m.QueryTime = transform.NoTime })},
		{"query_time_nsec alone", func(d *dnstap.Message) { d.QueryTimeSec = nil; d.QueryTimeNsec = proto.Uint32(math.MaxUint32) },
			with(func(m *transform.Message) { m.QueryTime = transform.NoTime })},
		{"query_time_sec alone", func(d *dnstap.Message) { d.QueryTimeNsec = nil },
			with(func(m *transform.Message) { m.QueryTime = 1700000000e9 })},
		{"times at 0", func(d *dnstap.Message) {
			d.QueryTimeSec, d.QueryTimeNsec = proto.Uint64(0), proto.Uint32(0)
			d.ResponseTimeSec, d.ResponseTimeNsec = proto.Uint64(0), nil
		}, with(func(m *transform.Message) { m.QueryTime, m.ResponseTime = 0, 0 })},
		{"times in 2106", func(d *dnstap.Message) {
			d.QueryTimeSec, d.ResponseTimeSec = proto.Uint64(math.MaxUint32), proto.Uint64(math.MaxUint32+1)
		}, with(func(m *transform.Message) { m.QueryTime, m.ResponseTime = 4294967295_000000005, 4294967296_000000007 })},
		{"the last time there is", func(d *dnstap.Message) {
			d.ResponseTimeSec, d.ResponseTimeNsec = proto.Uint64(9223372036), proto.Uint32(854775807)
		}, with(func(m *transform.Message) { m.ResponseTime = math.MaxInt64 })},
		{"a nanosecond later", func(d *dnstap.Message) {
			d.ResponseTimeSec, d.ResponseTimeNsec = proto.Uint64(9223372036), proto.Uint32(854775808)
		}, malformed},
		{"query_time_sec beyond all years", func(d *dnstap.Message) { d.QueryTimeSec = proto.Uint64(math.MaxUint64) }, malformed},
		{"query_time_nsec of a second", func(d *dnstap.Message) { d.QueryTimeNsec = proto.Uint32(1e9) }, malformed},
		{"response_time_nsec of a second", func(d *dnstap.Message) { d.ResponseTimeNsec = proto.Uint32(1e9) }, malformed},
		{"a query does not mind its response_time", func(d *dnstap.Message) {
			asQuery(d)
			d.ResponseTimeNsec = proto.Uint32(math.MaxUint32)
		}, with(func(m *transform.Message) { m.Role, m.ResponseTime = transform.ResolverQuery, transform.NoTime })},
		{"PowerDNS's newly observed domain", func(d *dnstap.Message) { d.ResponseTimeSec, d.ResponseTimeNsec = nil, nil },
			with(func(m *transform.Message) { m.ResponseTime = transform.NoTime })},
		{"response_time_nsec alone", func(d *dnstap.Message) { d.ResponseTimeSec = nil },
			with(func(m *transform.Message) { m.ResponseTime = transform.NoTime })},
		{"neither response_time nor response_address", func(d *dnstap.Message) {
			d.ResponseTimeSec, d.ResponseAddress = nil, nil
		}, malformed},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			d := sample()
			tt.change(d.Message)
			sampled := sampleMessage()
			want := verdict{Malformed: true}
			if m := tt.want(&sampled); m != nil {
				want = verdict{Message: *m}
			}
			if diff := cmp.Diff(want, decodeFrame(marshal(d)), compare); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			checkDecode(t, marshal(d))
		})
	}
}

func TestMessageTypesThatAreNotOutwardNeedNothingElse(t *testing.T) {
	for number, name := range dnstap.Message_Type_name {
		role := roleOf(dnstap.Message_Type(number))
		outward := name == "RESOLVER_QUERY" || name == "RESOLVER_RESPONSE" ||
			name == "FORWARDER_QUERY" || name == "FORWARDER_RESPONSE"
		if (role != transform.NotOutward) != outward {
			t.Errorf("%s has role %d", name, role)
		}
		bare := &dnstap.Dnstap{
			Type:    dnstap.Dnstap_MESSAGE.Enum(),
			Message: &dnstap.Message{Type: dnstap.Message_Type(number).Enum(), QueryTimeNsec: proto.Uint32(math.MaxUint32)},
		}
		if got := decodeFrame(marshal(bare)); got.Malformed != outward {
			t.Errorf("a bare %s: malformed is %v", name, got.Malformed)
		}
	}
}

func TestTransportOfEachSocketProtocol(t *testing.T) {
	want := []transform.Transport{
		0: transform.UDP, 1: transform.UDP, 2: transform.TCP,
		3: transform.Encrypted, 4: transform.Encrypted, // DoT, DoH
		5: transform.UDP, 6: transform.Encrypted, 7: transform.Encrypted, // DNSCrypt over UDP and TCP, DoQ
		8: transform.Encrypted,
	}
	for number, transport := range want {
		d := sample()
		d.Message.SocketProtocol = dnstap.SocketProtocol(number).Enum()
		if got := decodeFrame(marshal(d)); got.Malformed || got.Message.Transport != transport {
			t.Errorf("protocol %d: got %+v, want transport %d", number, got, transport)
		}
	}
	d := sample()
	d.Message.SocketProtocol = nil
	if got := decodeFrame(marshal(d)); got.Message.Transport != transform.UDP {
		t.Errorf("no protocol: got transport %d", got.Message.Transport)
	}
}
