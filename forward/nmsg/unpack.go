package nmsg

import (
	"errors"
	"fmt"
	"io"

	"google.golang.org/protobuf/encoding/protowire"
)

// unpacker returns the payloads of containers: it reassembles fragments and inflates bodies.
// Reader and Assembler share it.
type unpacker struct {
	fragments reassembly
	zlib      inflater
	sequences sequences

	sequence sequence // of the open container
	body     []byte   // the rest of the open container
	crcs     []uint32 // payload_crcs, byte-swapped as in the container
	next     int      // index of the next payload
}

// open opens a container with that header and body. A fragment that does not complete a
// container opens an empty one. The body is borrowed until payload has returned io.EOF.
func (u *unpacker) open(h header, body []byte, from origin) error {
	u.close()
	if h.flags&flagFragment != 0 {
		f, err := parseFragment(h.flags, body)
		if err != nil {
			return err
		}
		if body, err = u.fragments.add(&f, from); body == nil {
			return err
		}
	}
	if h.flags&flagZlib != 0 {
		var err error
		if body, err = u.zlib.inflate(body); err != nil {
			return err
		}
	}
	return u.load(body)
}

func (u *unpacker) close() {
	u.body, u.crcs, u.next, u.sequence = nil, u.crcs[:0], 0, sequence{}
	u.zlib.out.Reset()
}

// load reads the CRCs and the sequence number of a body. payload needs the CRCs, which
// follow all payloads.
func (u *unpacker) load(body []byte) error {
	var seq sequence
	for b := body; len(b) > 0; {
		f, rest, err := nextField(b)
		if err != nil {
			u.crcs = u.crcs[:0]
			return fmt.Errorf("container: %w", err)
		}
		b = rest
		switch {
		case f.is(containerPayloadCRCs, protowire.VarintType):
			u.crcs = append(u.crcs, uint32(f.value))
		case f.is(containerSequence, protowire.VarintType):
			seq.number, seq.hasNumber = uint32(f.value), true
		case f.is(containerSequenceID, protowire.VarintType):
			seq.id, seq.hasID = f.value, true
		}
	}
	u.body, u.sequence = body, seq
	if seq.hasNumber && seq.hasID {
		u.sequences.saw(seq.id, seq.number)
	}
	return nil
}

// A sequence is the sequence id and number of a container, if it has them.
type sequence struct {
	id               uint64
	number           uint32
	hasID, hasNumber bool
}

var errPayloadCRC = errors.New("its CRC does not match")

// payload returns the next payload of the open container, and io.EOF after the last. Any
// other error concerns only this payload.
func (u *unpacker) payload() (Message, error) {
	for len(u.body) > 0 {
		f, rest, err := nextField(u.body)
		if err != nil { // impossible: load has read the same bytes
			u.body = nil
			return Message{}, err
		}
		u.body = rest
		if !f.is(containerPayloads, protowire.BytesType) {
			continue
		}
		i := u.next
		u.next++
		m, err := parsePayload(f.bytes)
		if err == nil && i < len(u.crcs) && wireCRC(checksum(m.Data)) != u.crcs[i] {
			err = errPayloadCRC
		}
		if err != nil {
			return Message{}, fmt.Errorf("payload %d: %w", i, err)
		}
		return m, nil
	}
	return Message{}, io.EOF
}

// parsePayload reads an NmsgPayload. Its Data points into b.
func parsePayload(b []byte) (Message, error) {
	var m Message
	var seen required
	for len(b) > 0 {
		f, rest, err := nextField(b)
		if err != nil {
			return Message{}, err
		}
		b = rest
		m.set(&f, &seen)
	}
	if err := seen.missing(payloadTimeNsec); err != nil {
		return Message{}, err
	}
	return m, nil
}

func (m *Message) set(f *field, seen *required) {
	v := uint32(f.value)
	switch {
	case f.is(payloadVendor, protowire.VarintType):
		m.Vendor = v
	case f.is(payloadType, protowire.VarintType):
		m.Type = v
	case f.is(payloadTimeSec, protowire.VarintType):
		m.Sec = int64(f.value)
	case f.is(payloadTimeNsec, protowire.Fixed32Type):
		m.Nsec = v
	case f.is(payloadData, protowire.BytesType):
		m.Data = f.bytes
	case f.is(payloadSource, protowire.VarintType):
		m.Source = v
	case f.is(payloadOperator, protowire.VarintType):
		m.Operator = v
	case f.is(payloadGroup, protowire.VarintType):
		m.Group = v
	default:
		return
	}
	seen.saw(f.num)
}

// Gap reports containers of a writer that did not arrive: those with the sequence numbers
// from Expected to before Got. Sequence numbers wrap, so Got may be less than Expected.
type Gap struct {
	SequenceID    uint64
	Expected, Got uint32
}

// Missing returns the number of containers that did not arrive.
func (g Gap) Missing() uint32 { return g.Got - g.Expected }

const (
	// maxSequences limits the number of writers. The writer that appeared first is
	// evicted first; its next number begins a new sequence without a gap.
	maxSequences = 4096

	// reorderWindow is how far a number may be before the expected one to count as late
	// or repeated. If it is further before, the writer has started again.
	reorderWindow = 1024
)

// sequences finds gaps in the sequence numbers of each writer, by its sequence id. A number
// after the expected one is a gap; a late number that would fill the gap changes nothing. A
// sequence begins with the first number of its id.
type sequences struct {
	report func(Gap) // nil: gaps are not reported
	next   map[uint64]uint32
	order  []uint64 // ids in the order in which they appeared
}

func (s *sequences) saw(id uint64, seq uint32) {
	if s.report == nil {
		return
	}
	expected, known := s.next[id]
	if !known {
		s.add(id)
		s.next[id] = seq + 1
		return
	}
	ahead := int32(seq - expected)
	if ahead < 0 && ahead >= -reorderWindow {
		return
	}
	s.next[id] = seq + 1
	if ahead > 0 {
		s.report(Gap{SequenceID: id, Expected: expected, Got: seq})
	}
}

func (s *sequences) add(id uint64) {
	if s.next == nil {
		s.next = make(map[uint64]uint32)
	}
	if len(s.order) == maxSequences {
		delete(s.next, s.order[0])
		s.order = s.order[1:]
	}
	s.order = append(s.order, id)
}
