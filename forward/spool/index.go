package spool

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"time"

	"github.com/dnstap-pdns/dnstap-pdns/forward"
)

// An index is the content of the index file: one line with the version and a checksum of the
// rest, which is JSON. It describes each segment as it was when the index was written. After
// that, containers may have been appended to the last segment only.
type index struct {
	Written  moment
	Next     uint64    // number of the next segment
	Segments []segment // oldest first, by number
	Acked    volume    // of the first segment
	Marks    []mark
	Carry    forward.Dropped // given up before the next container that is appended
}

// A segment is a file of containers.
type segment struct {
	Number uint64
	volume
	First, Last time.Duration // when a container entered, by the clock of the index
}

// A volume is a number of whole containers.
type volume struct {
	Bytes   int64
	Units   uint64
	Records uint64
}

func (v *volume) add(o volume) {
	v.Bytes += o.Bytes
	v.Units += o.Units
	v.Records += o.Records
}

func (v volume) minus(o volume) volume {
	return volume{v.Bytes - o.Bytes, v.Units - o.Units, v.Records - o.Records}
}

// A mark states what was given up before the container at an offset, and after the
// container before it.
type mark struct {
	Segment uint64
	Offset  int64
	Dropped forward.Dropped
}

const (
	indexVersion = 1
	indexHeader  = "dnstap-pdns spool %d crc32c %08x\n"
)

// A versionError is an index of a version that this program does not know.
type versionError int

func (v versionError) Error() string {
	return fmt.Sprintf("its version is %d, and only %d can be read", int(v), indexVersion)
}

var errDamaged = errors.New("it is damaged")

func (x *index) encode() ([]byte, error) {
	body, err := json.MarshalIndent(x, "", " ")
	if err != nil {
		return nil, err
	}
	return withHeader(body), nil
}

func withHeader(body []byte) []byte {
	return append(fmt.Appendf(nil, indexHeader, indexVersion, checksum(body)), body...)
}

// decodeIndex returns the index of a file. The error is a versionError, or wraps errDamaged.
func decodeIndex(b []byte) (*index, error) {
	line, body, _ := bytes.Cut(b, []byte("\n"))
	var version int
	if _, err := fmt.Sscanf(string(line), "dnstap-pdns spool %d ", &version); err != nil {
		return nil, fmt.Errorf("%w: %w", errDamaged, err)
	}
	if version != indexVersion {
		return nil, versionError(version)
	}
	if !bytes.Equal(b, withHeader(body)) {
		return nil, fmt.Errorf("%w: its checksum does not match", errDamaged)
	}
	x := new(index)
	if err := json.Unmarshal(body, x); err != nil {
		return nil, fmt.Errorf("%w: %w", errDamaged, err)
	}
	if !x.valid() {
		return nil, fmt.Errorf("%w: its numbers contradict each other", errDamaged)
	}
	return x, nil
}

// valid reports whether the numbers of x are possible.
func (x *index) valid() bool {
	last := uint64(0)
	for i := range x.Segments {
		g := &x.Segments[i]
		if g.Number <= last || g.Number >= x.Next || !g.valid() {
			return false
		}
		last = g.Number
	}
	if len(x.Segments) == 0 {
		return x.Acked == volume{}
	}
	all, acked := x.Segments[0].volume, x.Acked
	return acked.valid() && acked.Bytes <= all.Bytes && acked.Units <= all.Units && acked.Records <= all.Records
}

// maxSegment is more bytes than any segment has. It keeps sums from an overflow.
const maxSegment = 1 << 40

// valid reports whether v is possible: no record and no container is empty.
func (v volume) valid() bool {
	return v.Bytes >= 0 && v.Bytes <= maxSegment && v.Units <= v.Records && v.Records <= uint64(v.Bytes)
}

// left returns what is not acknowledged of segment i.
func (x *index) left(i int) volume {
	if i == 0 {
		return x.Segments[0].minus(x.Acked)
	}
	return x.Segments[i].volume
}

// total returns what is not acknowledged.
func (x *index) total() (v volume) {
	for i := range x.Segments {
		v.add(x.left(i))
	}
	return v
}

// maxMarks bounds the index. What is given up when there are more is reported with a later
// container.
const maxMarks = 1024

// mark notes that d was given up before the container at an offset.
func (x *index) mark(segment uint64, offset int64, d forward.Dropped) {
	if d == (forward.Dropped{}) {
		return
	}
	for i := range x.Marks {
		if m := &x.Marks[i]; m.Segment == segment && m.Offset == offset {
			addDropped(&m.Dropped, d)
			return
		}
	}
	if len(x.Marks) >= maxMarks {
		addDropped(&x.Carry, d)
		return
	}
	x.Marks = append(x.Marks, mark{segment, offset, d})
}

func addDropped(d *forward.Dropped, o forward.Dropped) {
	d.Units += o.Units
	d.Bytes += o.Bytes
}

// checksum returns the CRC-32C of b.
func checksum(b []byte) uint32 { return crc32.Checksum(b, crc32.MakeTable(crc32.Castagnoli)) }
