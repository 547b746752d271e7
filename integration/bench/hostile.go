package main

import (
	"encoding/binary"
	"net"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"

	"github.com/dnstap-pdns/dnstap-pdns/integration/workload"
)

// writeHostile writes packets that fill every table of a packet source: queries without a
// response, datagrams with missing fragments, and connections that end in the middle of a
// message.
func writeHostile(w *workload.Packets, pairs []workload.Pair, queries int) {
	w.Queries(pairs, queries)
	const fragments, connections = 3000, 6000
	for i := range fragments {
		ip := &layers.IPv4{Version: 4, IHL: 5, TTL: 64, Id: uint16(i), Flags: layers.IPv4MoreFragments,
			Protocol: layers.IPProtocolUDP, SrcIP: peer(i), DstIP: workload.Resolver4}
		w.Packet(layers.EthernetTypeIPv4, ip, gopacket.Payload(make([]byte, 8000)))
	}
	for i := range connections {
		ip := &layers.IPv4{Version: 4, IHL: 5, TTL: 64, Protocol: layers.IPProtocolTCP, SrcIP: peer(i), DstIP: workload.Resolver4}
		begin := binary.BigEndian.AppendUint16(nil, 60_000)
		for n, tcp := range []*layers.TCP{
			{SrcPort: 53, DstPort: 40_000, Seq: 1000, SYN: true, ACK: true},
			{SrcPort: 53, DstPort: 40_000, Seq: 1001, ACK: true},
		} {
			tcp.SetNetworkLayerForChecksum(ip)
			w.Packet(layers.EthernetTypeIPv4, ip, tcp, gopacket.Payload(append(begin, make([]byte, 4000)...)[:4002*n]))
		}
	}
}

func peer(i int) net.IP { return net.IPv4(198, 51, byte(i>>8), byte(i)).To4() }
