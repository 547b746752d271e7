package nmsg

import (
	"bytes"
	"encoding/binary"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/dnstap-pdns/dnstap-pdns/transform"
)

// FuzzReader checks, for any input, that the reader ends, keeps its memory limits, reports
// damage with offsets in the stream and in order, and returns the messages before the
// garbage.
func FuzzReader(f *testing.F) {
	payloads := payloadsOf(f, 4)
	c := sealed(payloads, seqID, 0)
	f.Add(c)
	f.Add(deflated(f, c))
	f.Add(slices.Concat(cut(c, MinSize, 1)...))
	f.Add(slices.Concat(cut(deflated(f, sealed(payloadsOf(f, 60), seqID, 0)), MinSize, 1)...))
	f.Add(c[:len(c)-9])
	f.Add(slices.Concat(c[3:], c))
	f.Add(vector(f, "dnsobs.nmsg"))
	f.Add(vector(f, "dnstap-layout.nmsg"))
	f.Fuzz(func(t *testing.T, b []byte) {
		if len(b) > 1<<16 {
			return
		}
		messages, damage := readAll(t, NewReader(bytes.NewReader(b)))
		for _, d := range damage {
			if d.Offset < 0 || d.Offset >= int64(len(b)) {
				t.Errorf("damage at %d of %d bytes: %v", d.Offset, len(b), d.Err)
			}
		}
		again, _ := readAll(t, NewReader(bytes.NewReader(append(bytes.Clone(c), b...))))
		if len(again) < len(payloads) {
			t.Fatalf("%d messages before garbage, want %d", len(again), len(payloads))
		}
		checkMessages(t, payloads, again[:len(payloads)])
		if len(messages) > len(b) {
			t.Errorf("%d messages in %d bytes", len(messages), len(b))
		}
	})
}

// FuzzWhole checks that the whole containers can be read without damage, are whole
// without the rest, and do not depend on the bytes after them.
func FuzzWhole(f *testing.F) {
	c := sealed(payloadsOf(f, 4), seqID, 0)
	f.Add(c)
	f.Add(slices.Concat(c, deflated(f, c)))
	f.Add(slices.Concat(c, []byte(Magic), make([]byte, 100)))
	f.Add(slices.Concat(cut(c, MinSize, 1)...))
	f.Fuzz(func(t *testing.T, b []byte) {
		if len(b) > 1<<16 {
			return
		}
		n := wholeBytes(t, b)
		if _, damage := readAll(t, NewReader(bytes.NewReader(b[:n]))); len(damage) > 0 {
			t.Errorf("%d of %d bytes are whole, and damaged: %v", n, len(b), damage[0])
		}
		if again := wholeBytes(t, b[:n]); again != n {
			t.Errorf("%d bytes are whole, and %d of these", n, again)
		}
		if before := wholeBytes(t, append(bytes.Clone(c), b...)); before < len(c) {
			t.Errorf("%d bytes are whole of what begins with %d that are", before, len(c))
		}
	})
}

func wholeBytes(t *testing.T, b []byte) int {
	t.Helper()
	n, err := Whole(bytes.NewReader(b))
	if err != nil || n < 0 || n > int64(len(b)) {
		t.Fatalf("%d of %d bytes are whole, %v", n, len(b), err)
	}
	return int(n)
}

// FuzzAssembler checks memory limits, and that a valid datagram is read after any others.
// The input is datagrams, each after two bytes of length and one byte that encodes sender
// and time.
func FuzzAssembler(f *testing.F) {
	payloads := payloadsOf(f, 4)
	c := sealed(payloads, seqID, 0)
	pack := func(datagrams ...[]byte) (b []byte) {
		for i, d := range datagrams {
			b = binary.BigEndian.AppendUint16(b, uint16(len(d)))
			b = append(append(b, byte(i)), d...)
		}
		return b
	}
	fragments := cut(sealed(payloadsOf(f, 20), seqID, 0), MinSize, 1)
	f.Add(pack(c, deflated(f, c)))
	f.Add(pack(fragments...))
	f.Add(pack(slices.Concat(shuffled(fragments), fragments)...))
	f.Fuzz(func(t *testing.T, b []byte) {
		var a Assembler
		now := noon
		for len(b) >= 3 {
			n := min(int(binary.BigEndian.Uint16(b)), len(b)-3)
			from := netip.AddrPortFrom(sender.Addr(), uint16(b[2]&3))
			now = now.Add(time.Duration(b[2]>>2) * time.Second)
			feed(&a, b[3:3+n], now, from)
			b = b[3+n:]
		}
		r := &a.unpack.fragments
		held := 0
		for _, s := range r.order {
			held += s.size + len(s.parts)*fragmentCost
		}
		if held != r.bytes || len(r.sets) != len(r.order) {
			t.Errorf("%d bytes are held, %d accounted for; %d sets, %d in order", held, r.bytes, len(r.sets), len(r.order))
		}
		got, errs := feed(&a, c, now, sender)
		if len(errs) > 0 {
			t.Error(errs)
		}
		checkMessages(t, payloads, got)
	})
}

