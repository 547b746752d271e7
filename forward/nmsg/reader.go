package nmsg

import (
	"bytes"
	"fmt"
	"io"
	"strings"
)

// DamageError reports a part of a stream that could not be read.
type DamageError struct {
	Offset int64 // in the stream, of the container, or where one was expected
	Err    error
}

// Error returns the offset and the text of Err.
func (e *DamageError) Error() string { return fmt.Sprintf("at offset %d: %v", e.Offset, e.Err) }

// Unwrap returns Err.
func (e *DamageError) Unwrap() error { return e.Err }

// Reader reads the messages of an NMSG file or pipe, one payload after another.
//
// Only damaged parts are lost: Next reports them once and continues. The length of a
// container that cannot be parsed is used only if another container follows there;
// otherwise the reader searches for the next header from the start of the damaged container.
type Reader struct {
	in      window
	unpack  unpacker
	pending []*DamageError

	size     int  // of the current container, header included; 0: none
	suspect  bool // the container could not be parsed: its length may be wrong
	lost     bool // between containers, and the damage was reported
	rejected int  // bytes of containers that failed to parse since the last whole one
}

// maxRejected limits the work on overlapping containers: if more bytes were rejected, a
// length is used without a check.
const maxRejected = 2 * maxBody

// NewReader returns a Reader on r. It buffers: it may read beyond the current message, but
// never waits for more bytes than that message needs.
func NewReader(r io.Reader) *Reader { return &Reader{in: window{r: r}} }

// OnGap sets the function that is called when a sequence number shows that containers are
// missing; see [Gap].
func (r *Reader) OnGap(report func(Gap)) { r.unpack.sequences.report = report }

// Next returns the next message. A *DamageError reports a part that could not be read; the
// next call continues after it. At the end the error is io.EOF. Any other error is that of
// the stream, and permanent.
func (r *Reader) Next() (Message, error) {
	for {
		if len(r.pending) > 0 {
			return Message{}, r.takePending()
		}
		m, err := r.unpack.payload()
		if err == nil {
			return m, nil
		}
		if err != io.EOF {
			return Message{}, r.damage(err)
		}
		if err := r.advance(); err != nil {
			return Message{}, err
		}
	}
}

func (r *Reader) damage(err error) *DamageError {
	return &DamageError{Offset: r.in.offset, Err: err}
}

// advance discards the current container and opens the next.
func (r *Reader) advance() error {
	r.discardContainer()
	h, err := r.find()
	if err != nil {
		return err
	}
	r.size = headerLen + h.length
	if have := r.in.fill(r.size); have < r.size {
		return r.truncated(have)
	}
	body := r.in.bytes()[headerLen:r.size]
	err = r.unpack.open(h, body, origin{offset: r.in.offset})
	r.takeLost()
	if err != nil {
		r.suspect = true
		r.rejected += r.size + r.unpack.zlib.out.Len()
		return r.damage(err)
	}
	r.rejected = 0
	return nil
}

// find moves to the next valid header. If other bytes come before it, find returns an error,
// and the next call skips them.
func (r *Reader) find() (header, error) {
	for r.in.fill(headerLen) > 0 {
		h, err := parseHeader(r.in.bytes())
		if err == nil {
			r.lost = false
			return h, nil
		}
		if b := r.in.bytes(); r.in.err == io.EOF && len(b) < headerLen && strings.HasPrefix(Magic, string(b[:min(len(b), len(Magic))])) {
			err = fmt.Errorf("a header of %d bytes ends after %d: %w", headerLen, len(b), io.ErrUnexpectedEOF)
		}
		if !r.lost {
			r.lost = true
			return header{}, r.damage(err)
		}
		r.skip()
	}
	return header{}, r.end()
}

// skip discards the bytes before the next magic, but at least one byte.
func (r *Reader) skip() {
	b := r.in.bytes()
	if i := bytes.Index(b[1:], []byte(Magic)); i >= 0 {
		r.in.discard(1 + i)
		return
	}
	r.in.discard(max(1, len(b)-len(Magic)+1))
}

