package collector

import (
	"bytes"
	"maps"
	"math"
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"

	dnstap "github.com/dnstap/golang-dnstap"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"

	"github.com/dnstap-pdns/dnstap-pdns/transform"
)

// verdict is the result for a frame: a message, or malformed.
type verdict struct {
	Message   transform.Message
	Malformed bool
}

func decodeFrame(b []byte) (v verdict) {
	var f fields
	v.Malformed = !f.decode(b) || !f.holdsMessage() || !f.message(&v.Message)
	if v.Malformed {
		v.Message = transform.Message{}
	}
	return v
}

// oracle decodes a frame with golang-dnstap, and applies the rules one by one.
func oracle(b []byte) verdict {
	malformed := verdict{Malformed: true}
	var d dnstap.Dnstap
	if proto.Unmarshal(b, &d) != nil || d.Message == nil || d.GetType() != dnstap.Dnstap_MESSAGE {
		return malformed
	}
	m := d.Message
	inward := verdict{Message: transform.Message{QueryTime: transform.NoTime, ResponseTime: transform.NoTime}}
	roles := map[dnstap.Message_Type]transform.Role{
		dnstap.Message_RESOLVER_QUERY:     transform.ResolverQuery,
		dnstap.Message_RESOLVER_RESPONSE:  transform.ResolverResponse,
		dnstap.Message_FORWARDER_QUERY:    transform.ForwarderQuery,
		dnstap.Message_FORWARDER_RESPONSE: transform.ForwarderResponse,
	}
	v := inward
	v.Message.Role = roles[m.GetType()]
	if v.Message.Role == transform.OtherRole {
		return inward
	}
	isQuery := v.Message.Role == transform.ResolverQuery || v.Message.Role == transform.ForwarderQuery

	server, ok := netip.AddrFromSlice(m.ResponseAddress)
	if !ok || m.GetResponsePort() > math.MaxUint16 {
		return malformed
	}
	v.Message.Server = netip.AddrPortFrom(server.Unmap(), uint16(m.GetResponsePort()))
	if m.QueryAddress != nil {
		resolver, ok := netip.AddrFromSlice(m.QueryAddress)
		if !ok || m.GetQueryPort() > math.MaxUint16 {
			return malformed
		}
		v.Message.Resolver = netip.AddrPortFrom(resolver.Unmap(), uint16(m.GetQueryPort()))
	}
	v.Message.Wire = m.ResponseMessage
	if isQuery {
		v.Message.Wire = m.QueryMessage
	}
	if len(v.Message.Wire) == 0 {
		return malformed
	}
	times := []struct {
		to   *transform.Time
		sec  *uint64
		nsec uint32
	}{
		{&v.Message.QueryTime, m.QueryTimeSec, m.GetQueryTimeNsec()},
		{&v.Message.ResponseTime, m.ResponseTimeSec, m.GetResponseTimeNsec()},
	}
	if isQuery {
		times = times[:1]
	}
	for _, at := range times {
		switch {
		case at.sec == nil:
		case at.nsec > 999_999_999, *at.sec > 9_223_372_036, *at.sec == 9_223_372_036 && at.nsec > 854_775_807:
			return malformed
		default:
			*at.to = transform.Time(*at.sec)*1e9 + transform.Time(at.nsec)
		}
	}
	switch int32(m.GetSocketProtocol()) {
	case 0, 1, 5:
		v.Message.Transport = transform.UDP
	case 2:
		v.Message.Transport = transform.TCP
	default:
		v.Message.Transport = transform.Encrypted
	}
	if m.SocketProtocol == nil {
		v.Message.Transport = transform.UDP
	}
	v.Message.Zone = m.QueryZone
	return v
}

// compare compares addresses by value; nil and empty slices are equal.
var compare = cmp.Options{
	cmp.Comparer(func(a, b netip.AddrPort) bool { return a == b }),
	cmpopts.EquateEmpty(),
}

// wire builds a protobuf message.
type wire []byte

func (w wire) varint(num protowire.Number, v uint64) wire {
	return protowire.AppendVarint(protowire.AppendTag(w, num, protowire.VarintType), v)
}

func (w wire) bytes(num protowire.Number, v []byte) wire {
	return protowire.AppendBytes(protowire.AppendTag(w, num, protowire.BytesType), v)
}

func (w wire) fixed32(num protowire.Number, v uint32) wire {
	return protowire.AppendFixed32(protowire.AppendTag(w, num, protowire.Fixed32Type), v)
}

func (w wire) fixed64(num protowire.Number, v uint64) wire {
	return protowire.AppendFixed64(protowire.AppendTag(w, num, protowire.Fixed64Type), v)
}

func (w wire) group(num protowire.Number, body wire) wire {
	w = protowire.AppendTag(w, num, protowire.StartGroupType)
	return protowire.AppendTag(append(w, body...), num, protowire.EndGroupType)
}

