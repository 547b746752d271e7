package forward

import (
	"encoding/binary"

	"github.com/dnstap-pdns/dnstap-pdns/forward/nmsg"
	"github.com/dnstap-pdns/dnstap-pdns/transform"
)

// A Format is the format in which a sink sends records. It is a comparable value:
// sinks with equal formats and IDs share one encoding of each record.
type Format interface {
	// Accepts reports whether the format can represent the record. Other records are
	// counted as filtered.
	Accepts(r *transform.Record) bool

	// Append appends the encoded record to dst. An error states that the record is too
	// big for the format; then dst is returned unchanged. Only framers of the same
	// format read the result.
	Append(dst []byte, r *transform.Record, ids nmsg.IDs) ([]byte, error)

	// NewFramer returns a framer that fills units up to limit bytes.
	NewFramer(limit int) Framer
}

// NMSG is the format of containers with payloads of one message type.
type NMSG struct{ Message nmsg.MessageType }

// Accepts reports whether the message type can represent the record.
func (f NMSG) Accepts(r *transform.Record) bool { return f.Message.Takes(r) }

// crcLen is the length in bytes of the checksum that follows each encoded payload. The
// framer separates them: in a container all checksums follow all payloads.
const crcLen = 4

// Append appends the record's payload and its checksum.
func (f NMSG) Append(dst []byte, r *transform.Record, ids nmsg.IDs) ([]byte, error) {
	b, p, err := nmsg.AppendPayload(dst, f.Message, ids, r)
	if err != nil {
		return dst, err
	}
	return binary.LittleEndian.AppendUint32(b, p.CRC), nil
}

// NewFramer returns a framer that makes containers.
func (f NMSG) NewFramer(limit int) Framer { return &containers{limit: limit} }
