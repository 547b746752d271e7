package fstrm

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"io"

	dnstap "github.com/dnstap/golang-dnstap"
	"google.golang.org/protobuf/proto"
)

// maxFrame is the length in bytes of the longest frame that Whole accepts, which is that of the
// Frame Streams libraries. The frames of this package are shorter.
const maxFrame = 1 << 20

// Magic returns the START frame.
func (f Format) Magic() []byte { return f.Begin() }

// Whole returns the length of START and of the whole data frames after it. A frame is whole if it
// contains a Dnstap: a file may have zeros in place of octets that were not on disk.
func (f Format) Whole(r io.Reader) (int64, error) {
	in := bufio.NewReader(r)
	start := f.Begin()
	head := make([]byte, len(start))
	if _, err := io.ReadFull(in, head); err != nil || !bytes.Equal(head, start) {
		return 0, exceptEnd(err)
	}
	whole := int64(len(start))
	var frame []byte
	for {
		var err error
		if frame, err = readFrame(in, frame); err != nil || !isDnstap(frame) {
			return whole, exceptEnd(err)
		}
		whole += lengthLen + int64(len(frame))
	}
}

// readFrame reads a data frame into the memory of b. It returns an empty frame for a control frame
// or a length that no data frame has.
func readFrame(r io.Reader, b []byte) ([]byte, error) {
	var length [lengthLen]byte
	if _, err := io.ReadFull(r, length[:]); err != nil {
		return nil, err
	}
	n := binary.BigEndian.Uint32(length[:])
	if n > maxFrame {
		return nil, nil
	}
	if b = b[:0]; int(n) > cap(b) {
		b = make([]byte, n)
	}
	_, err := io.ReadFull(r, b[:n])
	return b[:n], err
}

func isDnstap(frame []byte) bool {
	var d dnstap.Dnstap
	return len(frame) > 0 && proto.Unmarshal(frame, &d) == nil && d.GetType() == dnstap.Dnstap_MESSAGE && d.Message != nil
}

// exceptEnd returns err, or nil if it is the end of the stream.
func exceptEnd(err error) error {
	if err == io.EOF || errors.Is(err, io.ErrUnexpectedEOF) {
		return nil
	}
	return err
}
