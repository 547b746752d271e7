package nmsg

import (
	"bytes"
	"fmt"
	"io"
)

// DamageError says that a part of a stream could not be read.
type DamageError struct {
	Offset int64 // in the stream, of the container, or of the bytes where one was expected
	Err    error
}

// Error says where, and what is wrong there.
func (e *DamageError) Error() string { return fmt.Sprintf("at offset %d: %v", e.Offset, e.Err) }

// Unwrap returns what is wrong.
func (e *DamageError) Unwrap() error { return e.Err }

// Reader reads the messages of an NMSG file or pipe, one payload after the other.
//
// Damage costs what is damaged: Next reports it once and goes on. The length of a
// container that cannot be parsed is used only if another container follows there;
// otherwise the reader looks for the next header from the damaged container's start.
type Reader struct {
	in      window
	unpack  unpacker
	pending []*DamageError

	size    int  // of the container at hand, header included; 0: none
	suspect bool // it could not be parsed: its length may be wrong
	lost    bool // between containers, and damage has been reported for it
	wasted  int  // bytes parsed in vain since a container was whole
}

// maxWasted bounds the work on containers that overlap each other: after as many bytes
// parsed in vain, a length is used unchecked.
const maxWasted = 2 * maxBody

// NewReader returns a Reader on r, which it buffers: it may read beyond the message
// at hand, but never waits for more than that message needs.
func NewReader(r io.Reader) *Reader { return &Reader{in: window{r: r}} }

// OnGap has report called whenever a container's sequence number shows that others
// before it are missing; see [Gap].
func (r *Reader) OnGap(report func(Gap)) { r.unpack.sequences.report = report }

// Next returns the next message. A *DamageError reports what could not be read; the
// next call goes on after it. At the end the error is io.EOF; any other is the
// stream's own, and final.
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

// advance leaves the container at hand and opens the next.
func (r *Reader) advance() error {
	r.leave()
	h, err := r.find()
	if err != nil {
		return err
	}
	r.size = headerLen + h.length
	if have := r.in.fill(r.size); have < r.size {
		return r.cutOff(have)
	}
	body := r.in.bytes()[headerLen:r.size]
	err = r.unpack.open(h, body, origin{offset: r.in.offset})
	r.takeLost()
	if err != nil {
		r.suspect = true
		r.wasted += r.size + r.unpack.zlib.out.Len()
		return r.damage(err)
	}
	r.wasted = 0
	return nil
}

// find moves to the next plausible header. Other bytes are reported, once, before it
// looks further.
func (r *Reader) find() (header, error) {
	for r.in.fill(headerLen) > 0 {
		h, err := parseHeader(r.in.bytes())
		if err == nil {
			r.lost = false
			return h, nil
		}
		if !r.lost {
			r.lost = true
			return header{}, r.damage(err)
		}
		r.skip()
	}
	return header{}, r.end()
}

// skip discards what no header begins in, and at least one byte.
func (r *Reader) skip() {
	b := r.in.bytes()
	if i := bytes.Index(b[1:], []byte(magic)); i >= 0 {
		r.in.discard(1 + i)
		return
	}
	r.in.discard(max(1, len(b)-len(magic)+1))
}

// cutOff reports a container of which only have bytes are there: the stream was cut, or
// the length is wrong.
func (r *Reader) cutOff(have int) error {
	if r.in.err != io.EOF {
		return r.end()
	}
	damage := r.damage(fmt.Errorf("a container of %d bytes ends after %d: %w", r.size, have, io.ErrUnexpectedEOF))
	r.size = len(magic)
	r.lost = true
	if r.wasted += have; r.wasted > maxWasted {
		r.size, r.wasted = have, 0
	}
	return damage
}

// leave moves after the container at hand or, if its length is in doubt, only after its
// magic.
func (r *Reader) leave() {
	if r.suspect && !r.trusted() {
		r.size = len(magic)
		r.lost = true
	}
	r.in.discard(r.size)
	r.size, r.suspect = 0, false
}

// trusted reports whether the length of a container that could not be parsed is to
// be believed: it leads to another container, or to the stream's end.
func (r *Reader) trusted() bool {
	if r.wasted > maxWasted {
		r.wasted = 0
		return true
	}
	if r.in.fill(r.size+headerLen) == r.size {
		return true
	}
	_, err := parseHeader(r.in.bytes()[r.size:])
	return err == nil
}

// takeLost queues a report for each set of fragments that was given up.
func (r *Reader) takeLost() {
	for _, lost := range r.unpack.fragments.lost {
		r.pending = append(r.pending, &DamageError{Offset: lost.offset, Err: lost.err})
	}
	r.unpack.fragments.lost = r.unpack.fragments.lost[:0]
}

// end is what Next returns at the stream's end. Fragments that still wait for
// others are reported before io.EOF is.
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

// Whole reads a stream as far as it consists of whole containers, and returns how
// many bytes that is: what is good of a file whose writer was cut off. A container
// is whole if all of it can be read, and if it is as a [Container] makes it: no
// fragment, not empty, each payload with its CRC. An error is the stream's own.
func Whole(r io.Reader) (int64, error) {
	in := window{r: r}
	var u unpacker
	for {
		size := whole(&in, &u)
		if in.err != nil && in.err != io.EOF {
			return 0, fmt.Errorf("reading NMSG at offset %d: %w", in.offset, in.err)
		}
		if size == 0 {
			return in.offset, nil
		}
		in.discard(size)
	}
}

// whole is the size of the container that comes next, 0 if it is not whole.
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

// window is the part of a stream that is being looked at. It grows with what has
// been read, never with what a length promises.
type window struct {
	r          io.Reader
	buf        []byte
	start, end int
	offset     int64 // of start in the stream
	err        error // what ended the stream
}

const (
	firstWindow   = 64 << 10
	maxEmptyReads = 100
)

// bytes returns what has been read and not discarded.
func (w *window) bytes() []byte { return w.buf[w.start:w.end] }

// fill reads until n bytes are there or the stream has ended, and returns how many
// are there.
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

// makeRoom moves what is there to the front only where that frees half the buffer:
// moving much to gain little, again and again, would be quadratic.
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
