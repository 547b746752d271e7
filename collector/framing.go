package collector

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"

	framestream "github.com/farsightsec/golang-framestream"
)

const (
	bufferSize    = 64 << 10 // what a connection holds; while a larger frame comes in, that frame's size more
	lengthSize    = 4        // of the length before each frame
	maxEmptyReads = 100      // in a row, of a reader that neither gives nor ends
)

// errCut says that a stream's last frame is not whole.
var errCut = errors.New("the stream ends within a frame")

// damage is an error of the stream itself, with the offset of the frame at fault.
type damage struct {
	offset int64
	err    error
}

func (d *damage) Error() string { return fmt.Sprintf("at byte %d: %v", d.offset, d.err) }
func (d *damage) Unwrap() error { return d.err }

type frameKind uint8

const (
	noFrame   frameKind = iota // nothing whole in the buffer: fill
	dataFrame                  // a dnstap message
	longFrame                  // a data frame above the limit, skipped as it streams by
	control                    // a control frame's body
)

// A frameReader cuts a Frame Streams byte stream into frames, in place. A data
// frame is its length and as many bytes; length 0 escapes to a control frame,
// which is again a length and as many bytes.
type frameReader struct {
	src io.Reader
	err error // that src gave along with data
	max uint32

	small      []byte // the buffer at rest
	buf        []byte // small, or one of the size of a larger frame while that comes in
	begin, end int    // what is unread in buf
	need       int    // bytes of the frame at begin, where known
	skip       uint32 // what is still to come of a longFrame

	base  int64 // offset of buf in the stream
	frame int64 // offset of the frame that next returned
}

func newFrameReader(src io.Reader, maxFrame int) *frameReader {
	small := make([]byte, bufferSize)
	return &frameReader{src: src, max: uint32(min(uint64(maxFrame), math.MaxUint32)), small: small, buf: small}
}

// fill reads once. An error means that nothing was read.
func (r *frameReader) fill() error {
	if r.err != nil {
		return r.err
	}
	r.makeRoom()
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

// makeRoom moves the unread bytes to the front of a buffer that the frame fits. A
// frame larger than small gets a buffer of exactly its size, so that no other frame
// begins there. The buffer is dropped before the next frame is read.
func (r *frameReader) makeRoom() {
	rest := r.buf[r.begin:r.end]
	switch {
	case r.need <= bufferSize:
		r.buf = r.small
	case r.need > len(r.buf):
		r.buf = make([]byte, r.need)
	}
	r.base += int64(r.begin)
	r.begin, r.end, r.need = 0, copy(r.buf, rest), 0
}

// next returns the next whole frame in the buffer, which is good until fill. An
// error is *damage.
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
	r.frame = r.base + int64(r.begin)
	r.begin += n
}

// skipped drops what has come of a longFrame, and reports whether that was all.
func (r *frameReader) skipped() bool {
	n := min(r.skip, uint32(r.end-r.begin))
	r.begin += int(n)
	r.skip -= n
	return r.skip == 0
}

// begun returns the length of a data frame that has begun to come in; 0 if there
// is none.
func (r *frameReader) begun() uint32 {
	rest := r.buf[r.begin:r.end]
	if r.skip > 0 || len(rest) < lengthSize {
		return 0
	}
	return binary.BigEndian.Uint32(rest)
}

// pending reports whether the stream stands within a frame that was not returned
// yet and that is not known to be a control frame.
func (r *frameReader) pending() bool {
	rest := r.end - r.begin
	return rest > 0 && (rest < lengthSize || r.begun() > 0)
}

// damaged makes an error of the frame that next returned last.
func (r *frameReader) damaged(err error) error { return &damage{r.frame, err} }

// ended makes an error of the one with which fill ended the stream: io.EOF only
// between frames.
func (r *frameReader) ended(err error) error {
	if !errors.Is(err, io.EOF) {
		return err
	}
	if r.skip > 0 {
		return r.damaged(errCut)
	}
	if r.begin < r.end {
		return &damage{r.base + int64(r.begin), errCut}
	}
	return io.EOF
}
