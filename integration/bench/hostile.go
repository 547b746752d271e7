package main

import (
	"encoding/binary"
	"net"
	"time"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
)

// writeHostile adds what fills every table of a packet source: queries that nobody
// answers, datagrams of which fragments are missing, and connections that leave off
// in the middle of a message.
func (w *packetWriter) writeHostile(pairs []pair, queries int) {
	for i := range queries {
		w.write(pairs[i%len(pairs)].query.Message, i)
	}
	const fragments, connections = 3000, 6000
	for i := range fragments {
		ip := &layers.IPv4{Version: 4, IHL: 5, TTL: 64, Id: uint16(i), Flags: layers.IPv4MoreFragments,
			Protocol: layers.IPProtocolUDP, SrcIP: peer(i), DstIP: resolver4}
		w.packet(ip, gopacket.Payload(make([]byte, 8000)))
	}
	for i := range connections {
		ip := &layers.IPv4{Version: 4, IHL: 5, TTL: 64, Protocol: layers.IPProtocolTCP, SrcIP: peer(i), DstIP: resolver4}
		begin := binary.BigEndian.AppendUint16(nil, 60_000)
		for n, tcp := range []*layers.TCP{
			{SrcPort: 53, DstPort: 40_000, Seq: 1000, SYN: true, ACK: true},
			{SrcPort: 53, DstPort: 40_000, Seq: 1001, ACK: true},
		} {
			tcp.SetNetworkLayerForChecksum(ip)
			w.packet(ip, tcp, gopacket.Payload(append(begin, make([]byte, 4000)...)[:4002*n]))
		}
	}
}

// peer is the i-th of many servers.
func peer(i int) net.IP { return net.IPv4(198, 51, byte(i>>8), byte(i)).To4() }

// packet writes an IPv4 packet.
func (w *packetWriter) packet(all ...gopacket.SerializableLayer) {
	if w.err != nil {
		return
	}
	ethernet := &layers.Ethernet{SrcMAC: net.HardwareAddr{2, 0, 0, 0, 0, 1}, DstMAC: net.HardwareAddr{2, 0, 0, 0, 0, 2}, EthernetType: layers.EthernetTypeIPv4}
	w.err = gopacket.SerializeLayers(w.buf, gopacket.SerializeOptions{FixLengths: true, ComputeChecksums: true},
		append([]gopacket.SerializableLayer{ethernet}, all...)...)
	if w.err == nil {
		w.put()
	}
}

// put writes what has been serialized, at the next time.
func (w *packetWriter) put() {
	b := w.buf.Bytes()
	at := time.Unix(1_800_000_000, 0).Add(time.Duration(w.n) * pace / 2)
	w.n++
	w.err = w.w.WritePacket(gopacket.CaptureInfo{Timestamp: at, CaptureLength: len(b), Length: len(b)}, b)
}
