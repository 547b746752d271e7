package nmsg

import (
	"bytes"
	"errors"
	"fmt"
	"net/netip"
	"time"

	"google.golang.org/protobuf/encoding/protowire"
)

// Field numbers of NmsgFragment (nmsg.proto). Those up to Data are required.
const (
	fragmentID      protowire.Number = 1
	fragmentCurrent protowire.Number = 2
	fragmentLast    protowire.Number = 3
	fragmentData    protowire.Number = 4
	fragmentCRC     protowire.Number = 5
)

// fragmentOverhead is the largest size in bytes of a fragment without its data: the header,
// id and crc of 1+5 bytes, current, last and the length of the data of 1+3 bytes.
const fragmentOverhead = headerLen + 2*(1+5) + 3*(1+3)

// AppendFragments cuts a sealed and numbered container into fragments of at most size bytes
// (limited to MinSize to MaxSize). It appends the fragments to buf, and the offset in buf
// after each to ends. All contain id, which should differ from the ids of other containers
// of the last minute. Fragments of a compressed container have both flags set, which
// go-nmsg cannot read.
func AppendFragments(buf []byte, ends []int, container []byte, size int, id uint32) ([]byte, []int) {
	body := container[headerLen:]
	room := min(max(size, MinSize), MaxSize) - fragmentOverhead
	f := fragment{
		flags:  container[4] | flagFragment,
		id:     id,
		last:   uint32(max(len(body)-1, 0) / room),
		crc:    wireCRC(checksum(body)),
		hasCRC: true,
	}
	for {
		n := min(room, len(body))
		f.data, body = body[:n], body[n:]
		buf = f.append(buf)
		ends = append(ends, len(buf))
		if f.current == f.last {
			return buf, ends
		}
		f.current++
	}
}

// fragment is a piece of a container's body.
type fragment struct {
	flags         byte // the header's, with flagFragment
	id            uint32
	current, last uint32 // counted from 0
	data          []byte
	crc           uint32 // of the whole body, byte-swapped
	hasCRC        bool   // the field is optional; this writer always has it
}

func (f *fragment) append(b []byte) []byte {
	start := len(b)
	b = appendHeader(b, f.flags)
	b = appendNumber(b, fragmentID, uint64(f.id))
	b = appendNumber(b, fragmentCurrent, uint64(f.current))
	b = appendNumber(b, fragmentLast, uint64(f.last))
	b = append(appendSize(b, fragmentData, len(f.data)), f.data...)
	b = appendNumber(b, fragmentCRC, uint64(f.crc))
	putLength(b[start:])
	return b
}

var errFragmentOrder = errors.New("its number is beyond the last")

// parseFragment reads the body of a container with flagFragment.
func parseFragment(flags byte, body []byte) (fragment, error) {
	f := fragment{flags: flags}
	var seen required
	for len(body) > 0 {
		field, rest, err := nextField(body)
		if err != nil {
			return fragment{}, fmt.Errorf("fragment: %w", err)
		}
		body = rest
		f.set(&field, &seen)
	}
	if err := seen.missing(fragmentData); err != nil {
		return fragment{}, fmt.Errorf("fragment: %w", err)
	}
	if f.current > f.last {
		return fragment{}, fmt.Errorf("fragment %d of %d: %w", f.current, f.last, errFragmentOrder)
	}
	return f, nil
}

func (f *fragment) set(field *field, seen *required) {
	v := uint32(field.value)
	switch {
	case field.is(fragmentID, protowire.VarintType):
		f.id = v
	case field.is(fragmentCurrent, protowire.VarintType):
		f.current = v
	case field.is(fragmentLast, protowire.VarintType):
		f.last = v
	case field.is(fragmentData, protowire.BytesType):
		f.data = field.bytes
	case field.is(fragmentCRC, protowire.VarintType):
		f.crc, f.hasCRC = v, true
	default:
		return
	}
	seen.saw(field.num)
}

const (
	// reassemblyTimeout is the time after which an incomplete container is given up, as
	// in the reference receiver.
	reassemblyTimeout = 30 * time.Second

	// Limits of memory: sets of fragments, and bytes of data plus fragmentCost for each
	// fragment. The oldest set is dropped first.
	maxSets      = 4096
	maxSetsBytes = 4 * maxBody
	fragmentCost = 128
)

// origin is the origin of a container. In a file it has no source and no time.
type origin struct {
	source netip.AddrPort
	now    time.Time
	offset int64
}

// fragmentKey identifies a set of fragments. The id is enough for correct senders; because
// of the other fields, a damaged fragment does not damage a whole set.
type fragmentKey struct {
	source netip.AddrPort
	flags  byte
	id     uint32
	last   uint32
	crc    uint32
	hasCRC bool
}