// oddFrames returns frames that resolvers do not send, and for which protobuf has rules.
func oddFrames() map[string][]byte {
	good := wire(marshal(sample()))
	inner, err := proto.Marshal(sample().Message)
	if err != nil {
		panic(err)
	}
	message := func(body wire) wire { return wire(nil).varint(15, 1).bytes(14, body) }
	client := append(wire(nil).varint(1, uint64(dnstap.Message_CLIENT_RESPONSE)), inner[2:]...)
	deep := wire(nil)
	for range 10050 {
		deep = protowire.AppendTag(deep, 20, protowire.StartGroupType)
	}
	for range 10050 {
		deep = protowire.AppendTag(deep, 20, protowire.EndGroupType)
	}
	return map[string][]byte{
		"good":                             good,
		"empty":                            {},
		"garbage":                          []byte("GET / HTTP/1.1\r\n"),
		"one byte":                         {0},
		"cut short":                        good[:len(good)-3],
		"no type":                          wire(nil).bytes(14, inner),
		"no message":                       wire(nil).varint(15, 1),
		"another type":                     wire(nil).varint(15, 2).bytes(14, inner),
		"type above 32 bits":               wire(nil).varint(15, 1<<32|1).bytes(14, inner),
		"no message type":                  message(nil),
		"unknown message type":             message(wire(nil).varint(1, 99)),
		"negative message type":            message(wire(nil).varint(1, math.MaxUint64)),
		"message type 0":                   message(wire(nil).varint(1, 0)),
		"type in second message":           wire(nil).varint(15, 1).bytes(14, inner[2:]).bytes(14, wire(nil).varint(1, 4)),
		"messages merge":                   wire(nil).varint(15, 1).bytes(14, inner).bytes(14, wire(nil).varint(7, 5353)),
		"last scalar wins":                 message(append(wire(nil).varint(1, 3), inner...)),
		"last bytes win":                   message(wire(inner).bytes(5, []byte{203, 0, 113, 9})),
		"last bytes win when empty":        message(wire(inner).bytes(14, nil)),
		"unknown fields":                   good.varint(16, 3).fixed32(17, 4).fixed64(18, 5).bytes(536870911, []byte("x")),
		"unknown fields within":            message(wire(inner).varint(16, 3).bytes(15, inner).fixed64(18, 5)),
		"group":                            good.group(20, wire(nil).varint(1, 5).group(21, nil)),
		"group with a known number":        message(wire(inner).group(5, wire(nil).varint(1, 5))),
		"message as a group":               wire(nil).varint(15, 1).group(14, inner),
		"group left open":                  protowire.AppendTag(good, 20, protowire.StartGroupType),
		"group closed by another":          protowire.AppendTag(protowire.AppendTag(good, 20, protowire.StartGroupType), 21, protowire.EndGroupType),
		"end of no group":                  protowire.AppendTag(good, 20, protowire.EndGroupType),
		"end of a group with known number": message(protowire.AppendTag(inner, 1, protowire.EndGroupType)),
		"groups beyond all depth":          append(good[:len(good):len(good)], deep...),
		"wire type 6":                      append(good[:len(good):len(good)], 20<<3|6, 0),
		"wire type 7 of a known field":     append(good[:len(good):len(good)], 1<<3|7, 0),
		"field 0":                          append(good[:len(good):len(good)], 0, 0),
		"field number too large":           protowire.AppendVarint(good, 1<<32|2),
		"wrong wire types":                 message(wire(inner).bytes(1, []byte("x")).varint(4, 7).fixed64(8, 1).varint(9, 1).bytes(12, nil)),
		"wrong wire type alone":            message(wire(nil).fixed32(1, 3)),
		"long tag":                         message(append([]byte{0x88, 0x80, 0x00, 4}, inner[2:]...)),
		"tag of eleven bytes":              {0x88, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0},
		"varint above 64 bits":             message(append(inner[:len(inner):len(inner)], 6<<3, 255, 255, 255, 255, 255, 255, 255, 255, 255, 2)),
		"length beyond the end":            message(append(inner[:len(inner):len(inner)], 10<<3|2, 200, 1, 'x')),
		"length of 2^63":                   message(protowire.AppendVarint(append(inner[:len(inner):len(inner)], 10<<3|2), 1<<63)),
		"length of 2^64-1":                 message(protowire.AppendVarint(append(inner[:len(inner):len(inner)], 10<<3|2), math.MaxUint64)),
		"fixed32 cut":                      message(append(inner[:len(inner):len(inner)], 9<<3|5, 1, 2, 3)),
		"port above 16 bits":               message(wire(inner).varint(7, 65536)),
		"port above 32 bits":               message(wire(inner).varint(7, 1<<32|53)),
		"query port above 16 bits":         message(wire(inner).varint(6, 65536)),
		"client":                           message(client),
		"client, type after message":       wire(nil).bytes(14, client).varint(15, 1),
		"client, type twice":               message(client).varint(15, 2),
		"client, another type":             wire(nil).varint(15, 2).bytes(14, client),
		"client, no type":                  wire(nil).bytes(14, client),
		"client, cut short":                message(client[:len(client)-3]),
		"client, then garbage":             message(append(client[:len(client):len(client)], "GET / HTTP/1.1"...)),
		"client, then resolver":            message(client.varint(1, 4)),
		"client, unknown fields":           message(client).varint(16, 3),
		"client, invalid field":            append(message(client), 20<<3|6, 0),
		"client, then resolver's message":  message(client).bytes(14, inner),
		"resolver, then client's message":  message(inner).bytes(14, client),
		"client, then empty message":       message(client).bytes(14, nil),
		"client, message of two":           message(client[:2]).bytes(14, client[2:]),
		"client, long type":                message(append(wire{1 << 3, 0x85, 0}, client[2:]...)),
		"client, long message":             message(client.bytes(10, make([]byte, 1<<14))),
		"client's type is not first":       message(append(client[2:4:4], client...)),
		"invalid UTF-8":                    good.bytes(1, []byte{0xff, 0xfe}).bytes(2, []byte{0xc3}),
	}
}

