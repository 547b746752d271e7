package nmsg

import (
	"fmt"
	"io"
)

// Containers reads the whole containers at the start of a stream, one after another. A
// container is whole if it can be parsed and has the form that [Container] writes: no
// fragment, not empty, a CRC for each payload.
type Containers struct {
	in     window
	unpack unpacker
	size   int // of the current container
}

// NewContainers returns a Containers on r. It buffers.
func NewContainers(r io.Reader) *Containers { return &Containers{in: window{r: r}} }

// Next returns the bytes of the next container, which are valid until the next call, and the
// number of its payloads. The error is io.EOF if no whole container follows, and otherwise
// that of the stream.
func (c *Containers) Next() (container []byte, payloads int, err error) {
	c.in.discard(c.size)
	c.size = whole(&c.in, &c.unpack)
	if c.in.err != nil && c.in.err != io.EOF {
		return nil, 0, fmt.Errorf("reading NMSG at offset %d: %w", c.in.offset, c.in.err)
	}
	if c.size == 0 {
		return nil, 0, io.EOF
	}
	return c.in.bytes()[:c.size], c.unpack.next, nil
}

// Whole returns the length in bytes of the whole containers at the start of a stream, which
// are the valid part of a file whose writer was interrupted. An error is that of the stream.
func Whole(r io.Reader) (int64, error) {
	for c := NewContainers(r); ; {
		_, _, err := c.Next()
		if err == io.EOF {
			return c.in.offset, nil
		}
		if err != nil {
			return 0, err
		}
	}
}

// whole returns the size in bytes of the next container, or 0 if it is not whole. u is only
// reused memory.
func whole(in *window, u *unpacker) int {
	in.fill(headerLen)
	h, err := parseHeader(in.bytes())
	if err != nil || h.flags&flagFragment != 0 {
		return 0
	}
	size := headerLen + h.length
	if in.fill(size) < size {
		return 0
	}
	if err := u.open(h, in.bytes()[headerLen:size], origin{}); err != nil {
		return 0
	}
	for err == nil {
		_, err = u.payload()
	}
	if err != io.EOF || u.next == 0 || u.next != len(u.crcs) {
		return 0
	}
	return size
}