// fragmentSet is the fragments of one container that have arrived.
type fragmentSet struct {
	key    fragmentKey
	since  time.Time
	offset int64 // of the fragment that arrived first
	parts  map[uint32][]byte
	size   int
	done   bool // it is kept without data, so that late duplicates do not begin a new set
}

// lostSet is a set that was dropped before it was complete.
type lostSet struct {
	offset int64
	err    error
}

var (
	errIncomplete  = errors.New("fragments are missing")
	errFragmentCRC = errors.New("reassembled fragments do not match their CRC")
	errSetTooLong  = fmt.Errorf("fragments of a container over %d bytes", maxBody)
)

// reassembly reassembles containers. A set is complete if every fragment has arrived, or all
// but the last and the CRC matches: if the body is an exact multiple of the fragment size,
// the C writer announces a last fragment that it never sends.
type reassembly struct {
	sets  map[fragmentKey]*fragmentSet
	order []*fragmentSet // oldest first
	bytes int            // of all sets, fragmentCost included
	body  []byte
	lost  []lostSet // until the Reader or Assembler takes them
}

// add adds a fragment, whose data it copies. It returns the body of the container that is
// now complete, or nil. The body is valid until the next call.
func (r *reassembly) add(f *fragment, from origin) ([]byte, error) {
	r.expire(from.now)
	s := r.set(f, from)
	if _, dup := s.parts[f.current]; dup || s.done {
		return nil, nil
	}
	if s.size+len(f.data) > maxBody {
		r.finish(s)
		return nil, errSetTooLong
	}
	s.parts[f.current] = bytes.Clone(f.data)
	s.size += len(f.data)
	r.bytes += len(f.data) + fragmentCost
	whole, err := r.complete(s)
	if whole != nil || err != nil {
		r.finish(s)
		return whole, err
	}
	for r.bytes > maxSetsBytes {
		r.dropOldest()
	}
	return nil, nil
}

// set returns the fragment's set, and makes it if necessary.
func (r *reassembly) set(f *fragment, from origin) *fragmentSet {
	key := fragmentKey{source: from.source, flags: f.flags, id: f.id, last: f.last, crc: f.crc, hasCRC: f.hasCRC}
	if s := r.sets[key]; s != nil {
		return s
	}
	if r.sets == nil {
		r.sets = make(map[fragmentKey]*fragmentSet)
	}
	if len(r.order) == maxSets {
		r.dropOldest()
	}
	s := &fragmentSet{key: key, since: from.now, offset: from.offset, parts: make(map[uint32][]byte)}
	r.sets[key] = s
	r.order = append(r.order, s)
	return s
}

// complete returns the body if the set is complete, nil if not yet, or an error if the CRC
// does not match.
func (r *reassembly) complete(s *fragmentSet) ([]byte, error) {
	n := uint64(len(s.parts))
	_, hasLast := s.parts[s.key.last]
	all := n == uint64(s.key.last)+1
	allButLast := n == uint64(s.key.last) && !hasLast && s.key.hasCRC
	if !all && !allButLast {
		return nil, nil
	}
	r.body = r.body[:0]
	for i := range uint32(n) {
		r.body = append(r.body, s.parts[i]...)
	}
	if s.key.hasCRC && wireCRC(checksum(r.body)) != s.key.crc {
		if all {
			return nil, errFragmentCRC
		}
		return nil, nil
	}
	if r.body == nil {
		r.body = []byte{}
	}
	return r.body, nil
}

// finish releases the data of a set, which is complete or was dropped: see fragmentSet.done.
func (r *reassembly) finish(s *fragmentSet) {
	r.bytes -= s.size + len(s.parts)*fragmentCost
	s.parts, s.size, s.done = nil, 0, true
}

func (r *reassembly) expire(now time.Time) {
	for len(r.order) > 0 && now.Sub(r.order[0].since) > reassemblyTimeout {
		r.dropOldest()
	}
}

// dropAll drops every set: no more fragments will arrive.
func (r *reassembly) dropAll() {
	for len(r.order) > 0 {
		r.dropOldest()
	}
}

func (r *reassembly) dropOldest() {
	s := r.order[0]
	r.order[0] = nil
	r.order = r.order[1:]
	delete(r.sets, s.key)
	if !s.done {
		err := fmt.Errorf("%w: %d of %d arrived", errIncomplete, len(s.parts), uint64(s.key.last)+1)
		r.lost = append(r.lost, lostSet{offset: s.offset, err: err})
	}
	r.finish(s)
}
