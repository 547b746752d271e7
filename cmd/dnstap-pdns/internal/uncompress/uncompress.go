// Package uncompress reads files that are compressed with gzip, bzip2, zstd or xz as
// if they were not, and any others as they are. It tells them by their first bytes,
// which a pipe has and a name may not.
//
// What it takes of memory is bounded, however hostile the file. It knows nothing of
// what is compressed.
package uncompress

import (
	"bufio"
	"bytes"
	"compress/bzip2"
	"compress/gzip"
	"errors"
	"fmt"
	"io"

	"github.com/klauspost/compress/zstd"
)

// The most history that a file may require, in bytes: of zstd what the tool allows by
// default, of xz what xz -9 requires. Gzip needs 32 KiB, bzip2 900 kB.
const (
	zstdWindow   = 128 << 20
	xzDictionary = 64 << 20
)

// A method is one way to compress.
type method struct {
	name string
	is   func(begins []byte) bool
	open func(io.Reader) (io.Reader, func(), error) // and what is to be called in the end
}

// methods are those that are read.
func methods() []method {
	return []method{
		{"gzip", isGzip, openGzip},
		{"bzip2", isBzip2, openBzip2},
		{"zstd", isZstd, openZstd},
		{"xz", isXZ, openXZ},
	}
}

// isGzip: RFC 1952, section 2.3.1; the third byte is deflate, of which alone there is
// any use.
func isGzip(b []byte) bool { return bytes.HasPrefix(b, []byte{0x1f, 0x8b, 8}) }

func isBzip2(b []byte) bool {
	return len(b) > 3 && string(b[:3]) == "BZh" && b[3] >= '1' && b[3] <= '9' // the size of its blocks
}

// isZstd: RFC 8878, sections 3.1.1 and 3.1.2; a file may begin with a frame that is
// skipped.
func isZstd(b []byte) bool {
	return bytes.HasPrefix(b, []byte{0x28, 0xb5, 0x2f, 0xfd}) ||
		len(b) > 3 && b[0]&0xf0 == 0x50 && bytes.HasPrefix(b[1:], []byte{0x2a, 0x4d, 0x18})
}

func isXZ(b []byte) bool { return bytes.HasPrefix(b, []byte("\xfd7zXZ\x00")) }

func openGzip(r io.Reader) (io.Reader, func(), error) {
	g, err := gzip.NewReader(r)
	return g, func() {}, err
}

func openBzip2(r io.Reader) (io.Reader, func(), error) {
	return wholeBlocks{bzip2.NewReader(r)}, func() {}, nil
}

// wholeBlocks keeps back what compress/bzip2 makes up, from zeros, of a block that is
// cut off, and returns beside the error.
type wholeBlocks struct{ from io.Reader }

func (w wholeBlocks) Read(p []byte) (int, error) {
	n, err := w.from.Read(p)
	if err != nil {
		return 0, err
	}
	return n, nil
}

func openZstd(r io.Reader) (io.Reader, func(), error) {
	d, err := zstd.NewReader(r, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true),
		zstd.WithDecoderMaxWindow(zstdWindow), zstd.WithDecoderMaxMemory(zstdWindow))
	if err != nil {
		return nil, nil, err
	}
	return d, d.Close, nil
}

func openXZ(r io.Reader) (io.Reader, func(), error) {
	x, err := newXZReader(r)
	return x, func() {}, err
}

// methodOf returns how what begins so is compressed, or nil.
func methodOf(begins []byte) *method {
	for _, m := range methods() {
		if m.is(begins) {
			return &m
		}
	}
	return nil
}

// A Reader is a file as it was before it was compressed.
type Reader struct {
	*bufio.Reader
	close func()
}

// Close gives back what uncompressing took; the file stays open.
func (r *Reader) Close() { r.close() }

// New returns what comes from r, uncompressed. It has read the beginning of r when it
// returns. Errors of r, from here or from the Reader, stay recognisable. Data that is cut
// off or damaged is an error after everything before it was read, of xz after the last
// whole chunk; data that is compressed twice is an error at once.
func New(r io.Reader) (*Reader, error) {
	buffered := bufio.NewReader(r)
	m, err := peek(buffered)
	if err != nil || m == nil {
		return &Reader{buffered, func() {}}, err
	}
	from, done, err := m.open(buffered)
	if err != nil {
		return nil, m.explain(err)
	}
	inside := bufio.NewReader(&uncompressed{m, from})
	again, err := peek(inside)
	if err == nil && again != nil {
		err = fmt.Errorf("is compressed twice, with %s inside of %s: uncompress it once before", again.name, m.name)
	}
	if err != nil {
		done()
		return nil, err
	}
	return &Reader{inside, done}, nil
}

const longestMagic = 6

// peek looks at what comes next. Less than a method's first bytes is none, and no
// error: whoever reads meets it.
func peek(r *bufio.Reader) (*method, error) {
	begins, err := r.Peek(longestMagic)
	if len(begins) < longestMagic && err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	return methodOf(begins), nil
}

// uncompressed says of each error what it was about.
type uncompressed struct {
	method *method
	from   io.Reader
}

func (u *uncompressed) Read(p []byte) (int, error) {
	n, err := u.from.Read(p)
	if err == nil || err == io.EOF {
		return n, err
	}
	return n, u.method.explain(err)
}

// explain returns an error that is no io.EOF and no io.ErrUnexpectedEOF: those would
// mean the file's end to whoever reads what is in it.
func (m *method) explain(err error) error {
	switch {
	case isEnd(err):
		return fmt.Errorf("the %s data is cut off", m.name)
	case errors.Is(err, zstd.ErrWindowSizeExceeded), errors.Is(err, zstd.ErrDecoderSizeExceeded), errors.Is(err, errXZDictionary):
		return fmt.Errorf("the %s data takes too much memory to be uncompressed here; use %s itself before: %w", m.name, m.name, err)
	}
	return fmt.Errorf("uncompressing %s: %w", m.name, err)
}
