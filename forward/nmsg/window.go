package nmsg

import "io"

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
