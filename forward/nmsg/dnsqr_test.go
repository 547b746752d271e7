package nmsg

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/dnstap-pdns/dnstap-pdns/transform"
)

// appendTo appends r to other bytes, and checks that these do not change.
func appendTo(t testing.TB, typ MessageType, ids IDs, r *transform.Record) Payload {
	t.Helper()
	before := []byte("before")
	b, p, err := AppendPayload(bytes.Clone(before), typ, ids, r)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.HasPrefix(b, before) || !bytes.Equal(b[len(before):], p.Bytes) {
		t.Fatalf("buffer is %x, payload %x", b, p.Bytes)
	}
	return p
}

// dataOf returns the message inside a payload, read by the oracle.
func dataOf(t testing.TB, p Payload) []byte {
	t.Helper()
	data := readByOracle(t, "NmsgPayload", p.Bytes)["payload"].([]byte)
	if p.CRC != checksum(data) {
		t.Errorf("CRC %#x, want %#x", p.CRC, checksum(data))
	}
	return data
}

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.Join(strings.Fields(s), ""))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestDNSQRHoldsWhatIsKnown(t *testing.T) {
	ip4, ip6 := make([]byte, 4), make([]byte, 16)
	server := map[bool][]byte{true: {192, 0, 2, 1}, false: server6.Addr().AsSlice()}
	for _, tc := range []struct {
		name    string
		changes []func(*transform.Record)
		want    fields // in addition to the fields of all cases
		without []string
	}{
		{name: "answered", want: fields{"type": int32(1)}},
		{name: "answered over TCP", changes: []func(*transform.Record){overTCP}, want: fields{"type": int32(1)}},
		{name: "unanswered", changes: []func(*transform.Record){unanswered}, want: fields{"type": int32(2)},
			without: []string{"rcode", "response_packet", "response_time_sec", "response_time_nsec", "udp_checksum"}},
		{name: "response only", changes: []func(*transform.Record){responseOnly}, want: fields{"type": int32(7)},
			without: []string{"query_packet", "query_time_sec", "query_time_nsec"}},
		{name: "response only over TCP", changes: []func(*transform.Record){responseOnly, overTCP}, want: fields{"type": int32(7)},
			without: []string{"query_packet", "query_time_sec", "query_time_nsec"}},
		{name: "NXDOMAIN", changes: []func(*transform.Record){func(r *transform.Record) { r.Rcode = 3 }},
			want: fields{"type": int32(1), "rcode": uint32(3)}},
		{name: "no port known", changes: []func(*transform.Record){func(r *transform.Record) {
			r.Server = netip.AddrPortFrom(r.Server.Addr(), 0)
		}}, want: fields{"type": int32(1)}},
	} {
		for _, v4 := range []bool{true, false} {
			t.Run(tc.name+map[bool]string{true: "/IPv4", false: "/IPv6"}[v4], func(t *testing.T) {
				r, zero := recordWith(), ip4
				if !v4 {
					onIPv6(r)
					zero = ip6
				}
				for _, change := range tc.changes {
					change(r)
				}
				want := fields{
					"query_ip": zero, "response_ip": server[v4], "proto": uint32(17),
					"query_port": uint32(0), "response_port": uint32(53), "id": uint32(0),
					"qname": name, "qtype": uint32(1), "qclass": uint32(1), "rcode": uint32(0),
					"query_packet":   []any{packetByHand(t, v4, false, query)},
					"query_time_sec": []any{int64(1_700_000_000)}, "query_time_nsec": []any{int32(250_000_000)},
					"response_packet":   []any{packetByHand(t, v4, true, response)},
					"response_time_sec": []any{int64(1_700_000_000)}, "response_time_nsec": []any{int32(255_000_000)},
					"udp_checksum": int32(1), "resolver_address_zeroed": true,
				}
				for k, v := range tc.want {
					want[k] = v
				}
				for _, k := range tc.without {
					delete(want, k)
				}
				got := readByOracle(t, "DnsQR", dataOf(t, appendTo(t, DNSQR, IDs{}, r)))
				if diff := cmp.Diff(want, got); diff != "" {
					t.Errorf("(-want +got):\n%s", diff)
				}
			})
		}
	}
}