// FuzzDecodeDNSQR compares the decoder with the protobuf library; only the decoder checks the
// length of addresses.
func FuzzDecodeDNSQR(f *testing.F) {
	for _, m := range readWhole(f, vector(f, "unbound-dnsqr.nmsg"))[:20] {
		f.Add(m.Data)
	}
	for _, p := range payloadsOf(f, 2, responseOnly) {
		m, _ := parsePayload(p.Bytes)
		f.Add(m.Data)
	}
	f.Add([]byte("\x68\x01\x6a\x02\x05\x06\x75\x01\x00\x00\x00\x72\x04\x09\x00\x00\x00\xa1\x01\x00\x00\x00\x00\x00\x00\xf0\x3f"))
	empty := oracle(f, "DnsQR")
	f.Fuzz(func(t *testing.T, b []byte) {
		q, err := DecodeDNSQR(b)
		q.Query()
		q.Response()
		m := empty.New().Interface()
		oracleErr := proto.Unmarshal(b, m)
		if err != nil {
			if oracleErr == nil && validAddresses(m.ProtoReflect()) {
				t.Fatalf("refused: %v", err)
			}
			return
		}
		if oracleErr != nil {
			t.Fatalf("taken, but: %v", oracleErr)
		}
		if diff := cmp.Diff(oracleFields(m.ProtoReflect()), fieldsOf(&q), cmp.Comparer(sameFloat)); diff != "" {
			t.Errorf("(-protobuf +got):\n%s", diff)
		}
	})
}

func sameFloat(a, b float64) bool { return a == b || a != a && b != b }

// validAddresses reports whether every address of the message has a valid length. It does
// not see an address that a later one replaces; the decoder may refuse the message for it.
func validAddresses(m protoreflect.Message) bool {
	for _, name := range []protoreflect.Name{"query_ip", "response_ip"} {
		n := len(m.Get(m.Descriptor().Fields().ByName(name)).Bytes())
		if n != 4 && n != 16 {
			return false
		}
	}
	return true
}

func fieldsOf(q *QueryResponse) fields {
	f := fields{
		"type": int32(q.Type), "query_ip": q.QueryIP.AsSlice(), "response_ip": q.ResponseIP.AsSlice(), "proto": q.Proto,
		"query_port": q.QueryPort, "response_port": q.ResponsePort, "id": q.ID,
	}
	for name, v := range map[string]*uint32{"qtype": q.QType, "qclass": q.QClass, "rcode": q.RCode} {
		if v != nil {
			f[name] = *v
		}
	}
	for name, v := range map[string][]byte{"qname": q.QName, "tcp": q.TCP, "icmp": q.ICMP} {
		if v != nil {
			f[name] = v
		}
	}
	list(f, "query_packet", q.QueryPacket)
	list(f, "query_time_sec", q.QueryTimeSec)
	list(f, "query_time_nsec", q.QueryTimeNsec)
	list(f, "response_packet", q.ResponsePacket)
	list(f, "response_time_sec", q.ResponseTimeSec)
	list(f, "response_time_nsec", q.ResponseTimeNsec)
	if q.Timeout != nil {
		f["timeout"] = *q.Timeout
	}
	if q.UDPChecksum != nil {
		f["udp_checksum"] = int32(*q.UDPChecksum)
	}
	if q.ResolverAddressZeroed != nil {
		f["resolver_address_zeroed"] = *q.ResolverAddressZeroed
	}
	return f
}

