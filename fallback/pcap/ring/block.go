package ring

import (
	"encoding/binary"
	"math"
	"sync/atomic"

	"github.com/dnstap-pdns/dnstap-pdns/transform"
)

// Offsets of fields (linux/if_packet.h). They are in the machine's byte order, except
// for the protocol, which is big-endian. A block begins with a struct tpacket_block_desc:
//
//	0 version   8 block_status   16 offset_to_first_pkt
//	4 priv     12 num_pkts       20 blk_len
//
// A packet begins with a struct tpacket3_hdr, followed by a sockaddr_ll:
//
//	0 next_offset    8 nsec      16 len      24 mac, net   48 sll_family
//	4 sec           12 snaplen   20 status   28 hv1        50 sll_protocol
const (
	sizeBlock  = 48
	sizePacket = 48 + 20

	offCount, offFirst                                 = 12, 16
	offNext, offSec, offNsec, offSnap, offLen, offData = 0, 4, 8, 12, 16, 26
	offProtocol                                        = 50
)

// A blockReader reads the blocks of one ring in the order in which the kernel fills
// them. It returns the packets of a block in the order of their times, because several
// processors that receive from one interface may write a response before its query. It
// follows no offset outside of the block.
type blockReader struct {
	mem       []byte
	size      int            // of a block, in octets
	next      int            // offset in mem of the block that the kernel hands over next
	block     []byte         // being read; nil if none is
	positions []position     // of the packets in block, in the order of their times
	taken     int            // number of positions that were read
	damaged   *atomic.Uint64 // counts packets lost in blocks with invalid contents
}

// A position is the time of a packet and the offset of its header in the block.
type position struct {
	time transform.Time
	at   uint32
}

// read reads the next packet into p, and reports whether there is one. The data are
// borrowed until the next call.
func (t *blockReader) read(p *Packet) bool {
	for t.taken == len(t.positions) {
		if !t.nextBlock() {
			return false
		}
	}
	where := t.positions[t.taken]
	t.taken++
	h := t.block[where.at:]
	data, snap := extent(h)
	length := native32(h, offLen)
	p.Data = h[data : data+snap : data+snap]
	p.Length = int(min(length, math.MaxInt32))
	p.Time = where.time
	p.Protocol = fixProtocol(binary.BigEndian.Uint16(h[offProtocol:]), p.Data, p.Length)
	return true
}

// nextBlock returns the current block to the kernel. If the kernel has handed the next block
// over, nextBlock begins that and returns true.
func (t *blockReader) nextBlock() bool {
	t.positions, t.taken = t.positions[:0], 0
	if t.block != nil {
		giveBack(t.block)
		t.block = nil
	}
	if !t.hasNext() {
		return false
	}
	b := t.following()
	t.block = b
	t.next = (t.next + t.size) % len(t.mem)
	// Each packet has a header, so a larger count is invalid.
	count, most := native32(b, offCount), uint32((t.size-sizeBlock)/sizePacket)
	if count > most {
		t.damaged.Add(1)
		return true
	}
	if lost := t.locate(count, native32(b, offFirst)); lost > 0 {
		t.damaged.Add(uint64(lost))
	}
	return true
}

// following returns the block that the kernel hands over next.
func (t *blockReader) following() []byte { return t.mem[t.next : t.next+t.size : t.next+t.size] }

// hasNext reports whether the kernel has handed over the following block.
func (t *blockReader) hasNext() bool { return isOurs(t.following()) }

// locate sets the positions of the block's packets. left is the number of packets, and at the
// offset of the first. It returns the number of packets that a damaged block lacks.
func (t *blockReader) locate(left, at uint32) (lost uint32) {
	for ; left > 0; left-- {
		if int64(at)+sizePacket > int64(len(t.block)) {
			return left
		}
		h := t.block[at:]
		if data, snap := extent(h); data < sizePacket || data+snap > int64(len(h)) {
			return left
		}
		t.insert(position{transform.Time(native32(h, offSec))*1e9 + transform.Time(native32(h, offNsec)), at})
		step := native32(h, offNext)
		if int64(step) < sizePacket || int64(step) > int64(len(h)) {
			return left - 1 // the last packet has no next offset
		}
		at += step
	}
	return 0
}

// insert inserts p after the positions that are not later. Usually it is the last.
func (t *blockReader) insert(p position) {
	t.positions = append(t.positions, p)
	for i := len(t.positions) - 1; i > 0 && t.positions[i-1].time > p.time; i-- {
		t.positions[i], t.positions[i-1] = t.positions[i-1], p
	}
}

// extent returns the offset of a packet's data from its header, and their length.
func extent(header []byte) (data, length int64) {
	return int64(binary.NativeEndian.Uint16(header[offData:])), int64(native32(header, offSnap))
}

func native32(b []byte, at int) uint32 { return binary.NativeEndian.Uint32(b[at:]) }

// fixProtocol returns the EtherType of data. It differs from the reported one in packets with
// VLAN tags: new kernels report the EtherType after the tags although the data of a received
// packet begin with a tag; old kernels report the tag although the data of a sent packet begin
// after it (vlan_get_protocol_dgram in net/packet/af_packet.c).
func fixProtocol(reported uint16, data []byte, length int) uint16 {
	is := ipVersion(data, length)
	switch reported {
	case IPv4, IPv6:
		if is != reported && len(data) >= 4 {
			if inner := binary.BigEndian.Uint16(data[2:]); inner == reported || isTag(inner) {
				return VLAN
			}
		}
	case VLAN, QinQ, OldQinQ:
		if is != 0 && !taggedIP(data, length) {
			return is
		}
	}
	return reported
}

// taggedIP reports whether data are VLAN tags followed by an IP header.
func taggedIP(data []byte, length int) bool {
	for range maxTags {
		if len(data) < 4 {
			return false
		}
		inner := binary.BigEndian.Uint16(data[2:])
		data, length = data[4:], length-4
		if !isTag(inner) {
			return inner != 0 && inner == ipVersion(data, length)
		}
	}
	return false
}

// ipVersion returns the EtherType of the IP header at the start of data, or 0. The
// header needs a valid version and a length that the packet contains.
func ipVersion(data []byte, length int) uint16 {
	switch {
	case len(data) >= 20 && data[0]>>4 == 4 && data[0]&15 >= 5 && int(binary.BigEndian.Uint16(data[2:])) <= length:
		return IPv4
	case len(data) >= 40 && data[0]>>4 == 6 && 40+int(binary.BigEndian.Uint16(data[4:])) <= length:
		return IPv6
	}
	return 0
}
