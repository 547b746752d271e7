// Package jsonl is the format of records as JSON, one object a line: the lines that cat --json
// prints for the NMSG message of the record.
//
// The package does not know where lines go.
package jsonl

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/dnstap-pdns/dnstap-pdns/forward"
	"github.com/dnstap-pdns/dnstap-pdns/forward/nmsg"
	"github.com/dnstap-pdns/dnstap-pdns/forward/nmsg/nmsgjson"
	"github.com/dnstap-pdns/dnstap-pdns/transform"
)

// maxLine is the length in bytes of the longest line. A response of 64 KiB can make a much longer
// one: every name may be compressed to two bytes.
const maxLine = 1 << 20

// Format is the format in which each unit is a line with one NMSG message.
type Format struct {
	Message    nmsg.MessageType
	Resolution time.Duration // the times of records are truncated to it; 0: they are not
}

// Accepts reports whether the message type can represent the record.
func (f Format) Accepts(r *transform.Record) bool { return f.Message.Accepts(r) }

// An encoder is the memory that encodes a record.
type encoder struct {
	message []byte
	json    nmsgjson.Encoder
}

// encoders keeps memory of encoders, because a Format is a value that several lanes use
// concurrently.
var encoders = &sync.Pool{New: func() any { return new(encoder) }}

// Append appends a line.
func (f Format) Append(dst []byte, r *transform.Record, ids nmsg.IDs) ([]byte, error) {
	e := encoders.Get().(*encoder)
	truncated := *r
	truncated.Truncate(f.Resolution)
	line, err := e.append(dst, f.Message, ids, &truncated)
	if err != nil {
		return dst, err
	}
	if len(line)-len(dst) > maxLine {
		return dst, fmt.Errorf("a JSON line of more than %d bytes: %w", maxLine, nmsg.ErrTooBig) // e is not used again: its memory has grown
	}
	encoders.Put(e)
	return line, nil
}

func (e *encoder) append(dst []byte, t nmsg.MessageType, ids nmsg.IDs, r *transform.Record) ([]byte, error) {
	b, m, err := nmsg.AppendMessage(e.message[:0], t, ids, r)
	if err != nil {
		return dst, err
	}
	e.message = b
	return e.json.Append(dst, m)
}

// NewFramer returns the framer of lines. A line has no limit but maxLine.
func (Format) NewFramer(int) forward.Framer { return forward.OnePerUnit{} }

// Magic returns the beginning of an object.
func (Format) Magic() []byte { return []byte{'{'} }

// Whole returns the length of the whole lines at the start of a file.
func (Format) Whole(r io.Reader) (int64, error) { return whole(r) }

// whole returns the length of the whole lines at the start of a file. A line is whole if it ends
// and is JSON: a file may have zeros in place of octets that were not on disk.
func whole(r io.Reader) (int64, error) {
	in := bufio.NewScanner(r)
	in.Buffer(nil, maxLine)
	in.Split(wholeLine)
	var n int64
	for in.Scan() && json.Valid(in.Bytes()) {
		n += int64(len(in.Bytes()))
	}
	if err := in.Err(); !errors.Is(err, bufio.ErrTooLong) {
		return n, err
	}
	return n, nil
}

// wholeLine is a bufio.SplitFunc for lines with their ends.
func wholeLine(b []byte, _ bool) (advance int, line []byte, err error) {
	end := bytes.IndexByte(b, '\n') + 1
	if end == 0 {
		return 0, nil, nil
	}
	return end, b[:end], nil
}
