package file

import (
	"bytes"
	"errors"
	"io"

	"github.com/dnstap-pdns/dnstap-pdns/forward"
)

// A format is what this package knows of the format of a sink.
type format struct {
	begin, end []byte             // of each file; empty: none
	units      forward.WholeUnits // nil: where units end is unknown
}

func newFormat(f forward.Format) (known format) {
	if e, ok := f.(forward.Enclosed); ok {
		known.begin, known.end = e.Begin(), e.End()
	}
	known.units, _ = f.(forward.WholeUnits)
	return known
}

// isEmpty reports whether a file in which the whole units end at size has none.
func (f *format) isEmpty(size int64) bool { return size <= int64(len(f.begin)) }

// headLen is more bytes than the zeros at the start of a file of any format.
const headLen = 64

// isForeign reports whether an unfinished file was written in another format, before the
// configuration changed. A file that begins with zeros is not foreign: its first bytes were not
// on disk when the power was cut.
func (f *format) isForeign(r io.ReaderAt) (bool, error) {
	if f.units == nil {
		return true, nil
	}
	head := make([]byte, headLen)
	n, err := r.ReadAt(head, 0)
	if err != nil && !errors.Is(err, io.EOF) {
		return false, err
	}
	head = head[:n]
	magic := f.units.Magic()
	magic = magic[:min(n, len(magic))]
	zeros := len(bytes.Trim(head, "\x00")) == 0
	return !zeros && !bytes.HasPrefix(head, magic), nil
}
