package nmsg

import (
	"fmt"
	"io"
	"net/netip"
	"time"
)

// Assembler reads the messages of NMSG datagrams, one container or fragment each,
// in whatever order they come. The zero value is ready.
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

// OnGap has report called whenever a container's sequence number shows that others
// before it are missing; see [Gap].
func (a *Assembler) OnGap(report func(Gap)) { a.unpack.sequences.report = report }

// Add takes a datagram that came from source at the time now, by any clock that
// does not run backwards, and borrows it until Next has returned io.EOF. What Next
// has not handed out of the datagram before is lost. Fragments are kept, by source
// and id, until they are whole or 30 s have passed.
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
		return fmt.Errorf("%d bytes behind the container", extra)
	}
	return nil
}

// Next returns the next message that the datagram made readable, io.EOF behind the
// last. Any other error stands for a part that could not be read, or for fragments
// that were given up; the next call goes on behind it.
func (a *Assembler) Next() (Message, error) {
	if len(a.pending) > 0 {
		err := a.pending[0]
		a.pending = a.pending[1:]
		return Message{}, err
	}
	return a.unpack.payload()
}
