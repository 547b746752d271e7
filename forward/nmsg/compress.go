package nmsg

import (
	"bytes"
	"compress/zlib"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// A compressed body is its inflated length, 4 bytes big-endian, and one zlib
// stream.
const inflatedLen = 4

// Deflater compresses containers. The zero value is ready to use. It keeps the compressor
// between calls.
type Deflater struct {
	w   *zlib.Writer
	out appender
}

type appender struct{ b []byte }

func (a *appender) Write(p []byte) (int, error) {
	a.b = append(a.b, p...)
	return len(p), nil
}

// Append appends a sealed container to buf in compressed form. After an error it returns
// buf unchanged.
func (d *Deflater) Append(buf, container []byte) ([]byte, error) {
	h, err := parseHeader(container)
	if err != nil {
		return buf, fmt.Errorf("compressing a container: %w", err)
	}
	if h.flags != 0 {
		return buf, fmt.Errorf("compressing a container: its flags are %#x already", h.flags)
	}
	body := container[headerLen:]
	d.out.b = appendHeader(buf, flagZlib)
	d.out.b = binary.BigEndian.AppendUint32(d.out.b, uint32(len(body)))
	err = d.deflate(body)
	b := d.out.b
	d.out.b = nil
	if err != nil {
		return buf, fmt.Errorf("compressing a container: %w", err)
	}
	putLength(b[len(buf):])
	return b, nil
}

func (d *Deflater) deflate(body []byte) error {
	if d.w == nil {
		d.w = zlib.NewWriter(&d.out)
	} else {
		d.w.Reset(&d.out)
	}
	if _, err := d.w.Write(body); err != nil {
		return err
	}
	return d.w.Close()
}

// inflater decompresses the bodies of containers. Its result is valid until the next call.
type inflater struct {
	in  bytes.Reader
	z   io.ReadCloser // a zlib.Resetter too
	out bytes.Buffer
}

var errInflatedLength = errors.New("the inflated length differs from the length that the container states")

// inflate returns the inflated body, of at most maxBody bytes. It does not allocate the
// stated length in advance, because that may be wrong.
func (i *inflater) inflate(body []byte) ([]byte, error) {
	if len(body) < inflatedLen {
		return nil, fmt.Errorf("zlib: %w", io.ErrUnexpectedEOF)
	}
	size := binary.BigEndian.Uint32(body)
	if size > maxBody {
		return nil, fmt.Errorf("zlib: %d bytes inflated: at most %d are read", size, maxBody)
	}
	i.in.Reset(body[inflatedLen:])
	if err := i.reset(); err != nil {
		return nil, err
	}
	i.out.Reset()
	n, err := io.Copy(&i.out, io.LimitReader(i.z, int64(size)+1))
	switch {
	case err != nil:
		return nil, fmt.Errorf("inflating: %w", err)
	case n != int64(size):
		return nil, errInflatedLength
	}
	return i.out.Bytes(), nil
}

func (i *inflater) reset() error {
	if i.z == nil {
		z, err := zlib.NewReader(&i.in)
		if err != nil {
			return fmt.Errorf("inflating: %w", err)
		}
		i.z = z
		return nil
	}
	if err := i.z.(zlib.Resetter).Reset(&i.in, nil); err != nil {
		return fmt.Errorf("inflating: %w", err)
	}
	return nil
}
