package fstrm

import (
	"encoding/binary"
	"time"

	"github.com/dnstap-pdns/dnstap-pdns/forward"
	"github.com/dnstap-pdns/dnstap-pdns/forward/nmsg"
	"github.com/dnstap-pdns/dnstap-pdns/transform"
)

// Format is the format in which each unit is a data frame with one Dnstap.
type Format struct {
	Identity, Version string        // of the sensor; empty: absent
	Resolution        time.Duration // the times of records are truncated to it; 0: they are not
}

// Accepts reports whether a Dnstap can represent the record.
func (Format) Accepts(r *transform.Record) bool { return nmsg.DNSTap.Accepts(r) }

// lengthLen is the size in bytes of the length of a data frame.
const lengthLen = 4

// Append appends a data frame. A Dnstap has no ids.
func (f Format) Append(dst []byte, r *transform.Record, _ nmsg.IDs) ([]byte, error) {
	truncated := *r
	truncated.Truncate(f.Resolution)
	start := len(dst)
	b, err := nmsg.AppendDNSTap(append(dst, make([]byte, lengthLen)...), f.Identity, f.Version, &truncated)
	if err != nil {
		return dst, err
	}
	binary.BigEndian.PutUint32(b[start:], uint32(len(b)-start-lengthLen))
	return b, nil
}

// NewFramer returns the framer of frames. A frame has no limit but that of a DNS message.
func (Format) NewFramer(int) forward.Framer { return forward.OnePerUnit{} }
