package sensor

import (
	"bytes"
	"net"
	"net/netip"
	"testing"
	"time"

	dnstap "github.com/dnstap/golang-dnstap"
	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
	"github.com/gopacket/gopacket/pcapgo"
	"google.golang.org/protobuf/proto"

	"github.com/dnstap-pdns/dnstap-pdns/fallback/pcap"
)

var benchResolvers = []netip.Prefix{netip.MustParsePrefix("192.0.2.53/32"), netip.MustParsePrefix("2001:db8:53::53/128")}

// BenchmarkPacketToBatch measures the whole path from a capture file to datagrams, for the
// messages of BenchmarkFrameToBatch as packets.
func BenchmarkPacketToBatch(b *testing.B) {
	file, packets := pairsAsCapture(b, "../../demo.fstrm", 200)
	f := startForwarder(b)
	lane := f.Lane("bench")
	defer lane.Close()
	b.ReportAllocs()
	for b.Loop() {
		p, err := pcap.NewReplay(pcap.Config{Resolvers: benchResolvers}, reusedLane{lane})
		if err != nil {
			b.Fatal(err)
		}
		if err := p.Read(b.Context(), bytes.NewReader(file)); err != nil {
			b.Fatal(err)
		}
		p.Close()
	}
	if n := f.Ledger().Total.Records; n == 0 {
		b.Fatal("no records")
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*packets), "ns/packet")
	b.SetBytes(int64(len(file)))
}

// pairsAsCapture makes a capture file of the messages of pairsAsStream. Each query comes from
// another port, so that none is a duplicate.
func pairsAsCapture(b *testing.B, capture string, times int) (file []byte, packets int) {
	pairs := answeredPairs(b, capture)
	var out bytes.Buffer
	w := pcapgo.NewWriter(&out)
	if err := w.WriteFileHeader(1<<16, layers.LinkTypeEthernet); err != nil {
		b.Fatal(err)
	}
	at := time.Unix(1_800_000_000, 0)
	for range times {
		for _, frame := range pairs {
			p := packetOf(b, frame, uint16(1024+packets/2%60_000))
			at = at.Add(25 * time.Microsecond)
			if err := w.WritePacket(gopacket.CaptureInfo{Timestamp: at, CaptureLength: len(p), Length: len(p)}, p); err != nil {
				b.Fatal(err)
			}
			packets++
		}
	}
	return out.Bytes(), packets
}

func packetOf(b *testing.B, frame []byte, port uint16) []byte {
	var d dnstap.Dnstap
	if err := proto.Unmarshal(frame, &d); err != nil {
		b.Fatal(err)
	}
	m := d.Message
	src, dst := net.IP(benchResolvers[0].Addr().AsSlice()), net.IP(m.ResponseAddress)
	if dst.To4() == nil {
		src = benchResolvers[1].Addr().AsSlice()
	}
	udp := &layers.UDP{SrcPort: layers.UDPPort(port), DstPort: 53}
	wire := m.QueryMessage
	if m.ResponseMessage != nil {
		wire, src, dst = m.ResponseMessage, dst, src
		udp.SrcPort, udp.DstPort = udp.DstPort, udp.SrcPort
	}
	ethernet := &layers.Ethernet{SrcMAC: net.HardwareAddr{2, 0, 0, 0, 0, 1}, DstMAC: net.HardwareAddr{2, 0, 0, 0, 0, 2}, EthernetType: layers.EthernetTypeIPv4}
	var ip gopacket.SerializableLayer = &layers.IPv4{Version: 4, IHL: 5, TTL: 64, Protocol: layers.IPProtocolUDP, SrcIP: src, DstIP: dst}
	if dst.To4() == nil {
		ethernet.EthernetType = layers.EthernetTypeIPv6
		ip = &layers.IPv6{Version: 6, HopLimit: 64, NextHeader: layers.IPProtocolUDP, SrcIP: src, DstIP: dst}
	}
	udp.SetNetworkLayerForChecksum(ip.(gopacket.NetworkLayer))
	buf := gopacket.NewSerializeBuffer()
	if err := gopacket.SerializeLayers(buf, gopacket.SerializeOptions{FixLengths: true, ComputeChecksums: true}, ethernet, ip, udp, gopacket.Payload(wire)); err != nil {
		b.Fatal(err)
	}
	return buf.Bytes()
}
