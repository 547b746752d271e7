package collector

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"slices"

	dnstap "github.com/dnstap/golang-dnstap"
	framestream "github.com/farsightsec/golang-framestream"
)

const (
	bufferSize    = 64 << 10 // of each connection; a larger frame needs a second buffer of its size
	lengthSize    = 4        // of the length before each frame
	maxEmptyReads = 100      // reads in a row without data and without an error

	// longestFrame is the limit above which the length of a data frame is broken framing, and
	// not a frame to skip: skipping would hide up to 4 GiB of a stream that is out of step.
	longestFrame = 16 << 20
)

// errCut means that the stream's last frame is incomplete.
var errCut = errors.New("the stream ends within a frame")

// damage is an error in the stream's bytes, with the offset of the invalid frame.
type damage struct {
	offset int64
	err    error
}

func (d *damage) Error() string { return fmt.Sprintf("at byte %d: %v", d.offset, d.err) }
func (d *damage) Unwrap() error { return d.err }

type frameKind uint8

const (
	noFrame   frameKind = iota // no complete frame in the buffer: call fill
	dataFrame                  // a dnstap frame
	longFrame                  // a data frame above max, whose bytes are skipped
	control                    // the body of a control frame
)

// A frameReader splits a Frame Streams byte stream into frames, in place (fstrm/control.h). All
// lengths are big-endian:
//
//	data frame      uint32 length (not 0), bytes[length]
//	control frame   uint32 0, uint32 length, bytes[length]
type frameReader struct {
	src io.Reader
	err error  // returned by src together with data; the next fill returns it
	max uint32 // bytes of a data frame, at most longestFrame

	small      []byte // of bufferSize
	buf        []byte // small, or the buffer of one larger frame
	begin, end int    // the unread bytes in buf
	need       int    // size of the frame at begin; 0: not known yet
	skip       uint32 // bytes of a longFrame that are not read yet

	base  int64 // offset of buf in the stream
	frame int64 // offset of the frame that next returned
}

func newFrameReader(src io.Reader, maxFrame int) *frameReader {
	small := make([]byte, bufferSize)
	return &frameReader{src: src, max: uint32(min(maxFrame, longestFrame)), small: small, buf: small}
}

// fill reads from src once. After an error nothing was read.
func (r *frameReader) fill() error {
	if r.err != nil {
		return r.err
	}
	r.compact()
	for range maxEmptyReads {
		n, err := r.src.Read(r.buf[r.end:])
		r.end += n
		if n > 0 {
			r.err = err
			return nil
		}
		if err != nil {
			return err
		}
	}
	return io.ErrNoProgress
}

// compact moves the unread bytes to the front of small or, if their frame is larger, of a
// buffer of exactly the frame's size. No other frame begins in that buffer, so that compact can
// replace it by small after the frame.
func (r *frameReader) compact() {
	rest := r.buf[r.begin:r.end]
	switch {
	case r.need <= bufferSize:
		r.buf = r.small
	case r.need > len(r.buf):
		r.buf = make([]byte, r.need)
	}
	r.base = r.offset()
	r.begin, r.end, r.need = 0, copy(r.buf, rest), 0
}

// next returns the next frame in the buffer, which is valid until fill. It returns noFrame if
// the buffer contains no complete frame. The type of an error is *damage.
func (r *frameReader) next() (frameKind, []byte, error) {
	if r.skip > 0 && !r.skipped() {
		return noFrame, nil, nil
	}
	rest := r.buf[r.begin:r.end]
	if len(rest) < lengthSize {
		return noFrame, nil, nil
	}
	length := binary.BigEndian.Uint32(rest)
	if length == 0 {
		return r.nextControl(rest)
	}
	if length > r.max {
		r.consume(lengthSize)
		if length > longestFrame {
			return noFrame, nil, r.damaged(fmt.Errorf("data frame of %d bytes: at most %d are possible", length, longestFrame))
		}
		r.skip = length
		return longFrame, nil, nil
	}
	whole := lengthSize + int(length)
	if len(rest) < whole {
		r.need = whole
		return noFrame, nil, nil
	}
	r.consume(whole)
	return dataFrame, rest[lengthSize:whole], nil
}

func (r *frameReader) nextControl(rest []byte) (frameKind, []byte, error) {
	if len(rest) < 2*lengthSize {
		return noFrame, nil, nil
	}
	length := binary.BigEndian.Uint32(rest[lengthSize:])
	if length < 4 || length > framestream.CONTROL_FRAME_LENGTH_MAX {
		r.consume(2 * lengthSize)
		return noFrame, nil, r.damaged(fmt.Errorf("control frame of %d bytes: 4 to %d are possible",
			length, framestream.CONTROL_FRAME_LENGTH_MAX))
	}
	whole := 2*lengthSize + int(length)
	if len(rest) < whole {
		return noFrame, nil, nil
	}
	r.consume(whole)
	return control, rest[2*lengthSize : whole], nil
}

