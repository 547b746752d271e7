package fstrm

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	dnstap "github.com/dnstap/golang-dnstap"
	framestream "github.com/farsightsec/golang-framestream"
)

// Begin returns the START frame, with which a file begins.
func (Format) Begin() []byte { return controlFrame(framestream.CONTROL_START) }

// End returns the STOP frame, with which a file ends.
func (Format) End() []byte { return controlFrame(framestream.CONTROL_STOP) }

// controlFrame returns a control frame. READY and START have the content type of dnstap.
func controlFrame(kind uint32) []byte {
	c := framestream.ControlFrame{ControlType: kind}
	if kind == framestream.CONTROL_READY || kind == framestream.CONTROL_START {
		c.SetContentType(dnstap.FSContentType)
	}
	var b bytes.Buffer
	c.Encode(&b) // a buffer returns no error
	return b.Bytes()
}

// readControl reads a control frame. It has its own copy of the library's parser, which ends the
// process on invalid lengths where an int has 32 bits.
func readControl(r io.Reader) (c framestream.ControlFrame, err error) {
	var head [2 * lengthLen]byte // a data length of 0, and the length of the control frame
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return c, err
	}
	if n := binary.BigEndian.Uint32(head[:]); n != 0 {
		return c, fmt.Errorf("a data frame of %d bytes instead of a control frame", n)
	}
	n := binary.BigEndian.Uint32(head[lengthLen:])
	if n < lengthLen || n > framestream.CONTROL_FRAME_LENGTH_MAX {
		return c, fmt.Errorf("a control frame of %d bytes", n)
	}
	b := make([]byte, n)
	if _, err := io.ReadFull(r, b); err != nil {
		return c, err
	}
	c.ControlType = binary.BigEndian.Uint32(b)
	for b = b[lengthLen:]; len(b) > 0; {
		if len(b) < len(head) {
			return c, errField
		}
		kind, size := binary.BigEndian.Uint32(b), binary.BigEndian.Uint32(b[lengthLen:])
		b = b[len(head):]
		if kind != framestream.CONTROL_FIELD_CONTENT_TYPE || uint64(size) > uint64(len(b)) {
			return c, errField
		}
		c.ContentTypes = append(c.ContentTypes, b[:size])
		b = b[size:]
	}
	return c, nil
}

var errField = errors.New("a control frame with an invalid field")