func TestDecodeAgreesWithProtobufLibrary(t *testing.T) {
	for name, b := range oddFrames() {
		t.Run(name, func(t *testing.T) { checkDecode(t, b) })
	}
}

func TestDecodeAgreesOnCapturesAndTheirPrefixes(t *testing.T) {
	for _, name := range captures() {
		_, frames := capture(t, name)
		for i, b := range frames {
			if i%5 == 0 {
				checkDecode(t, b)
			}
			if i%100 == 0 {
				for n := range b {
					checkDecode(t, b[:n])
				}
			}
		}
	}
}

// TestMessagesThatAreNotOutwardAreNotRead has a frame of Knot Resolver, which sends CLIENT_* only, and
// frames that must be read.
func TestMessagesThatAreNotOutwardAreNotRead(t *testing.T) {
	_, captured := capture(t, "kresd.fstrm")
	var f fields
	if ok, read := decodeNoting(&f, captured[0]); !ok || read {
		t.Error("a captured frame was read")
	}
	frames := oddFrames()
	for _, name := range []string{"good", "client, then resolver's message", "resolver, then client's message", "client's type is not first"} {
		if ok, read := decodeNoting(&f, frames[name]); !ok || !read {
			t.Errorf("%s: not read", name)
		}
	}
}

// TestNamesOfFramesInTurn takes frames in one burst, and compares identity and version after each with those
// of frames that are decoded alone. Most frames have the names of another one, or a part of them.
func TestNamesOfFramesInTurn(t *testing.T) {
	var frames [][]byte
	odd := oddFrames()
	for _, name := range slices.Sorted(maps.Keys(odd)) {
		frames = append(frames, odd[name])
	}
	for _, name := range []string{"bind.fstrm", "kresd.fstrm"} {
		_, captured := capture(t, name)
		frames = append(frames, captured[:20]...)
	}
	nameless := sample()
	nameless.Identity, nameless.Version = nil, nil
	rest := marshal(nameless)
	for _, names := range []wire{
		wire(nil).bytes(1, []byte("a")).bytes(2, []byte("1")), wire(nil).bytes(1, []byte("a")), wire(nil).bytes(2, []byte("1")),
		wire(nil).bytes(2, []byte("2")).bytes(1, []byte("a")), wire(nil).bytes(1, []byte("a")).bytes(2, nil), nil,
	} {
		frames = append(frames, slices.Concat(names, rest), slices.Concat(names, rest, names), slices.Concat(names, rest[:len(rest)-1]),
			slices.Concat(names, wire(nil).varint(15, 1).bytes(14, wire(nil).varint(1, 5))))
	}
	r := rand.New(rand.NewPCG(1, 2))
	s := stream{lane: &sink{}}
	var identity, version []byte
	for range 50_000 {
		b := frames[r.IntN(len(frames))]
		s.take(dataFrame, b)
		var f fields
		if f.decode(b) && f.holdsMessage() {
			if v := f.bytes(f.identity); v != nil {
				identity = v
			}
			if v := f.bytes(f.version); v != nil {
				version = v
			}
		}
		if !bytes.Equal(s.account.identity, identity) || !bytes.Equal(s.account.version, version) {
			t.Fatalf("identity %q, version %q instead of %q and %q after %x", s.account.identity, s.account.version, identity, version, b)
		}
	}
}

