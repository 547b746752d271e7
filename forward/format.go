package forward

import (
	"encoding/binary"
	"io"
	"time"

	"github.com/dnstap-pdns/dnstap-pdns/forward/nmsg"
	"github.com/dnstap-pdns/dnstap-pdns/transform"
	"github.com/dnstap-pdns/dnstap-pdns/transform/rrset"
)

// A Format is the format in which a sink sends records or RRsets: a [RecordFormat] or an
// [RRsetFormat]. It is a comparable value: sinks with equal formats share one encoding of each
// record or RRset.
type Format interface {
	// NewFramer returns a framer that fills units up to limit bytes.
	NewFramer(limit int) Framer
}

// A RecordFormat is a format for records, of a sink that lanes feed.
type RecordFormat interface {
	Format

	// Accepts reports whether the format can represent the record. Other records are
	// counted as filtered.
	Accepts(r *transform.Record) bool

	// Append appends the encoded record to dst. It may change r while it runs. An error
	// states that the record is too big for the format; then dst is returned unchanged.
	// Only framers of the same format read the result.
	Append(dst []byte, r *transform.Record, ids nmsg.IDs) ([]byte, error)
}

// An RRsetFormat is a format for RRsets, of a sink that an aggregate sink feeds.
type RRsetFormat interface {
	Format

	// AppendRRset appends the encoded RRset to dst. If it appends nothing, the format cannot represent
	// the RRset, which is counted as filtered. An error states that the RRset is too big for the
	// format; then dst is returned unchanged. Only framers of the same format read the result.
	AppendRRset(dst []byte, a *rrset.Aggregate, ids nmsg.IDs) ([]byte, error)
}

// An Enclosed is a format whose files and streams begin and end with bytes that belong to no
// unit.
type Enclosed interface {
	Begin() []byte
	End() []byte
}

// A WholeUnits is a format that can find the last whole unit of a file whose writer was
// interrupted.
type WholeUnits interface {
	// Magic returns the bytes with which every file of the format begins.
	Magic() []byte

	// Whole returns the length in bytes of the whole units at the start of a file, with the
	// bytes of Begin if the format is Enclosed. An error is that of r.
	Whole(r io.Reader) (int64, error)
}

// NMSG is the format of containers with payloads of one message type.
type NMSG struct {
	Message    nmsg.MessageType
	Resolution time.Duration // times are truncated to multiples of this; 0: not truncated
}

// MessageName returns the name of the message type, which is also that of the attribute message.
func (f NMSG) MessageName() string { return f.Message.String() }

// Accepts reports whether the message type can represent the record.
func (f NMSG) Accepts(r *transform.Record) bool { return f.Message.Accepts(r) }

// crcLen is the length in bytes of the checksum that follows each encoded payload. The
// framer separates them: in a container all checksums follow all payloads.
const crcLen = 4

// Append appends the record's payload and its checksum.
func (f NMSG) Append(dst []byte, r *transform.Record, ids nmsg.IDs) ([]byte, error) {
	query, response := r.QueryTime, r.ResponseTime
	r.Truncate(f.Resolution)
	b, p, err := nmsg.AppendPayload(dst, f.Message, ids, r)
	r.QueryTime, r.ResponseTime = query, response // other sinks get the record too
	return appendCRC(dst, b, p, err)
}

// appendCRC completes b, which is dst with a payload, unless err is an error.
func appendCRC(dst, b []byte, p nmsg.Payload, err error) ([]byte, error) {
	if err != nil {
		return dst, err
	}
	return binary.LittleEndian.AppendUint32(b, p.CRC), nil
}

// Magic returns the magic of a container.
func (NMSG) Magic() []byte { return []byte(nmsg.Magic) }

// Whole returns the length of the whole containers at the start of a file.
func (NMSG) Whole(r io.Reader) (int64, error) { return nmsg.Whole(r) }

// NewFramer returns a framer that makes containers.
func (NMSG) NewFramer(limit int) Framer { return &containers{limit: limit} }

// DNSDedupe is the format of containers with RRsets: payloads of the message type SIE:dnsdedupe.
type DNSDedupe struct {
	Resolution time.Duration // times are truncated to multiples of this; up to 1 s: they are not
	Buckets    bool          // all owner names in one container have the same [nmsg.Bucket]
}

// MessageName returns the name of the message type.
func (DNSDedupe) MessageName() string { return "dnsdedupe" }

// AppendRRset appends the RRset's payload and its checksum.
func (f DNSDedupe) AppendRRset(dst []byte, a *rrset.Aggregate, ids nmsg.IDs) ([]byte, error) {
	seen := a.Sighting
	a.Truncate(f.Resolution)
	b, p, err := nmsg.AppendDNSDedupe(dst, ids, a)
	a.Sighting = seen // other sinks get the RRset too
	b, err = appendCRC(dst, b, p, err)
	if f.Buckets && err == nil {
		b = appendBucket(b, a.Name)
	}
	return b, err
}

// Magic returns the magic of a container.
func (DNSDedupe) Magic() []byte { return []byte(nmsg.Magic) }

// Whole returns the length of the whole containers at the start of a file.
func (DNSDedupe) Whole(r io.Reader) (int64, error) { return nmsg.Whole(r) }

// NewFramer returns a framer that makes containers.
func (f DNSDedupe) NewFramer(limit int) Framer {
	if f.Buckets {
		return &buckets{limit: limit}
	}
	return &containers{limit: limit}
}
