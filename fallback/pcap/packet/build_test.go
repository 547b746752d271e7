package packet

import (
	"bytes"
	"net"
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
	"github.com/miekg/dns"

	"github.com/dnstap-pdns/dnstap-pdns/transform"
)

var (
	resolver4 = netip.MustParseAddr("192.0.2.53")
	resolver6 = netip.MustParseAddr("2001:db8:53::53")
	server4   = netip.MustParseAddr("198.51.100.1")
	server6   = netip.MustParseAddr("2001:db8:aa::1")
	client4   = netip.MustParseAddr("10.0.0.7")
)

const (
	portVXLAN      = 4789
	portLinuxVXLAN = 8472
)

// testConfig names the resolvers of the tests.
var testConfig = Config{
	Resolvers:  []netip.Prefix{netip.PrefixFrom(resolver4, 32), netip.MustParsePrefix("2001:db8:53::/64")},
	VXLANPorts: []uint16{portVXLAN, portLinuxVXLAN},
}

const at = transform.Time(1_800_000_000_123_456_789)

// A recorder is a Sink that records messages and reasons.
type recorder struct {
	Messages []transform.Message
	Dropped  []transform.Reason
}

func (s *recorder) Take(m *transform.Message) transform.Reason {
	kept := *m
	kept.Wire = append([]byte(nil), m.Wire...)
	s.Messages = append(s.Messages, kept)
	return transform.Kept
}

func (s *recorder) Drop(r transform.Reason) { s.Dropped = append(s.Dropped, r) }

// check compares the recorded messages with the wanted ones.
func check(t *testing.T, got *recorder, want ...transform.Message) {
	t.Helper()
	if diff := cmp.Diff(want, got.Messages, cmp.Comparer(func(a, b netip.AddrPort) bool { return a == b }), cmp.Comparer(bytes.Equal)); diff != "" {
		t.Errorf("messages (-want +got):\n%s", diff)
	}
	if len(got.Dropped) > 0 {
		t.Errorf("dropped %v", got.Dropped)
	}
}

// A flow is the source and destination of a packet.
type flow struct{ src, dst netip.AddrPort }

func (f flow) back() flow { return flow{f.dst, f.src} }

// queryFlow returns a flow from a resolver to a server.
func queryFlow(resolver, server netip.Addr) flow {
	return flow{netip.AddrPortFrom(resolver, 4321), netip.AddrPortFrom(server, 53)}
}

func questionWire(t testing.TB, id uint16) []byte {
	m := new(dns.Msg).SetQuestion("www.example.com.", dns.TypeA)
	m.Id, m.RecursionDesired = id, false
	return packed(t, m)
}

func answerWire(t testing.TB, id uint16) []byte {
	m := new(dns.Msg).SetQuestion("www.example.com.", dns.TypeA)
	m.Id, m.RecursionDesired, m.Response, m.Authoritative = id, false, true, true
	m.Answer = append(m.Answer, &dns.A{
		Hdr: dns.RR_Header{Name: "www.example.com.", Rrtype: dns.TypeA, Class: dns.ClassINET, Ttl: 300}, A: net.IPv4(203, 0, 113, 80)})
	return packed(t, m)
}

func packed(t testing.TB, m *dns.Msg) []byte {
	t.Helper()
	wire, err := m.Pack()
	if err != nil {
		t.Fatal(err)
	}
	return wire
}

// query and answer return the messages that a flow's datagram must become.
func query(f flow, transport transform.Transport, wire []byte) transform.Message {
	return transform.Message{Role: transform.ResolverQuery, Packet: true, Transport: transport,
		Server: f.dst, Resolver: f.src, QueryTime: at, ResponseTime: transform.NoTime, Wire: wire}
}

func answer(f flow, transport transform.Transport, wire []byte) transform.Message {
	return transform.Message{Role: transform.ResolverResponse, Packet: true, Transport: transport,
		Server: f.src, Resolver: f.dst, QueryTime: transform.NoTime, ResponseTime: at, Wire: wire}
}

// ip returns the flow's network layer for gopacket, which fills in lengths.
func (f flow) ip(proto layers.IPProtocol) gopacket.SerializableLayer {
	src, dst := f.src.Addr().AsSlice(), f.dst.Addr().AsSlice()
	if f.src.Addr().Is4() {
		return &layers.IPv4{Version: 4, IHL: 5, TTL: 64, Id: 77, Protocol: proto, SrcIP: src, DstIP: dst}
	}
	return &layers.IPv6{Version: 6, HopLimit: 64, NextHeader: proto, SrcIP: src, DstIP: dst}
}

// ethernetHeader returns the header of a frame with the flow's packets.
func ethernetHeader(f flow) []byte {
	header := []byte{2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1, 0x08, 0x00}
	if f.src.Addr().Is6() {
		header[12], header[13] = 0x86, 0xdd
	}
	return header
}

// bytesOf serializes layers, with right lengths and checksums.
func bytesOf(t testing.TB, all ...gopacket.SerializableLayer) []byte {
	t.Helper()
	buf := gopacket.NewSerializeBuffer()
	if err := gopacket.SerializeLayers(buf, gopacket.SerializeOptions{FixLengths: true, ComputeChecksums: true}, all...); err != nil {
		t.Fatal(err)
	}
	return buf.Bytes()
}

// udpPacket returns an IP packet with a datagram.
func udpPacket(t testing.TB, f flow, payload []byte) []byte {
	t.Helper()
	udp := &layers.UDP{SrcPort: layers.UDPPort(f.src.Port()), DstPort: layers.UDPPort(f.dst.Port())}
	network := f.ip(layers.IPProtocolUDP)
	if err := udp.SetNetworkLayerForChecksum(network.(gopacket.NetworkLayer)); err != nil {
		t.Fatal(err)
	}
	return bytesOf(t, network, udp, gopacket.Payload(payload))
}

// udpFrame returns the same in an Ethernet frame.
func udpFrame(t testing.TB, f flow, payload []byte) []byte {
	t.Helper()
	return append(ethernetHeader(f), udpPacket(t, f, payload)...)
}

// dissect passes packets that begin with their IP header to d.
func dissect(d *Dissector, packets ...[]byte) *recorder {
	got := &recorder{}
	for _, p := range packets {
		d.Frame(raw, &CapturedPacket{Data: p, Length: len(p), Time: at}, got)
	}
	return got
}