func (r *frameReader) consume(n int) {
	r.frame = r.offset()
	r.begin += n
}

// offset returns the offset in the stream of the first unread byte.
func (r *frameReader) offset() int64 { return r.base + int64(r.begin) }

// skipped drops the bytes of a longFrame from the buffer, and reports whether the frame ended.
func (r *frameReader) skipped() bool {
	n := min(r.skip, uint32(r.end-r.begin))
	r.begin += int(n)
	r.skip -= n
	return r.skip == 0
}

// dataLength returns the length of the data frame at the first unread byte; 0 if there is none.
func (r *frameReader) dataLength() uint32 {
	rest := r.buf[r.begin:r.end]
	if r.skip > 0 || len(rest) < lengthSize {
		return 0
	}
	return binary.BigEndian.Uint32(rest)
}

// pending reports whether the buffer contains the beginning of a data frame, or of a frame
// whose length is incomplete.
func (r *frameReader) pending() bool {
	rest := r.end - r.begin
	return rest > 0 && (rest < lengthSize || r.dataLength() > 0)
}

// damaged returns err with the offset of the frame that next returned last.
func (r *frameReader) damaged(err error) error { return &damage{r.frame, err} }

// endError returns the error of a stream whose last fill returned err: io.EOF only if the
// stream ended between frames.
func (r *frameReader) endError(err error) error {
	if !errors.Is(err, io.EOF) {
		return err
	}
	if r.skip > 0 {
		return r.damaged(errCut)
	}
	if r.begin < r.end {
		return &damage{r.offset(), errCut}
	}
	return io.EOF
}

// A controlFrame is the body of a control frame (fstrm/control.h):
//
//	uint32 kind
//	{ uint32 field, uint32 length, bytes[length] } ...    field is always the content type
type controlFrame struct {
	kind  uint32
	types [][]byte // content types, borrowed from the body
}

func parseControl(body []byte) (controlFrame, error) {
	if len(body) < 4 {
		return controlFrame{}, fmt.Errorf("control frame of %d bytes, which is too short", len(body))
	}
	c := controlFrame{kind: binary.BigEndian.Uint32(body)}
	if c.kind < framestream.CONTROL_ACCEPT || c.kind > framestream.CONTROL_FINISH {
		return c, fmt.Errorf("control frame of unknown type %d", c.kind)
	}
	for rest := body[4:]; len(rest) > 0; {
		if len(rest) < 8 {
			return c, fmt.Errorf("%d extra bytes at the end of %v", len(rest), c)
		}
		field, length := binary.BigEndian.Uint32(rest), binary.BigEndian.Uint32(rest[4:])
		rest = rest[8:]
		if field != framestream.CONTROL_FIELD_CONTENT_TYPE {
			return c, fmt.Errorf("unknown field %d in %v", field, c)
		}
		if uint64(length) > uint64(len(rest)) {
			return c, fmt.Errorf("%v declares a content type of %d bytes, but contains %d", c, length, len(rest))
		}
		c.types = append(c.types, rest[:length])
		rest = rest[length:]
	}
	return c, nil
}

// checkType returns an error unless the frame's content types include dnstap. Frame Streams
// allows a frame without content types.
func (c controlFrame) checkType() error {
	if c.kind == framestream.CONTROL_START && len(c.types) > 1 {
		return errors.New("START names more than one content type")
	}
	ours := func(t []byte) bool { return bytes.Equal(t, dnstap.FSContentType) }
	if len(c.types) > 0 && !slices.ContainsFunc(c.types, ours) {
		return fmt.Errorf("%v is for content type %q; only %q is read here", c, c.types, dnstap.FSContentType)
	}
	return nil
}

// String returns the name of the frame's kind.
func (c controlFrame) String() string {
	switch c.kind {
	case framestream.CONTROL_ACCEPT:
		return "ACCEPT"
	case framestream.CONTROL_START:
		return "START"
	case framestream.CONTROL_STOP:
		return "STOP"
	case framestream.CONTROL_READY:
		return "READY"
	default:
		return "FINISH"
	}
}

// writeControl writes a control frame in one call of Write.
func writeControl(w io.Writer, kind uint32, types ...[]byte) error {
	var b bytes.Buffer
	frame := framestream.ControlFrame{ControlType: kind, ContentTypes: types}
	if err := frame.Encode(&b); err != nil {
		return err
	}
	_, err := w.Write(b.Bytes())
	return err
}
