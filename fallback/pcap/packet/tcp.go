package packet

import (
	"encoding/binary"
	"net/netip"

	"github.com/dnstap-pdns/dnstap-pdns/fallback/pcap/stream"
	"github.com/dnstap-pdns/dnstap-pdns/transform"
)

const (
	tcpLen = 20

	flagFIN = 0x01 // RFC 9293 section 3.1
	flagSYN = 0x02
	flagRST = 0x04
)

// tcp reads a TCP header (RFC 9293 section 3.1) and passes the segment to its stream. It
// does not read streams that are not outward.
func (d *Dissector) tcp(g *datagram) {
	b := g.payload
	if len(b) < tcpLen {
		d.dropMalformed()
		return
	}
	src := netip.AddrPortFrom(g.src, binary.BigEndian.Uint16(b))
	dst := netip.AddrPortFrom(g.dst, binary.BigEndian.Uint16(b[2:]))
	role := d.role(src, dst)
	if role == transform.OtherRole {
		d.countOther()
		return
	}
	header := int(b[12]>>4) * 4
	if header < tcpLen || header > len(b) {
		d.dropMalformed()
		return
	}
	flags := b[13]
	s := &d.segment
	*s = stream.Segment{
		Flow:    stream.Flow{Resolver: src, Server: dst},
		Seq:     binary.BigEndian.Uint32(b[4:]),
		SYN:     flags&flagSYN != 0,
		FIN:     flags&flagFIN != 0,
		RST:     flags&flagRST != 0,
		Payload: b[header:],
		Missing: d.missing,
		Time:    d.time,
	}
	if role == transform.ResolverResponse {
		s.Response = true
		s.Flow = stream.Flow{Resolver: dst, Server: src}
	}
	d.streams.Take(s, (*streamSink)(d))
}
