// Package uncompress reads files that are compressed with gzip, bzip2, zstd or xz, and
// passes other files through unchanged. It recognises a compression by the first bytes,
// because standard input has no file name.
//
// Its memory is bounded for every input. It does not know what the content is.
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

// The largest history that a file may require, in bytes: for zstd the default limit of
// the tool, for xz what xz -9 requires. Gzip needs 32 KiB, bzip2 900 kB.
const (
	zstdWindow   = 128 << 20
	xzDictionary = 64 << 20
)

// A method is a compression format.
type method struct {
	name string
	is   func(prefix []byte) bool
	open func(io.Reader) (io.Reader, func(), error) // the func frees the decoder
}

// methods returns the supported methods.
func methods() []method {
	return []method{
		{"gzip", isGzip, openGzip},
		{"bzip2", isBzip2, openBzip2},
		{"zstd", isZstd, openZstd},
		{"xz", isXZ, openXZ},
	}
}

// isGzip follows RFC 1952, section 2.3.1. The third byte is the compression method: 8 is
// deflate, the only one in use.
func isGzip(b []byte) bool { return bytes.HasPrefix(b, []byte{0x1f, 0x8b, 8}) }

func isBzip2(b []byte) bool {
	return len(b) > 3 && string(b[:3]) == "BZh" && b[3] >= '1' && b[3] <= '9' // block size
}

// isZstd follows RFC 8878, sections 3.1.1 and 3.1.2. A file may begin with a skippable
// frame.
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

// wholeBlocks omits data that compress/bzip2 returns together with an error: it fills a
// truncated block with zeros.
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

// methodOf returns the method of a file that begins with prefix; nil: none of methods.
func methodOf(prefix []byte) *method {
	for _, m := range methods() {
		if m.is(prefix) {
			return &m
		}
	}
	return nil
}

// A Reader reads the uncompressed content of a file.
type Reader struct {
	*bufio.Reader
	close func()
}

// Close frees the decoder. It does not close the file.
func (r *Reader) Close() { r.close() }

// New returns a Reader of the uncompressed content of r, whose beginning it reads. It
// returns an error if the data is compressed twice. If data is truncated or damaged, the
// Reader returns the content before that (xz: of whole chunks), and then an error. Both
// wrap errors of r.
func New(r io.Reader) (*Reader, error) {
	buffered := bufio.NewReader(r)
	m, err := peek(buffered)
	if err != nil || m == nil {
		return &Reader{buffered, func() {}}, err
	}
	from, free, err := m.open(buffered)
	if err != nil {
		return nil, m.wrap(err)
	}
	content := bufio.NewReader(&methodReader{m, from})
	inner, err := peek(content)
	if err == nil && inner != nil {
		err = fmt.Errorf("is compressed twice, with %s inside of %s: uncompress it once first", inner.name, m.name)
	}
	if err != nil {
		free()
		return nil, err
	}
	return &Reader{content, free}, nil
}

const longestMagic = 6

// peek returns the method of the next bytes without reading them; nil: none of methods. A
// file that is shorter than longestMagic is not an error.
func peek(r *bufio.Reader) (*method, error) {
	prefix, err := r.Peek(longestMagic)
	if len(prefix) < longestMagic && err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	return methodOf(prefix), nil
}

// A methodReader adds the name of the method to errors.
type methodReader struct {
	method *method
	from   io.Reader
}

func (r *methodReader) Read(p []byte) (int, error) {
	n, err := r.from.Read(p)
	if err == nil || err == io.EOF {
		return n, err
	}
	return n, r.method.wrap(err)
}

// wrap adds the name of the method to an error. The result does not wrap io.EOF or
// io.ErrUnexpectedEOF, because a reader would take these for the end of the content.
func (m *method) wrap(err error) error {
	switch {
	case isEnd(err):
		return fmt.Errorf("the %s data is cut off", m.name)
	case errors.Is(err, zstd.ErrWindowSizeExceeded), errors.Is(err, zstd.ErrDecoderSizeExceeded), errors.Is(err, errXZDictionary):
		return fmt.Errorf("the %s data needs too much memory: uncompress it with %s first: %w", m.name, m.name, err)
	}
	return fmt.Errorf("uncompressing %s: %w", m.name, err)
}
