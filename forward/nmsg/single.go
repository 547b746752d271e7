package nmsg

import (
	"errors"
	"fmt"
	"io"
)

// A SingleReader reads the messages of containers that arrive whole and one by one, as in messages
// of Kafka. The zero value is ready. It reuses its memory, of which inflated containers need at most
// 16 MiB.
type SingleReader struct{ unpack unpacker }

var errSingleFragment = errors.New("a fragment of a container")

// Open takes exactly one container of at most [MaxSize] bytes, not a fragment, and borrows it until
// Next returns io.EOF. After an error there are no messages.
func (s *SingleReader) Open(b []byte) error {
	s.unpack.close()
	h, err := parseHeader(b)
	switch {
	case err != nil:
		return err
	case h.flags&flagFragment != 0:
		return errSingleFragment
	case len(b) > MaxSize:
		return fmt.Errorf("a container of %d bytes: at most %d are read", len(b), MaxSize)
	case len(b) < headerLen+h.length:
		return fmt.Errorf("a container of %d bytes ends after %d: %w", headerLen+h.length, len(b), io.ErrUnexpectedEOF)
	case len(b) > headerLen+h.length:
		return fmt.Errorf("%d bytes after the container", len(b)-headerLen-h.length)
	}
	return s.unpack.open(h, b[headerLen:], origin{})
}

// Sequence returns the sequence id of the open container, and its number; ok is false if it lacks
// one of them, or its id is 0.
func (s *SingleReader) Sequence() (id uint64, number uint32, ok bool) {
	q := &s.unpack.sequence
	return q.id, q.number, q.hasID && q.hasNumber && q.id != 0
}

// Next returns the next message of the open container, and io.EOF after the last. Any other error
// concerns only one payload, and the next call continues after it.
func (s *SingleReader) Next() (Message, error) { return s.unpack.payload() }
