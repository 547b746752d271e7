package nmsg

import (
	"errors"
	"fmt"

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

// fragmentOverhead is what a fragment has around its data at most: the header, id
// and crc of 1+5 bytes, current, last and the data's length of 1+3 bytes.
const fragmentOverhead = headerLen + 2*(1+5) + 3*(1+3)

// AppendFragments cuts a container, sealed and numbered, into fragments of at most
// size bytes (brought into MinSize to MaxSize), appends them back to back to buf and
// the offset in buf behind each to ends. All carry id, which should differ from
// that of other containers of the last minute. A container that is compressed
// comes out with both flags set, which go-nmsg cannot read: cut it before.
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
