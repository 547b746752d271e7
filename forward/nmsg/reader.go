package nmsg

import (
	"bytes"
	"fmt"
	"io"
)

// DamageError says that a part of a stream could not be read.
type DamageError struct {
	Offset int64 // in the stream, of the container (or what stands in its place)
	Err    error
}

// Error says where, and what is wrong there.
func (e *DamageError) Error() string { return fmt.Sprintf("at offset %d: %v", e.Offset, e.Err) }

// Unwrap returns what is wrong.
func (e *DamageError) Unwrap() error { return e.Err }

// Reader reads the messages of an NMSG file or pipe, one payload after the other.
//
// Damage costs what is damaged: Next reports it once and goes on. Behind a
// container that cannot be parsed the reader believes its length only if another
// container stands there, and else looks for the next header from where it began.
type Reader struct {
	in      window
	unpack  unpacker
	pending []*DamageError

	size    int  // of the container at hand, header included; 0: none
	suspect bool // it could not be parsed: its length may be wrong
	astray  bool // between containers, and damage has been reported for it
	wasted  int  // bytes parsed in vain since a container was whole
}

// maxWasted bounds the work on containers that overlap each other: when so many
// bytes were parsed in vain, a length is believed as it stands.
const maxWasted = 2 * maxBody

// NewReader returns a Reader on r, which it buffers: it may read beyond the message
// at hand, but never waits for more than that message needs.
func NewReader(r io.Reader) *Reader { return &Reader{in: window{r: r}} }

// OnGap has report called whenever a container's sequence number shows that others
// before it are missing; see [Gap].
func (r *Reader) OnGap(report func(Gap)) { r.unpack.sequences.report = report }

// Next returns the next message. A *DamageError stands for what could not be read;
// the next call goes on behind it. At the end the error is io.EOF; any other is the
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

// find moves to the next plausible header. What stands in its place is reported,
// once, before it looks further.
func (r *Reader) find() (header, error) {
	for r.in.fill(headerLen) > 0 {
		h, err := parseHeader(r.in.bytes())
		if err == nil {
			r.astray = false
			return h, nil
		}
		if !r.astray {
			r.astray = true
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

// cutOff reports a container of which only so many bytes are there: the stream was
// cut, or the length is wrong.
func (r *Reader) cutOff(have int) error {
	if r.in.err != io.EOF {
		return r.end()
	}
	damage := r.damage(fmt.Errorf("a container of %d bytes ends after %d: %w", r.size, have, io.ErrUnexpectedEOF))
	r.size = len(magic)
	r.astray = true
	if r.wasted += have; r.wasted > maxWasted {
		r.size, r.wasted = have, 0
	}
	return damage
}

// leave moves behind the container at hand, or, where that is in doubt, behind its
// magic only.
func (r *Reader) leave() {
	if r.suspect && !r.trusted() {
		r.size = len(magic)
		r.astray = true
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
