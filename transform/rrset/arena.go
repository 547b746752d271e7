package rrset

import (
	"encoding/binary"
	"math"
	"time"
)

// arena stores entries in the order of their first sight. It is a ring of segments: an entry is
// added to the newest segment and removed from the oldest, whose memory is used again when it is
// empty. Entries have no pointers, so the garbage collector does not read them.
//
// An entry that leaves before the oldest is marked as dead. Its memory is free when it is the oldest, or
// after compact.
type arena struct {
	size     int // of each segment in bytes
	extra    int // octets after the key of each entry
	segments [][]byte
	first    uint32 // number of segments[0]; the others follow
	start    int    // offset of the oldest entry in segments[0]
	spare    []byte // an empty segment, if there is one
	used     int    // octets of all entries
	dead     int    // octets of dead ones
}

const (
	segmentSize = 1 << 20
	minSegments = 4

	refUnit     = 8                      // bytes; the size of an entry is a multiple of it
	offsetBits  = 17                     // of the offset of an entry in a segment, in units
	offsetMask  = 1<<offsetBits - 1      // of a ref
	numberMask  = 1<<(32-offsetBits) - 1 // of the number of a segment
	maxSegments = numberMask             // at once
)

// A ref is the place of an entry: the number of its segment and its offset there.
type ref uint32

func newRef(segment uint32, offset int) ref {
	return ref(segment<<offsetBits | uint32(offset/refUnit))
}

// at returns the entry at a place, and what follows it in the segment.
func (a *arena) at(r ref) entry {
	segment := a.segments[(uint32(r)>>offsetBits-a.first)&numberMask]
	return entry(segment[int(r&offsetMask)*refUnit:])
}

// oldest returns the entry that was added first. The arena must not be empty.
func (a *arena) oldest() entry { return entry(a.segments[0][a.start:]) }

func (a *arena) oldestRef() ref { return newRef(a.first, a.start) }

// maxKey returns the longest key that an entry can have.
func (a *arena) maxKey() int { return a.size - entryFixed - a.extra }

// sizeOf returns the size in bytes of an entry whose key has that length.
func (a *arena) sizeOf(key int) int {
	return (entryFixed + key + a.extra + refUnit - 1) &^ (refUnit - 1)
}

// isFull reports whether an entry of that size needs another segment.
func (a *arena) isFull(size int) bool {
	n := len(a.segments)
	return n == 0 || len(a.segments[n-1])+size > a.size
}

// bytes returns the memory of all segments.
func (a *arena) bytes() int { return a.size*len(a.segments) + cap(a.spare) }

// bytesWith returns the memory that the segments would have after an entry of that size was
// added.
func (a *arena) bytesWith(size int) int {
	if a.isFull(size) && a.spare == nil {
		return a.bytes() + a.size
	}
	return a.bytes()
}

// add makes room for an entry of that size, and returns its place.
func (a *arena) add(size int) ref {
	if a.isFull(size) {
		segment := a.spare
		if a.spare = nil; segment == nil {
			segment = make([]byte, 0, a.size)
		}
		a.segments = append(a.segments, segment)
	}
	last := len(a.segments) - 1
	offset := len(a.segments[last])
	a.segments[last] = a.segments[last][:offset+size]
	a.used += size
	return newRef(a.first+uint32(last), offset)
}

// removeOldest removes the entry that was added first.
func (a *arena) removeOldest() {
	oldest := a.oldest()
	size := a.sizeOf(oldest.keyLen())
	if a.used -= size; oldest.has(flagDead) {
		a.dead -= size
	}
	a.start += size
	if a.start < len(a.segments[0]) {
		return
	}
	a.spare = a.segments[0][:0]
	a.segments = append(a.segments[:0], a.segments[1:]...) // at most once per segment
	a.first++
	a.start = 0
}

// begin returns the position of the oldest entry.
func (a *arena) begin() position { return position{a.first, a.start} }

// end returns the position after the newest entry.
func (a *arena) end() position {
	n := len(a.segments)
	if n == 0 {
		return position{segment: a.first}
	}
	return position{a.first + uint32(n-1), len(a.segments[n-1])}
}

// next returns the first entry from a position on, and the position after it. ok is false if there is no
// such entry before end.
func (a *arena) next(from, end position) (e entry, after position, ok bool) {
	oldest := a.begin()
	if from.isBefore(oldest) {
		from = oldest
	}
	if !from.isBefore(end) {
		return nil, from, false
	}
	segment := a.segments[from.segment-a.first]
	if from.offset == len(segment) {
		return a.next(position{segment: from.segment + 1}, end)
	}
	e = entry(segment[from.offset:])
	return e, position{from.segment, from.offset + a.sizeOf(e.keyLen())}, true
}