func list[T any](f fields, name string, from []T) {
	if len(from) == 0 {
		return
	}
	var all []any
	for _, v := range from {
		all = append(all, v)
	}
	f[name] = all
}

// FuzzRoundTrip checks that both readers return payloads of any content and size from
// containers that are plain, deflated or in fragments.
func FuzzRoundTrip(f *testing.F) {
	f.Add([]byte("\x00\x10\x00\x00\x01\x00\x05\x00"), uint16(1280), uint64(seqID), uint32(7))
	f.Add([]byte("\x40\x10\xff\xff\x01\x00\x05\x00"), uint16(512), uint64(0), uint32(1<<32-1))
	f.Add([]byte{}, uint16(0), uint64(1), uint32(0))
	f.Fuzz(func(t *testing.T, sizes []byte, limit uint16, seqID uint64, seq uint32) {
		if len(sizes) > 32 {
			return
		}
		var payloads []Payload
		for ; len(sizes) >= 2; sizes = sizes[2:] {
			payloads = append(payloads, payloadOfSize(int(binary.BigEndian.Uint16(sizes))%20_000, seq))
		}
		var c Container
		var d Deflater
		var plain, zlib, cutUp []byte
		var ends []int
		var datagrams Assembler
		var fromDatagrams []Message
		size := max(int(limit), MinSize)
		flush := func(b []byte) {
			b = c.Seal(b, seqID)
			SetSequence(b, seqID, seq)
			if len(b) > size && c.Payloads() > 1 {
				t.Errorf("a container of %d payloads has %d bytes, over %d", c.Payloads(), len(b), size)
			}
			plain = append(plain, b...)
			var err error
			if zlib, err = d.Append(zlib, b); err != nil {
				t.Fatal(err)
			}
			start, first := len(cutUp), len(ends)
			cutUp, ends = AppendFragments(cutUp, ends, b, size, seq)
			for _, end := range shuffled(ends[first:]) {
				begin := start
				if i := slices.Index(ends, end); i > first {
					begin = ends[i-1]
				}
				got, errs := feed(&datagrams, cutUp[begin:end], noon, sender)
				if len(errs) > 0 {
					t.Error(errs)
				}
				fromDatagrams = append(fromDatagrams, got...)
			}
			seq++
		}
		b := c.Begin(nil)
		for _, p := range payloads {
			if !c.Fits(b, p, size, seqID) {
				flush(b)
				b = c.Begin(nil)
			}
			b = c.Add(b, p)
		}
		flush(b)
		checkMessages(t, payloads, readWhole(t, plain))
		checkMessages(t, payloads, readWhole(t, zlib))
		checkMessages(t, payloads, readWhole(t, cutUp))
		checkMessages(t, payloads, fromDatagrams)
	})
}

func payloadOfSize(n int, seed uint32) Payload {
	data := make([]byte, n)
	for i := range data {
		seed = seed*1664525 + 1013904223
		data[i] = byte(seed >> 24)
	}
	b := appendNumber(nil, payloadVendor, VendorBase)
	b = appendNumber(b, payloadType, NumberDNSTap)
	b = appendNumber(b, payloadTimeSec, uint64(seed))
	b = append(b, 0x25, 1, 2, 3, 4)
	b = append(b, 0x2a)
	b = binary.AppendUvarint(b, uint64(n))
	return Payload{Bytes: append(b, data...), CRC: checksum(data)}
}

