package workload

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"os"
	"time"

	dnstap "github.com/dnstap/golang-dnstap"
	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
	"github.com/gopacket/gopacket/pcapgo"
	"google.golang.org/protobuf/proto"
)

// WriteFrames writes the frames that produce emits to a file, each after its length, as they are
// between START and STOP of Frame Streams.
func WriteFrames(file string, produce func(emit func(*dnstap.Dnstap) error) error) error {
	return write(file, func(w io.Writer) error {
		var buf []byte
		return produce(func(d *dnstap.Dnstap) (err error) {
			buf, err = proto.MarshalOptions{}.MarshalAppend(append(buf[:0], 0, 0, 0, 0), d)
			if err != nil {
				return err
			}
			binary.BigEndian.PutUint32(buf, uint32(len(buf)-4))
			_, err = w.Write(buf)
			return err
		})
	})
}

func write(file string, produce func(io.Writer) error) error {
	f, err := os.Create(file)
	if err != nil {
		return err
	}
	defer f.Close()
	w := bufio.NewWriterSize(f, 1<<20)
	if err := produce(w); err != nil {
		return fmt.Errorf("write %s: %w", file, err)
	}
	if err := w.Flush(); err != nil {
		return err
	}
	return f.Close()
}

// Addresses of the resolver in packets.
var (
	Resolver4 = net.IPv4(192, 0, 2, 53).To4()
	Resolver6 = net.ParseIP("2001:db8:53::53")
)

// WritePackets writes the packets that produce makes to a capture file (pcap, Ethernet).
func WritePackets(file string, produce func(*Packets)) error {
	return write(file, func(w io.Writer) error {
		p := &Packets{w: pcapgo.NewWriter(w), buf: gopacket.NewSerializeBuffer()}
		if err := p.w.WriteFileHeader(1<<16, layers.LinkTypeEthernet); err != nil {
			return err
		}
		produce(p)
		return p.err
	})
}

// Packets are the packets of a file that is written.
type Packets struct {
	N   int // packets written
	w   *pcapgo.Writer
	buf gopacket.SerializeBuffer
	err error // the first error
}

// Simple writes the transactions of a simple load over UDP.
func (p *Packets) Simple(pairs []Pair, packets int) {
	p.keep(Simple(overUDP(pairs), packets, p.sequential))
}

// Queries writes queries without responses, as [Queries] makes them.
func (p *Packets) Queries(pairs []Pair, queries int) {
	p.keep(Queries(overUDP(pairs), 0, queries, p.sequential))
}

// Busy writes the transactions of the load of a busy resolver, over UDP.
func (p *Packets) Busy(l *Busy) {
	p.keep(l.each(func(f frame) error {
		p.message(f.Dnstap, loadStart.Add(f.at), f.port)
		return p.err
	}))
}

func (p *Packets) keep(err error) {
	if p.err == nil {
		p.err = err
	}
}

func overUDP(pairs []Pair) (udp []Pair) {
	for _, pair := range pairs {
		if pair.Response.Message.GetSocketProtocol() == dnstap.SocketProtocol_UDP {
			udp = append(udp, pair)
		}
	}
	return udp
}

// sequential writes the message of a frame from or to the next port, at the next time.
func (p *Packets) sequential(d *dnstap.Dnstap) error {
	const ports = 50_000
	id := binary.BigEndian.Uint16(wireOf(d))
	p.message(d, p.next(), uint16(10_000+int(id)%ports))
	return p.err
}

func (p *Packets) next() time.Time { return loadStart.Add(time.Duration(p.N) * simpleInterval / 2) }

// message writes the message of a frame as a packet that the resolver sends from a port, or gets
// there.
func (p *Packets) message(d *dnstap.Dnstap, at time.Time, port uint16) {
	udp := &layers.UDP{SrcPort: layers.UDPPort(port), DstPort: 53}
	src, dst := Resolver4, net.IP(d.Message.ResponseAddress)
	if dst.To4() == nil {
		src = Resolver6
	}
	if isResponse(d) {
		src, dst = dst, src
		udp.SrcPort, udp.DstPort = udp.DstPort, udp.SrcPort
	}
	if dst.To4() == nil {
		ip := &layers.IPv6{Version: 6, HopLimit: 64, NextHeader: layers.IPProtocolUDP, SrcIP: src, DstIP: dst}
		udp.SetNetworkLayerForChecksum(ip)
		p.packet(at, layers.EthernetTypeIPv6, ip, udp, gopacket.Payload(wireOf(d)))
		return
	}
	ip := &layers.IPv4{Version: 4, IHL: 5, TTL: 64, Protocol: layers.IPProtocolUDP, SrcIP: src, DstIP: dst}
	udp.SetNetworkLayerForChecksum(ip)
	p.packet(at, layers.EthernetTypeIPv4, ip, udp, gopacket.Payload(wireOf(d)))
}

// Packet writes a packet in an Ethernet frame, at the next time of a simple load.
func (p *Packets) Packet(next layers.EthernetType, all ...gopacket.SerializableLayer) {
	p.packet(p.next(), next, all...)
}

func (p *Packets) packet(at time.Time, next layers.EthernetType, all ...gopacket.SerializableLayer) {
	if p.err != nil {
		return
	}
	ethernet := &layers.Ethernet{SrcMAC: net.HardwareAddr{2, 0, 0, 0, 0, 1}, DstMAC: net.HardwareAddr{2, 0, 0, 0, 0, 2}, EthernetType: next}
	p.err = gopacket.SerializeLayers(p.buf, gopacket.SerializeOptions{FixLengths: true, ComputeChecksums: true},
		append([]gopacket.SerializableLayer{ethernet}, all...)...)
	if p.err != nil {
		return
	}
	b := p.buf.Bytes()
	p.N++
	p.err = p.w.WritePacket(gopacket.CaptureInfo{Timestamp: at, CaptureLength: len(b), Length: len(b)}, b)
}
