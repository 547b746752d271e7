package collector

import (
	"fmt"
	"io"

	dnstap "github.com/dnstap/golang-dnstap"
	framestream "github.com/farsightsec/golang-framestream"
)

// handshake reads a stream up to START. If the sender begins with READY, it is bidirectional,
// and handshake writes ACCEPT to answer. answer is nil for a file, in which READY is an error.
func handshake(r *frameReader, answer io.Writer) (bidirectional bool, err error) {
	first, err := awaitControl(r)
	if err != nil {
		return false, err
	}
	if first.kind != framestream.CONTROL_READY || answer == nil {
		return false, expectStart(r, first)
	}
	if err := first.checkType(); err != nil {
		return true, r.damaged(err)
	}
	if err := writeControl(answer, framestream.CONTROL_ACCEPT, dnstap.FSContentType); err != nil {
		return true, fmt.Errorf("sending ACCEPT: %w", withoutAddress(err))
	}
	second, err := awaitControl(r)
	if err != nil {
		return true, err
	}
	return true, expectStart(r, second)
}

// awaitControl reads the next frame, which must be a control frame. It refuses a data frame by
// its length, before reading the frame.
func awaitControl(r *frameReader) (controlFrame, error) {
	for {
		if length := r.dataLength(); length > 0 {
			return controlFrame{}, &damage{r.offset(), notControl(length)}
		}
		kind, body, err := r.next()
		if err != nil {
			return controlFrame{}, err
		}
		if kind == control {
			c, err := parseControl(body)
			if err != nil {
				return c, r.damaged(err)
			}
			return c, nil
		}
		if err := r.fill(); err != nil {
			return controlFrame{}, r.endError(err)
		}
	}
}

func expectStart(r *frameReader, c controlFrame) error {
	if c.kind != framestream.CONTROL_START {
		return r.damaged(fmt.Errorf("%v instead of START", c))
	}
	if err := c.checkType(); err != nil {
		return r.damaged(err)
	}
	return nil
}