// FuzzRecord checks, for any record, that each type that takes it preserves its messages in a
// container, and that the protobuf library writes the same dnstap.
func FuzzRecord(f *testing.F) {
	f.Add(false, true, true, uint8(0), int64(queryTime), int64(queryTime), zone, response)
	f.Add(true, true, false, uint8(1), int64(transform.NoTime), int64(-1), []byte{}, response)
	f.Add(true, false, true, uint8(2), int64(queryTime), int64(transform.NoTime), zone, query)
	f.Add(false, true, true, uint8(1), int64(transform.NoTime), int64(transform.NoTime), zone, make([]byte, 200))
	f.Fuzz(func(t *testing.T, v6, answered, asked bool, transport uint8, queryTime, responseTime int64, zone, message []byte) {
		r := recordWith(func(r *transform.Record) {
			r.Transport = transform.Transport(transport % 3)
			r.QueryTime, r.ResponseTime, r.Zone = transform.Time(queryTime), transform.Time(responseTime), zone
			r.HasResponse, r.HasQuery, r.Query, r.Response = answered, asked, nil, nil
		})
		if v6 {
			onIPv6(r)
		}
		if answered {
			r.Response = message
		}
		if asked {
			r.Query = message
		}
		var taken []MessageType
		var payloads []Payload
		for _, typ := range MessageTypes() {
			if _, p, err := AppendPayload(nil, typ, IDs{}, r); err == nil {
				taken, payloads = append(taken, typ), append(payloads, p)
			} else if typ.Accepts(r) && typ.carries(r) {
				t.Errorf("%v: %v", typ, err)
			}
		}
		for i, m := range readWhole(t, sealed(payloads, seqID, 0)) {
			typ := taken[i]
			gotQuery, gotResponse := messagesIn(t, typ, m.Data)
			if !bytes.Equal(gotResponse, r.Response) {
				t.Errorf("%v: response %x, want %x", typ, gotResponse, r.Response)
			}
			if typ == DNSQR && !bytes.Equal(gotQuery, r.Query) {
				t.Errorf("%v: query %x, want %x", typ, gotQuery, r.Query)
			}
			if typ == DNSTap {
				checkTap(t, r, m.Data)
			}
		}
	})
}

// checkTap checks which fields a dnstap has, and that its encoding is that of protobuf.
func checkTap(t *testing.T, r *transform.Record, data []byte) {
	d := tapOf(t, data)
	if again, err := proto.Marshal(d); err != nil || !bytes.Equal(again, data) {
		t.Errorf("protobuf writes it as\n%x (%v), not as\n%x", again, err, data)
	}
	m := d.Message
	if d.Identity != nil || d.Version != nil || d.Extra != nil || m.GetSocketProtocol() > 2 {
		t.Errorf("%v must not leave", d)
	}
	if (m.QueryMessage == nil) != r.HasResponse || (m.ResponseMessage == nil) == r.HasResponse || (m.ResponseTimeSec == nil) == r.HasResponse {
		t.Errorf("answered %v: %v", r.HasResponse, d)
	}
	if len(m.QueryAddress) != len(m.ResponseAddress) || bytes.Trim(m.QueryAddress, "\x00") != nil || m.GetQueryPort() != 0 {
		t.Errorf("the address of the resolver is present: %v", d)
	}
}

// FuzzPacketDNS checks that PacketDNS does not panic, and that its result is part of the
// packet.
func FuzzPacketDNS(f *testing.F) {
	e := endpointsOf(recordWith())
	f.Add(appendPacket(nil, e.server, e.resolver, query))
	e = endpointsOf(recordWith(onIPv6))
	f.Add(appendPacket(nil, e.server, e.resolver, query))
	f.Fuzz(func(t *testing.T, packet []byte) {
		if msg, ok := PacketDNS(slices.Clip(packet)); ok && !bytes.Contains(packet, msg) {
			t.Errorf("%x is not inside", msg)
		}
	})
}

// FuzzDecodeDNSObs checks that the decoder accepts what the protobuf library accepts.
func FuzzDecodeDNSObs(f *testing.F) {
	for _, m := range readWhole(f, vector(f, "dnsobs.nmsg")) {
		f.Add(m.Data)
	}
	empty := oracle(f, "DnsObs")
	f.Fuzz(func(t *testing.T, b []byte) {
		o, err := DecodeDNSObs(b)
		if err != nil {
			return
		}
		m := empty.New()
		if err := proto.Unmarshal(b, m.Interface()); err != nil {
			t.Fatalf("taken, but: %v", err)
		}
		got := fields{"time": o.Time, "response_ip": o.ResponseIP.AsSlice(), "qname": o.QName,
			"qtype": o.QType, "qclass": o.QClass, "rcode": o.RCode}
		for name, v := range map[string][]byte{"response": o.Response, "query_zone": o.QueryZone, "geoid": o.GeoID} {
			if v != nil {
				got[name] = v
			}
		}
		if o.SensorID != nil {
			got["sensor_id"] = *o.SensorID
		}
		if diff := cmp.Diff(oracleFields(m), got); diff != "" {
			t.Errorf("(-protobuf +got):\n%s", diff)
		}
	})
}