// truncated reports a container of which only have bytes exist: the stream was truncated,
// or the length is wrong.
func (r *Reader) truncated(have int) error {
	if r.in.err != io.EOF {
		return r.end()
	}
	damage := r.damage(fmt.Errorf("a container of %d bytes ends after %d: %w", r.size, have, io.ErrUnexpectedEOF))
	r.size = len(Magic)
	r.lost = true
	if r.rejected += have; r.rejected > maxRejected {
		r.size, r.rejected = have, 0
	}
	return damage
}

// discardContainer discards the current container or, if its length is not plausible, only
// its magic.
func (r *Reader) discardContainer() {
	if r.suspect && !r.lengthIsPlausible() {
		r.size = len(Magic)
		r.lost = true
	}
	r.in.discard(r.size)
	r.size, r.suspect = 0, false
}

// lengthIsPlausible reports whether a header or the end of the stream follows a container
// that could not be parsed.
func (r *Reader) lengthIsPlausible() bool {
	if r.rejected > maxRejected {
		r.rejected = 0
		return true
	}
	if r.in.fill(r.size+headerLen) == r.size {
		return true
	}
	_, err := parseHeader(r.in.bytes()[r.size:])
	return err == nil
}

// takeLost moves the sets of fragments that the reassembly dropped to pending, as errors.
func (r *Reader) takeLost() {
	for _, lost := range r.unpack.fragments.lost {
		r.pending = append(r.pending, &DamageError{Offset: lost.offset, Err: lost.err})
	}
	r.unpack.fragments.lost = r.unpack.fragments.lost[:0]
}

// end returns the error of Next at the end of the stream: that of the stream, or one for
// each incomplete set of fragments, and then io.EOF.
func (r *Reader) end() error {
	if r.in.err != io.EOF {
		return fmt.Errorf("reading NMSG at offset %d: %w", r.in.offset, r.in.err)
	}
	r.unpack.fragments.dropAll()
	r.takeLost()
	if len(r.pending) == 0 {
		return io.EOF
	}
	return r.takePending()
}

func (r *Reader) takePending() *DamageError {
	damage := r.pending[0]
	r.pending = r.pending[1:]
	return damage
}

// window is a buffer on a stream. It grows with the bytes that were read, never by the
// length that a header states.
type window struct {
	r          io.Reader
	buf        []byte
	start, end int
	offset     int64 // of start in the stream
	err        error // that ended the stream
}

const (
	firstWindow   = 64 << 10
	maxEmptyReads = 100
)

// bytes returns the bytes that were read and not discarded.
func (w *window) bytes() []byte { return w.buf[w.start:w.end] }

// fill reads until the window has n bytes or the stream has ended. It returns the number of
// bytes in the window.
func (w *window) fill(n int) int {
	for w.end-w.start < n && w.err == nil {
		w.makeRoom()
		w.read()
	}
	return w.end - w.start
}

func (w *window) discard(n int) {
	w.start += n
	w.offset += int64(n)
}

// makeRoom makes room at the end of the buffer. It moves the bytes to the front only if that
// frees half of the buffer, because moving many bytes for little room would take quadratic
// time.
func (w *window) makeRoom() {
	switch {
	case w.end < len(w.buf):
	case w.start == w.end:
		if w.buf == nil {
			w.buf = make([]byte, firstWindow)
		}
		w.start, w.end = 0, 0
	case w.start >= len(w.buf)/2:
		w.end = copy(w.buf, w.bytes())
		w.start = 0
	default:
		buf := make([]byte, 2*len(w.buf))
		w.end = copy(buf, w.bytes())
		w.buf, w.start = buf, 0
	}
}

func (w *window) read() {
	for range maxEmptyReads {
		n, err := w.r.Read(w.buf[w.end:])
		w.end += n
		w.err = err
		if n > 0 || err != nil {
			return
		}
	}
	w.err = io.ErrNoProgress
}
