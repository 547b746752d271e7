package main

import (
	"bufio"
	"fmt"
	"net"
	"os"
	"slices"
	"time"

	dnstap "github.com/dnstap/golang-dnstap"
	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
	"github.com/gopacket/gopacket/pcapgo"
)

// Addresses of the resolver in the packets.
var (
	resolver4 = net.IPv4(192, 0, 2, 53).To4()
	resolver6 = net.ParseIP("2001:db8:53::53")
)

// writePackets writes a capture file with the workload of writeWorkload: ordinary DNS over UDP,
// half queries and half responses. If hostile is not 0, the file starts with hostile unanswered
// queries and with other packets that fill the sensor's memory. It returns the number of packets.
func writePackets(capture, file string, packets, hostile int) (written int, err error) {
	pairs, err := outwardPairs(capture)
	if err != nil {
		return 0, err
	}
	pairs = slices.DeleteFunc(pairs, func(p pair) bool { return p.response.Message.GetSocketProtocol() != dnstap.SocketProtocol_UDP })
	f, err := os.Create(file)
	if err != nil {
		return 0, err
	}
	defer f.Close()
	out := bufio.NewWriterSize(f, 1<<20)
	w := &packetWriter{w: pcapgo.NewWriter(out), buf: gopacket.NewSerializeBuffer()}
	if err := w.w.WriteFileHeader(1<<16, layers.LinkTypeEthernet); err != nil {
		return 0, err
	}
	if hostile > 0 {
		w.writeHostile(pairs, hostile)
	}
	w.writePairs(pairs, packets)
	if w.err != nil {
		return 0, fmt.Errorf("write %s: %w", file, w.err)
	}
	if err := out.Flush(); err != nil {
		return 0, err
	}
	return w.n, f.Close()
}

func (w *packetWriter) writePairs(pairs []pair, packets int) {
	for from := 0; from < packets/2; from += inFlight {
		to := min(from+inFlight, packets/2)
		for i := from; i < to; i++ {
			w.write(pairs[i%len(pairs)].query.Message, i)
		}
		for i := from; i < to; i++ {
			w.write(pairs[i%len(pairs)].response.Message, i)
		}
	}
}

type packetWriter struct {
	w   *pcapgo.Writer
	buf gopacket.SerializeBuffer
	n   int
	err error // the first error
}

// write writes the i-th copy of a message as a packet.
func (w *packetWriter) write(m *dnstap.Message, i int) {
	if w.err != nil {
		return
	}
	wire, response := m.GetQueryMessage(), false
	if m.ResponseMessage != nil {
		wire, response = m.ResponseMessage, true
	}
	wire = slices.Clone(wire)
	setVariant(wire, i)
	const ports = 50_000
	udp := &layers.UDP{SrcPort: layers.UDPPort(10_000 + i%ports), DstPort: 53}
	src, dst := resolver4, net.IP(m.ResponseAddress)
	if dst.To4() == nil {
		src = resolver6
	}
	if response {
		src, dst = dst, src
		udp.SrcPort, udp.DstPort = udp.DstPort, udp.SrcPort
	}
	if dst.To4() == nil {
		ip := &layers.IPv6{Version: 6, HopLimit: 64, NextHeader: layers.IPProtocolUDP, SrcIP: src, DstIP: dst}
		udp.SetNetworkLayerForChecksum(ip)
		w.packet(layers.EthernetTypeIPv6, ip, udp, gopacket.Payload(wire))
		return
	}
	ip := &layers.IPv4{Version: 4, IHL: 5, TTL: 64, Protocol: layers.IPProtocolUDP, SrcIP: src, DstIP: dst}
	udp.SetNetworkLayerForChecksum(ip)
	w.packet(layers.EthernetTypeIPv4, ip, udp, gopacket.Payload(wire))
}

// packet writes a packet in an Ethernet frame. Its time is later than that of the previous packet.
func (w *packetWriter) packet(next layers.EthernetType, all ...gopacket.SerializableLayer) {
	if w.err != nil {
		return
	}
	ethernet := &layers.Ethernet{SrcMAC: net.HardwareAddr{2, 0, 0, 0, 0, 1}, DstMAC: net.HardwareAddr{2, 0, 0, 0, 0, 2}, EthernetType: next}
	w.err = gopacket.SerializeLayers(w.buf, gopacket.SerializeOptions{FixLengths: true, ComputeChecksums: true},
		append([]gopacket.SerializableLayer{ethernet}, all...)...)
	if w.err != nil {
		return
	}
	b := w.buf.Bytes()
	at := time.Unix(1_800_000_000, 0).Add(time.Duration(w.n) * queryInterval / 2)
	w.n++
	w.err = w.w.WritePacket(gopacket.CaptureInfo{Timestamp: at, CaptureLength: len(b), Length: len(b)}, b)
}
