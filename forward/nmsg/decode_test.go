package nmsg

import (
	"bytes"
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"google.golang.org/protobuf/encoding/prototext"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// written returns a message that the oracle wrote from protobuf's text form.
func written(t *testing.T, name, text string) []byte {
	t.Helper()
	m := oracle(t, protoreflect.Name(name))
	if err := (prototext.UnmarshalOptions{AllowPartial: true}).Unmarshal([]byte(text), m); err != nil {
		t.Fatal(err)
	}
	b, err := proto.MarshalOptions{AllowPartial: true, Deterministic: true}.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

const requiredOfDNSQR = `type: 2 query_ip: "\x00\x00\x00\x00" response_ip: "\xc0\x00\x02\x01" ` +
	`proto: 17 query_port: 1 response_port: 53 id: 7 `

func ptr[T any](v T) *T { return &v }

func compareAddrs(a, b netip.Addr) bool { return a == b }

func TestDecodeDNSQRKeepsPresence(t *testing.T) {
	least := QueryResponse{
		Type: UDPUnansweredQuery, QueryIP: netip.IPv4Unspecified(), ResponseIP: netip.MustParseAddr("192.0.2.1"),
		Proto: 17, QueryPort: 1, ResponsePort: 53, ID: 7,
	}
	everything := least
	everything.QName, everything.QType, everything.QClass, everything.RCode = []byte{0}, ptr(uint32(2)), ptr(uint32(1)), ptr(uint32(0))
	everything.QueryPacket, everything.ResponsePacket = [][]byte{[]byte("a"), []byte("b")}, [][]byte{{}}
	everything.QueryTimeSec, everything.QueryTimeNsec = []int64{-5, 6}, []int32{-1, 2}
	everything.ResponseTimeSec, everything.ResponseTimeNsec = []int64{7}, []int32{8}
	everything.TCP, everything.ICMP, everything.Timeout = []byte{}, []byte("i"), ptr(72.5)
	everything.UDPChecksum, everything.ResolverAddressZeroed = ptr(ChecksumAbsent), ptr(false)

	for _, tc := range []struct {
		name, text string
		want       QueryResponse
	}{
		{"required only", requiredOfDNSQR, least},
		{"everything", requiredOfDNSQR + `qname: "\x00" qtype: 2 qclass: 1 rcode: 0
			query_packet: "a" query_packet: "b" query_time_sec: [-5, 6] query_time_nsec: [-1, 2]
			response_packet: "" response_time_sec: 7 response_time_nsec: 8
			tcp: "" icmp: "i" timeout: 72.5 udp_checksum: 1 resolver_address_zeroed: false`, everything},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got, err := DecodeDNSQR(written(t, "DnsQR", tc.text))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tc.want, got, cmp.Comparer(compareAddrs)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestDecodeDNSObsKeepsPresence(t *testing.T) {
	const requiredOfDNSObs = `time: 18446744073709551615 response_ip: "\xc0\x00\x02\x01" qname: "" qtype: 1 qclass: 1 rcode: 0 `
	least := Observation{Time: 1<<64 - 1, ResponseIP: netip.MustParseAddr("192.0.2.1"), QName: []byte{}, QType: 1, QClass: 1}
	everything := least
	everything.Response, everything.QueryZone, everything.GeoID, everything.SensorID = []byte{}, []byte{0}, []byte("g"), ptr(uint32(9))
	for _, tc := range []struct {
		name, text string
		want       Observation
	}{
		{"required only", requiredOfDNSObs, least},
		{"everything", requiredOfDNSObs + `response: "" query_zone: "\x00" geoid: "g" sensor_id: 9`, everything},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got, err := DecodeDNSObs(written(t, "DnsObs", tc.text))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tc.want, got, cmp.Comparer(compareAddrs)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestDecodersRefuse(t *testing.T) {
	full := written(t, "DnsQR", requiredOfDNSQR)
	for _, tc := range []struct {
		name string
		err  error
		want string
	}{
		{"nothing", second(DecodeDNSQR(nil)), "dnsqr: a required field is missing: field 1"},
		{"no id", second(DecodeDNSQR(full[:len(full)-2])), "dnsqr: a required field is missing: field 7"},
		{"cut", second(DecodeDNSQR(full[:len(full)-1])), "dnsqr: field 7: protobuf"},
		{"address of 3 bytes", second(DecodeDNSQR(written(t, "DnsQR", `query_ip: "abc"`))), "dnsqr: field 2: an address of 3 bytes"},
		{"dnsobs: nothing", second(DecodeDNSObs(nil)), "dnsobs: a required field is missing: field 1"},
		{"dnsobs: address of 0 bytes", second(DecodeDNSObs(written(t, "DnsObs", `response_ip: ""`))), "dnsobs: field 2: an address of 0 bytes"},
		{"dnsobs: cut", second(DecodeDNSObs(full[:5])), "dnsobs: field 2: protobuf"},
	} {
		if tc.err == nil || !strings.HasPrefix(tc.err.Error(), tc.want) {
			t.Errorf("%s: error %v, want %q", tc.name, tc.err, tc.want)
		}
	}
}

func second[T any](_ T, err error) error { return err }

func TestEnumsAreNamedAsNmsgtoolNamesThem(t *testing.T) {
	got := []string{
		UDPQueryResponse.String(), UDPUnansweredQuery.String(), UDPResponseOnly.String(), QueryResponseType(8).String(),
		UDPChecksum(0).String(), ChecksumAbsent.String(), UDPChecksum(3).String(), UDPChecksum(1<<32 - 1).String(),
	}
	want := []string{"UDP_QUERY_RESPONSE", "UDP_UNANSWERED_QUERY", "UDP_RESPONSE_ONLY", "8", "ERROR", "ABSENT", "CORRECT", "4294967295"}
	if diff := cmp.Diff(want, got, cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestMessageNames(t *testing.T) {
	for _, tc := range []struct {
		m    Message
		want string
	}{
		{Message{Vendor: 1, Type: 9}, "base:dnsqr"}, {Message{Vendor: 1, Type: 13}, "base:dnstap"},
		{Message{Vendor: 1, Type: 14}, "base:dnsobs"}, {Message{Vendor: 1, Type: 1}, ":"}, {Message{Vendor: VendorSIE, Type: 9}, ":"},
	} {
		vendor, name, ok := tc.m.Name()
		if got := vendor + ":" + name; got != tc.want || ok != (got != ":") {
			t.Errorf("%d:%d is %s, %v", tc.m.Vendor, tc.m.Type, got, ok)
		}
	}
	for _, typ := range MessageTypes() {
		m := Message{Vendor: VendorBase, Type: types[typ].number}
		if _, name, _ := m.Name(); name != typ.String() {
			t.Errorf("%v is read as %s", typ, name)
		}
		if got, err := ParseMessageType(typ.String()); got != typ || err != nil {
			t.Errorf("%v is parsed as %v, %v", typ, got, err)
		}
	}
	if _, err := ParseMessageType("dnstap2"); err == nil {
		t.Error("an unknown type is parsed")
	}
}

func TestPacketDNS(t *testing.T) {
	msg := []byte("a DNS message")
	e := endpointsOf(recordWith())
	v4 := appendPacket(nil, e.server, e.resolver, msg)
	e = endpointsOf(recordWith(onIPv6))
	v6 := appendPacket(nil, e.server, e.resolver, msg)
	edit := func(packet []byte, at int, to byte) []byte {
		packet = bytes.Clone(packet)
		packet[at] = to
		return packet
	}
	options := bytes.Clone(v4[:20])
	options[0], options[3] = 0x46, options[3]+4
	options = append(append(options, 1, 1, 1, 0), v4[20:]...)

	for _, tc := range []struct {
		name   string
		packet []byte
		ok     bool
	}{
		{"IPv4", v4, true},
		{"IPv6", v6, true},
		{"IPv4 with options", options, true},
		{"IPv4 followed by padding", append(bytes.Clone(v4), 0, 0, 0), true},
		{"IPv6 followed by padding", append(bytes.Clone(v6), 0, 0, 0), true},
		{"IPv4, don't fragment", edit(v4, 6, 0x40), true},
		{"empty", nil, false},
		{"IPv5", edit(v4, 0, 0x55), false},
		{"IPv4, header length 16", edit(v4, 0, 0x44), false},
		{"IPv4, header length beyond the packet", edit(v4[:30], 0, 0x4f), false},
		{"IPv4, total length below the header's", edit(v4, 3, 19), false},
		{"IPv4, total length beyond the packet", edit(v4, 3, byte(len(v4)+1)), false},
		{"IPv4, more fragments", edit(v4, 6, 0x20), false},
		{"IPv4, a later fragment", edit(v4, 7, 1), false},
		{"IPv4, TCP", edit(v4, 9, 6), false},
		{"IPv6, TCP", edit(v6, 6, 6), false},
		{"IPv6, length beyond the packet", edit(v6, 5, v6[5]+1), false},
		{"UDP length beyond the packet", edit(v4, 25, v4[25]+1), false},
		{"UDP length below its header's", edit(v4, 25, 7), false},
		{"no room for a UDP header", edit(v4[:27], 3, 27), false},
	} {
		got, ok := PacketDNS(tc.packet)
		if ok != tc.ok || ok && !bytes.Equal(got, msg) {
			t.Errorf("%s: %q, %v", tc.name, got, ok)
		}
	}
	for _, packet := range [][]byte{v4, v6} {
		for n := range len(packet) {
			if got, ok := PacketDNS(packet[:n]); ok {
				t.Errorf("a packet cut to %d bytes holds %q", n, got)
			}
		}
	}
}