// kill marks an entry as dead.
func (a *arena) kill(e entry) {
	e.mark(flagDead)
	a.dead += a.sizeOf(e.keyLen())
}

// isSparse reports whether dead entries have a segment at least, and more than one of n octets.
func (a *arena) isSparse(n int) bool { return a.dead >= a.size && a.dead > a.used/n }

// compact moves the entries together that are not dead. It passes each to moved, in their order, with
// its places before and after. The oldest entry must not be dead.
func (a *arena) compact(moved func(e entry, from, to ref)) {
	n, offset := 0, a.start // where the next entry is moved to, in segments[n]
	for at, end := a.begin(), a.end(); ; {
		e, after, more := a.next(at, end)
		if !more {
			break
		}
		at = after
		if e.has(flagDead) {
			continue
		}
		size := a.sizeOf(e.keyLen())
		if offset+size > a.size { // then e is in a later segment
			a.segments[n] = a.segments[n][:offset]
			n, offset = n+1, 0
		}
		if offset+size > len(a.segments[n]) { // then, too
			a.segments[n] = a.segments[n][:offset+size]
		}
		to := entry(a.segments[n][offset:])
		copy(to, e[:size])
		moved(to, newRef(after.segment, after.offset-size), newRef(a.first+uint32(n), offset))
		offset += size
	}
	a.segments[n] = a.segments[n][:offset]
	if n++; n < len(a.segments) {
		a.spare = a.segments[n][:0]
		clear(a.segments[n:])
		a.segments = a.segments[:n]
	}
	a.used, a.dead = a.used-a.dead, 0
}

// A position is a place in the arena that remains valid: the number of a segment, even of one that was
// removed, and an offset there.
type position struct {
	segment uint32
	offset  int
}

// isBefore compares positions. The numbers of segments wrap around.
func (p position) isBefore(o position) bool {
	n := int32(p.segment - o.segment)
	return n < 0 || n == 0 && p.offset < o.offset
}

// An entry of the arena is an RRset and its sightings, in the byte order of little-endian
// machines:
//
//	length of the key 3 | flags 1 | hash 4 | first sight on the table's clock 8 |
//	time_first 4 | time_last 4 | count 4 | TTL 4 | key | what a gate adds, and unused octets up to a multiple of 8
type entry []byte

const (
	entrySightings = 16 // offset of time_first
	entryFixed     = 32 // octets before the key
)

// Flags of an entry, in the octet after the three of the length. Only a table with a gate sets them.
const (
	flagDead       uint32 = 1 << (24 + iota) // the entry was removed
	flagRemembered                           // its window has ended
	flagReleased                             // enough sources have reported the RRset

	maskKeyLen = 1<<24 - 1
)

func (e entry) has(flag uint32) bool { return binary.LittleEndian.Uint32(e)&flag != 0 }
func (e entry) mark(flag uint32) {
	binary.LittleEndian.PutUint32(e, binary.LittleEndian.Uint32(e)|flag)
}
func (e entry) keyLen() int { return int(binary.LittleEndian.Uint32(e) & maskKeyLen) }

func (e entry) init(hash uint32, firstSight time.Duration, k key) {
	binary.LittleEndian.PutUint32(e, uint32(len(k)))
	binary.LittleEndian.PutUint32(e[4:], hash)
	binary.LittleEndian.PutUint64(e[8:], uint64(firstSight))
	copy(e[entryFixed:], k)
}

func (e entry) key() key { return key(e[entryFixed : entryFixed+e.keyLen()]) }

func (e entry) hash() uint32 { return binary.LittleEndian.Uint32(e[4:]) }

func (e entry) firstSight() time.Duration {
	return time.Duration(binary.LittleEndian.Uint64(e[8:]))
}

func (e entry) ttl() uint32 { return binary.LittleEndian.Uint32(e[28:]) }

func (e entry) sighting() Sighting {
	return Sighting{
		TimeFirst: binary.LittleEndian.Uint32(e[16:]),
		TimeLast:  binary.LittleEndian.Uint32(e[20:]),
		Count:     binary.LittleEndian.Uint32(e[24:]),
	}
}

func (e entry) set(s Sighting, ttl uint32) {
	binary.LittleEndian.PutUint32(e[16:], s.TimeFirst)
	binary.LittleEndian.PutUint32(e[20:], s.TimeLast)
	binary.LittleEndian.PutUint32(e[24:], s.Count)
	binary.LittleEndian.PutUint32(e[28:], ttl)
}

// merge adds sightings to those of the entry.
func (e entry) merge(s Sighting, ttl uint32) {
	is := e.sighting()
	e.set(Sighting{
		TimeFirst: min(is.TimeFirst, s.TimeFirst),
		TimeLast:  max(is.TimeLast, s.TimeLast),
		Count:     is.Count + min(s.Count, math.MaxUint32-is.Count),
	}, max(e.ttl(), ttl))
}
