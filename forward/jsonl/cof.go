package jsonl

import (
	"fmt"
	"io"
	"time"

	"github.com/dnstap-pdns/dnstap-pdns/forward"
	"github.com/dnstap-pdns/dnstap-pdns/forward/cof"
	"github.com/dnstap-pdns/dnstap-pdns/forward/nmsg"
	"github.com/dnstap-pdns/dnstap-pdns/transform/rrset"
)

// COF is the format in which each unit is an RRset in the Common Output Format: one line, or in
// CIRCL's profile one for each record. The format has no field for the event, so it represents
// expirations only: their counts contain the insertions.
type COF struct {
	Profile    cof.Profile
	Resolution time.Duration // times are truncated to multiples of this; up to 1 s: they are not
}

// AppendRRset appends the lines of the RRset, if it has any.
func (f COF) AppendRRset(dst []byte, a *rrset.Aggregate, ids nmsg.IDs) ([]byte, error) {
	if a.Event != rrset.Expiration {
		return dst, nil
	}
	truncated := *a
	truncated.Truncate(f.Resolution)
	b := cof.Append(dst, f.Profile, ids.Source, &truncated)
	if len(b)-len(dst) > maxLine {
		return dst, fmt.Errorf("an RRset of more than %d bytes as JSON: %w", maxLine, nmsg.ErrTooBig)
	}
	return b, nil
}

// NewFramer returns the framer of lines. The lines of an RRset have no limit but maxLine.
func (COF) NewFramer(int) forward.Framer { return forward.OnePerUnit{} }

// Magic returns the beginning of an object.
func (COF) Magic() []byte { return Format{}.Magic() }

// Whole returns the length of the whole lines at the start of a file.
func (COF) Whole(r io.Reader) (int64, error) { return whole(r) }
