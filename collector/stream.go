package collector

import (
	"errors"
	"fmt"

	framestream "github.com/farsightsec/golang-framestream"

	"github.com/dnstap-pdns/dnstap-pdns/transform"
)

// A FrameObserver is a lane that also gets the bytes of each data frame. Frame borrows them, and
// is called before Take or Drop of the same frame. It is not called for frames above MaxFrame.
type FrameObserver interface {
	transform.Lane
	Frame(frame []byte)
}

// A stream passes the data frames between START and STOP to a lane, in bursts.
type stream struct {
	frames     *frameReader
	lane       transform.Lane
	observer   FrameObserver // the lane, if it is one; else nil
	account    account
	afterBurst func() // may be nil

	fields  fields
	message transform.Message
}

func newStream(frames *frameReader, lane transform.Lane) stream {
	observer, _ := lane.(FrameObserver)
	return stream{frames: frames, lane: lane, observer: observer}
}

// run reads until STOP, and then returns nil. Otherwise it returns io.EOF if the stream ends
// between frames, *damage if its bytes are invalid, or the reader's error. In each case the
// lane has every frame before.
func (s *stream) run() error {
	for {
		if stopped, err := s.burst(); stopped || err != nil {
			return err
		}
		if err := s.frames.fill(); err != nil {
			if s.frames.pending() && !errors.Is(err, errStopped) {
				s.cutOff()
			}
			return s.frames.endError(err)
		}
	}
}

// burst takes every complete frame of one read, and reports whether STOP followed.
func (s *stream) burst() (stopped bool, err error) {
	kind, frame, err := s.frames.next()
	if kind == dataFrame || kind == longFrame {
		s.lane.Begin()
		for kind == dataFrame || kind == longFrame {
			s.take(kind, frame)
			kind, frame, err = s.frames.next()
		}
		s.endBurst()
	}
	if err != nil || kind != control {
		return false, err
	}
	c, err := parseControl(frame)
	if err == nil && c.kind != framestream.CONTROL_STOP {
		err = fmt.Errorf("%v after START", c)
	}
	if err != nil {
		return false, s.frames.damaged(err)
	}
	return true, nil
}

// take passes one data frame to the lane, as a message or as a drop.
func (s *stream) take(kind frameKind, frame []byte) {
	s.account.frames++
	if kind == longFrame {
		s.lane.Drop(transform.Oversize)
		return
	}
	if s.observer != nil {
		s.observer.Frame(frame)
	}
	f := &s.fields
	if !f.decode(frame) || !f.holdsMessage() {
		s.lane.Drop(transform.Malformed)
		return
	}
	s.account.note(f)
	if !f.message(&s.message) {
		s.lane.Drop(transform.Malformed)
		return
	}
	s.account.judged(s.message.Role, s.lane.Take(&s.message))
}

// cutOff counts a frame of which the stream has only the beginning.
func (s *stream) cutOff() {
	s.lane.Begin()
	s.account.frames++
	s.lane.Drop(transform.Malformed)
	s.endBurst()
}

// endBurst ends the burst. It also clears what borrows the frame reader's buffer, so that fill
// can free that buffer.
func (s *stream) endBurst() {
	s.lane.End()
	s.fields, s.message = fields{}, transform.Message{}
	if s.afterBurst != nil {
		s.afterBurst()
	}
}
