package nmsg

import (
	"fmt"
	"io"
	"net/netip"
	"time"
)

// Assembler reads the messages of NMSG datagrams, each of which is a container or a
// fragment, in any order. The zero value is ready to use.
//
//	for {
//		// receive datagram from source
//		a.Add(datagram, time.Now(), source)
//		for {
//			m, err := a.Next()
//			if err == io.EOF {
//				break
//			}
//			// use m, or report err
//		}
//	}
type Assembler struct {
	unpack  unpacker
	pending []error
}

// OnGap sets the function that is called when a sequence number shows that containers are
// missing; see [Gap].
func (a *Assembler) OnGap(report func(Gap)) { a.unpack.sequences.report = report }

// Add takes a datagram that arrived from source at the time now, of any clock that does not
// go backwards. It borrows the datagram until Next returns io.EOF. Messages of the previous
// datagram that Next has not returned are lost. Fragments are copied and kept, by source and
// id, until their container is complete or 30 s have passed.
func (a *Assembler) Add(datagram []byte, now time.Time, source netip.AddrPort) {
	a.pending = a.pending[:0]
	if err := a.open(datagram, origin{source: source, now: now}); err != nil {
		a.pending = append(a.pending, err)
	}
	for _, lost := range a.unpack.fragments.lost {
		a.pending = append(a.pending, lost.err)
	}
	a.unpack.fragments.lost = a.unpack.fragments.lost[:0]
}

func (a *Assembler) open(datagram []byte, from origin) error {
	a.unpack.close()
	h, err := parseHeader(datagram)
	if err != nil {
		return err
	}
	body := datagram[headerLen:]
	if len(body) < h.length {
		return fmt.Errorf("a container of %d bytes ends after %d: %w",
			headerLen+h.length, len(datagram), io.ErrUnexpectedEOF)
	}
	if err := a.unpack.open(h, body[:h.length], from); err != nil {
		return err
	}
	if extra := len(body) - h.length; extra > 0 {
		return fmt.Errorf("%d bytes after the container", extra)
	}
	return nil
}

// Next returns the next message of the datagram, or of a container that it completed, and
// io.EOF after the last. Any other error reports a part that could not be read, or
// fragments that were given up; the next call continues after it.
func (a *Assembler) Next() (Message, error) {
	if len(a.pending) > 0 {
		err := a.pending[0]
		a.pending = a.pending[1:]
		return Message{}, err
	}
	return a.unpack.payload()
}