// packetByHand is the packet between the zeroed resolver and 192.0.2.1 or
// 2001:db8::1 with a message of 33 bytes. The checksum is 192.0.2.1 and 0.0.0.0,
// 45 00 00 3d, TTL 64 and UDP summed by hand.
func packetByHand(t *testing.T, v4, isResponse bool, msg []byte) []byte {
	t.Helper()
	ports := "0000 0035"
	if isResponse {
		ports = "0035 0000"
	}
	addrs := map[bool][2]string{
		true:  {"00000000", "c0000201"},
		false: {strings.Repeat("0", 32), "20010db8000000000000000000000001"},
	}[v4]
	if isResponse {
		addrs[0], addrs[1] = addrs[1], addrs[0]
	}
	header := "4500 003d 0000 0000 40 11 b8af"
	if !v4 {
		header = "60000000 0029 11 40"
	}
	return append(unhex(t, header+addrs[0]+addrs[1]+ports+"0029 0000"), msg...)
}

func TestDNSQRKeepsTheResolver(t *testing.T) {
	r := recordWith(func(r *transform.Record) {
		r.Resolver, r.ID, r.Zeroed = netip.MustParseAddrPort("198.51.100.7:40000"), 0xbeef, false
	})
	got := readByOracle(t, "DnsQR", dataOf(t, appendTo(t, DNSQR, IDs{}, r)))
	for k, want := range (fields{"query_ip": []byte{198, 51, 100, 7}, "query_port": uint32(40000), "id": uint32(0xbeef)}) {
		if diff := cmp.Diff(want, got[k]); diff != "" {
			t.Errorf("%s (-want +got):\n%s", k, diff)
		}
	}
	if _, ok := got["resolver_address_zeroed"]; ok {
		t.Error("resolver_address_zeroed is there")
	}
	packet := got["query_packet"].([]any)[0].([]byte)
	if sum := sumOfHeader(packet[:ipv4HeaderLen]); sum != 0 {
		t.Errorf("IPv4 header checksum is off by %#x", sum)
	}
}

func TestDNSQRFamiliesAgree(t *testing.T) {
	for _, tc := range []struct{ name, server, resolver, wantServer, wantResolver string }{
		{"mapped server", "[::ffff:192.0.2.1]:53", "[::ffff:198.51.100.7]:4000", "192.0.2.1", "198.51.100.7"},
		{"resolver of the other family", "192.0.2.1:53", "[2001:db8::7]:4000", "192.0.2.1", "0.0.0.0"},
		{"resolver of the other family", "[2001:db8::1]:53", "198.51.100.7:4000", "2001:db8::1", "::"},
		{"no resolver", "192.0.2.1:53", "", "192.0.2.1", "0.0.0.0"},
		{"neither", "", "", "::", "::"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r := recordWith()
			r.Server, _ = netip.ParseAddrPort(tc.server)
			r.Resolver, _ = netip.ParseAddrPort(tc.resolver)
			q, err := DecodeDNSQR(dataOf(t, appendTo(t, DNSQR, IDs{}, r)))
			if err != nil {
				t.Fatal(err)
			}
			if q.ResponseIP.String() != tc.wantServer || q.QueryIP.String() != tc.wantResolver {
				t.Errorf("from %v to %v, want from %s to %s", q.ResponseIP, q.QueryIP, tc.wantServer, tc.wantResolver)
			}
			if msg, ok := q.Response(); !ok || !bytes.Equal(msg, response) {
				t.Errorf("the response packet holds %x", msg)
			}
		})
	}
}