// decodeNoting decodes a frame, and reports whether its message was read.
func decodeNoting(f *fields, frame []byte) (ok, read bool) {
	earlier := messageFields{zone: span{1, 0}} // no field ends before it begins
	f.messageFields = earlier
	ok = f.decode(frame)
	return ok, f.messageFields != earlier
}

// checkDecode compares fields and verdict with the library's. A frame whose message is not read must
// be as if the message ended after its type.
func checkDecode(t *testing.T, b []byte) {
	t.Helper()
	var f fields
	var d dnstap.Dnstap
	verdict := decodeFrame(b)
	accepted, read := decodeNoting(&f, b)
	if !read {
		b, f.messageFields = cutAfterType(t, b), messageFields{}
	}
	err := proto.Unmarshal(b, &d)
	if accepted != (err == nil) {
		t.Fatalf("decode accepts: %v; proto.Unmarshal says %v\n%x", accepted, err, b)
	}
	if accepted {
		m := d.GetMessage()
		queryAddress, responseAddress, identity := f.bytes(f.queryAddress), f.bytes(f.responseAddress), f.bytes(f.identity)
		got := []any{identity, f.bytes(f.version), f.kind, f.hasMessage, f.messageType, int32(f.protocol),
			queryAddress, responseAddress, f.queryPort, f.responsePort,
			f.querySec, f.queryNsec, f.hasQuerySec, f.responseSec, f.responseNsec, f.hasResponseSec,
			f.bytes(f.queryMessage), f.bytes(f.responseMessage), f.bytes(f.zone),
			queryAddress == nil, responseAddress == nil, identity == nil}
		want := []any{d.Identity, d.Version, d.GetType(), d.Message != nil, typeNumber(m), protocolNumber(m),
			m.GetQueryAddress(), m.GetResponseAddress(), m.GetQueryPort(), m.GetResponsePort(),
			m.GetQueryTimeSec(), m.GetQueryTimeNsec(), m != nil && m.QueryTimeSec != nil,
			m.GetResponseTimeSec(), m.GetResponseTimeNsec(), m != nil && m.ResponseTimeSec != nil,
			m.GetQueryMessage(), m.GetResponseMessage(), m.GetQueryZone(),
			m.GetQueryAddress() == nil, m.GetResponseAddress() == nil, d.Identity == nil}
		if diff := cmp.Diff(want, got, compare); diff != "" {
			t.Fatalf("fields (-library +ours):\n%s\n%x", diff, b)
		}
	}
	if diff := cmp.Diff(oracle(b), verdict, compare); diff != "" {
		t.Fatalf("verdict (-oracle +ours):\n%s\n%x", diff, b)
	}
}

// cutAfterType returns a frame without the fields after the first one of its message, which is the
// type. The frame must have one message.
func cutAfterType(t *testing.T, b []byte) (cut wire) {
	t.Helper()
	messages := 0
	for len(b) > 0 {
		num, _, n := protowire.ConsumeField(b)
		if n < 0 {
			t.Fatalf("not read, but the frame is malformed: %x", b)
		}
		if num == 14 {
			messages++
			message, _ := protowire.ConsumeBytes(b[1:])
			num, typ, n := protowire.ConsumeField(message)
			if num != 1 || typ != protowire.VarintType {
				t.Fatalf("not read, but the message does not begin with its type: %x", message)
			}
			cut = cut.bytes(14, message[:n])
		} else {
			cut = append(cut, b[:n]...)
		}
		b = b[n:]
	}
	if messages != 1 {
		t.Fatalf("not read, but there are %d messages", messages)
	}
	return cut
}

// typeNumber and protocolNumber return 0 if the field is absent; the library's getters return
// the field's default.
func typeNumber(m *dnstap.Message) dnstap.Message_Type {
	if m == nil || m.Type == nil {
		return 0
	}
	return *m.Type
}

func protocolNumber(m *dnstap.Message) int32 {
	if m == nil || m.SocketProtocol == nil {
		return 0
	}
	return int32(*m.SocketProtocol)
}

func FuzzDecode(f *testing.F) {
	for _, b := range oddFrames() {
		if len(b) < 4096 {
			f.Add(b)
		}
	}
	for _, name := range captures() {
		_, frames := capture(f, name)
		for i := 0; i < len(frames); i += 25 {
			f.Add(frames[i])
		}
	}
	f.Fuzz(checkDecode)
}

// sampleMessage returns the message of sample().
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

// with returns a function that changes the expected message.
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
		{"a response with its query", func(d *dnstap.Message) { d.QueryMessage = []byte("the query") },
			with(func(*transform.Message) {})},
		{"no query_zone", func(d *dnstap.Message) { d.QueryZone = nil }, with(func(m *transform.Message) { m.Zone = nil })},
		{"an invalid query_zone", func(d *dnstap.Message) { d.QueryZone = []byte("\xff") },
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
		if (role != transform.OtherRole) != outward {
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
