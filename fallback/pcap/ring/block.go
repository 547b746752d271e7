package ring

import (
	"encoding/binary"
	"math"
	"sync/atomic"

	"github.com/dnstap-pdns/dnstap-pdns/transform"
)

// Where the fields are (linux/if_packet.h), in the machine's byte order but for the
// protocol. A block begins with a struct tpacket_block_desc:
//
//	0 version   8 block_status   16 offset_to_first_pkt
//	4 priv     12 num_pkts       20 blk_len
//
// a packet with a struct tpacket3_hdr, which the sockaddr_ll follows:
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

// A tape reads the blocks of one ring, in the order in which the kernel fills them, and
// the packets of a block in the order of their times: where several processors receive
// from an interface they write as they come, at times a response before its query. It
// follows no offset out of its block.
type tape struct {
	mem     []byte
	size    int            // of a block
	next    int            // where in mem the block begins that the kernel hands over next
	block   []byte         // that is being read; nil: none
	places  []place        // of the packets in it, in the order of their times
	taken   int            // of places: those that have been read
	damaged *atomic.Uint64 // counts what is lost in blocks that contradict themselves
}

// A place is where in its block a packet begins.
type place struct {
	time transform.Time
	at   uint32
}

// read reads the next packet, which is borrowed until the next call.
func (t *tape) read(p *Packet) bool {
	for t.taken == len(t.places) {
		if !t.turn() {
			return false
		}
	}
	where := t.places[t.taken]
	t.taken++
	h := t.block[where.at:]
	data, snap := extent(h)
	length := native32(h, offLen)
	p.Data = h[data : data+snap : data+snap]
	p.Length = int(min(length, math.MaxInt32))
	p.Time = where.time
	p.Protocol = network(binary.BigEndian.Uint16(h[offProtocol:]), p.Data, p.Length)
	return true
}

// turn gives the block that has been read back and goes on to the next.
func (t *tape) turn() bool {
	t.places, t.taken = t.places[:0], 0
	if t.block != nil {
		giveBack(t.block)
		t.block = nil
	}
	b := t.mem[t.next : t.next+t.size : t.next+t.size]
	if !isOurs(b) {
		return false
	}
	t.block = b
	t.next = (t.next + t.size) % len(t.mem)
	// Each packet takes its header: a count beyond that is none.
	count, most := native32(b, offCount), uint32((t.size-sizeBlock)/sizePacket)
	if count > most {
		t.damaged.Add(1)
		return true
	}
	if lost := t.sort(count, native32(b, offFirst)); lost > 0 {
		t.damaged.Add(uint64(lost))
	}
	return true
}

// sort finds the places of so many packets, the first of which begins there. It returns
// how many of them it does not find, as the block is damaged.
func (t *tape) sort(left, at uint32) (lost uint32) {
	for ; left > 0; left-- {
		if int64(at)+sizePacket > int64(len(t.block)) {
			return left
		}
		h := t.block[at:]
		if data, snap := extent(h); data < sizePacket || data+snap > int64(len(h)) {
			return left
		}
		t.insert(place{transform.Time(native32(h, offSec))*1e9 + transform.Time(native32(h, offNsec)), at})
		step := native32(h, offNext)
		if int64(step) < sizePacket || int64(step) > int64(len(h)) {
			return left - 1 // the last has none
		}
		at += step
	}
	return 0
}

// insert puts a packet behind those that are not later: mostly all there are.
func (t *tape) insert(p place) {
	t.places = append(t.places, p)
	for i := len(t.places) - 1; i > 0 && t.places[i-1].time > p.time; i-- {
		t.places[i], t.places[i-1] = t.places[i-1], p
	}
}

// extent is where behind its header a packet's data begin, and how long they are.
func extent(header []byte) (data, length int64) {
	return int64(binary.NativeEndian.Uint16(header[offData:])), int64(native32(header, offSnap))
}

func native32(b []byte, at int) uint32 { return binary.NativeEndian.Uint32(b[at:]) }

// network corrects what the kernel says of packets with a VLAN tag that it has not
// taken away, which differs between its versions: new ones name what is behind the
// tags, though what was received begins with one; old ones name the tag, though what
// was sent begins behind it (vlan_get_protocol_dgram in net/packet/af_packet.c).
func network(said uint16, data []byte, length int) uint16 {
	is := ipVersion(data, length)
	switch said {
	case IPv4, IPv6:
		if is != said && len(data) >= 4 {
			if inner := binary.BigEndian.Uint16(data[2:]); inner == said || isTag(inner) {
				return VLAN
			}
		}
	case VLAN, QinQ, OldQinQ:
		if is != 0 && !taggedIP(data, length) {
			return is
		}
	}
	return said
}

// taggedIP reports whether VLAN tags lie before an IP header.
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

// ipVersion is the EtherType of the IP header that data begin with, by its version
// and by its length, which must not be more than there is; or 0.
func ipVersion(data []byte, length int) uint16 {
	switch {
	case len(data) >= 20 && data[0]>>4 == 4 && data[0]&15 >= 5 && int(binary.BigEndian.Uint16(data[2:])) <= length:
		return IPv4
	case len(data) >= 40 && data[0]>>4 == 6 && 40+int(binary.BigEndian.Uint16(data[4:])) <= length:
		return IPv6
	}
	return 0
}