// TestDNSQRAgreesWithNmsgtool encodes the records of nmsgtool's own dnsqr messages. It does
// not compare the fields that only a captured packet has: flow label, IP ID, DF, hops,
// checksums.
func TestDNSQRAgreesWithNmsgtool(t *testing.T) {
	for i, m := range readWhole(t, vector(t, "unbound-dnsqr.nmsg")) {
		q, err := DecodeDNSQR(m.Data)
		if err != nil {
			t.Fatal(err)
		}
		want := readByOracle(t, "DnsQR", m.Data)
		p := appendTo(t, DNSQR, IDs{}, recordOf(t, &q))
		got := readByOracle(t, "DnsQR", dataOf(t, p))
		for _, f := range []fields{want, got} {
			delete(f, "udp_checksum")
			delete(f, "timeout")
			for _, k := range []string{"query_packet", "response_packet"} {
				if packets, ok := f[k].([]any); ok {
					f[k] = []any{normalized(t, packets[0].([]byte))}
				}
			}
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("message %d (-nmsgtool +got):\n%s", i, diff)
		}
		outer := readByOracle(t, "NmsgPayload", p.Bytes)
		if outer["time_sec"] != m.Sec || outer["time_nsec"] != m.Nsec {
			t.Errorf("message %d: payload time %v.%v, nmsgtool's %d.%d", i, outer["time_sec"], outer["time_nsec"], m.Sec, m.Nsec)
		}
	}
}

func recordOf(t *testing.T, q *QueryResponse) *transform.Record {
	t.Helper()
	r := &transform.Record{
		Server:       netip.AddrPortFrom(q.ResponseIP, uint16(q.ResponsePort)),
		Resolver:     netip.AddrPortFrom(q.QueryIP, uint16(q.QueryPort)),
		ID:           uint16(q.ID),
		Name:         q.QName,
		Type:         uint16(*q.QType),
		Class:        uint16(*q.QClass),
		QueryTime:    transform.NoTime,
		ResponseTime: transform.NoTime,
	}
	if r.Query, r.HasQuery = q.Query(); r.HasQuery {
		r.QueryTime = transform.Time(q.QueryTimeSec[0]*1e9 + int64(q.QueryTimeNsec[0]))
	}
	if r.Response, r.HasResponse = q.Response(); r.HasResponse {
		r.ResponseTime = transform.Time(q.ResponseTimeSec[0]*1e9 + int64(q.ResponseTimeNsec[0]))
		r.Rcode = uint8(*q.RCode)
	}
	if len(q.QueryPacket) > 1 || len(q.ResponsePacket) > 1 {
		t.Fatal("the vector holds a message of several packets")
	}
	return r
}

// normalized returns a packet without the fields in which captured and synthesised packets
// differ. It checks the checksum of a synthesised one.
func normalized(t *testing.T, packet []byte) []byte {
	t.Helper()
	packet = bytes.Clone(packet)
	udp := ipv6HeaderLen
	if packet[0]>>4 == 4 {
		if sumOfHeader(packet[:ipv4HeaderLen]) != 0 {
			t.Errorf("wrong IPv4 header checksum in % x", packet[:ipv4HeaderLen])
		}
		udp = ipv4HeaderLen
		clear(packet[4:8])
		clear(packet[10:12])
		packet[8] = 0
	} else {
		clear(packet[1:4])
		packet[7] = 0
	}
	clear(packet[udp+6 : udp+8])
	return packet
}

func TestHeaderChecksumFoldsEveryCarry(t *testing.T) {
	for _, tc := range []struct {
		words []uint32
		want  uint16
	}{
		{[]uint32{0}, 0xffff},
		{[]uint32{0xffff}, 0},
		{[]uint32{0xffff_0001}, 0xfffe},
		{[]uint32{0xffff_ffff, 1}, 0xfffe}, // the first fold carries again
	} {
		if got := checksumOf(tc.words...); got != tc.want {
			t.Errorf("%x sums to %#x, want %#x", tc.words, got, tc.want)
		}
	}
}

// sumOfHeader returns 0 for a header with its correct checksum.
func sumOfHeader(header []byte) uint16 {
	var words []uint32
	for ; len(header) > 0; header = header[4:] {
		words = append(words, binary.BigEndian.Uint32(header))
	}
	return checksumOf(words...)
}
