package collector

import (
	"errors"
	"fmt"

	framestream "github.com/farsightsec/golang-framestream"

	"github.com/dnstap-pdns/dnstap-pdns/transform"
)

// A stream passes the data frames between START and STOP to a lane, in bursts.
type stream struct {
	frames     *frameReader
	lane       transform.Lane
	account    account
	afterBurst func() // may be nil
	file       bool   // not a connection: START may follow without STOP, where files were concatenated
	unreadable int    // data frames in a row, up to now, that are not dnstap

	fields  fields
	message transform.Message
}

// maxUnreadable is the number of unreadable data frames in a row that are broken framing: the
// stream is out of step, or its sender does not write dnstap.
const maxUnreadable = 100

func newStream(frames *frameReader, lane transform.Lane) stream {
	return stream{frames: frames, lane: lane}
}

// run reads until STOP, and then returns nil. Otherwise it returns io.EOF if the stream ends
// between frames, *damage if its bytes are invalid, or the reader's error. In each case the
// lane has taken every earlier frame.
func (s *stream) run() error {
	for {
		kind, err := s.burst()
		switch {
		case err != nil, kind == framestream.CONTROL_STOP:
			return err
		case kind == framestream.CONTROL_START:
			continue
		}
		if err := s.frames.fill(); err != nil {
			if s.frames.pending() && !errors.Is(err, errStopped) {
				s.cutOff()
			}
			return s.frames.endError(err)
		}
	}
}

// burst takes every complete frame in the buffer, and returns the kind of the control frame that
// followed; 0 if there was none.
func (s *stream) burst() (followed uint32, err error) {
	kind, frame, err := s.frames.next()
	if kind == dataFrame || kind == longFrame {
		s.lane.Begin()
		for kind == dataFrame || kind == longFrame {
			s.take(kind, frame)
			if s.unreadable == maxUnreadable {
				kind, err = noFrame, s.frames.damaged(fmt.Errorf("%d data frames in a row are not dnstap", maxUnreadable))
				break
			}
			kind, frame, err = s.frames.next()
		}
		s.endBurst()
	}
	if err != nil || kind != control {
		return 0, err
	}
	c, err := parseControl(frame)
	if err == nil {
		switch {
		case c.kind == framestream.CONTROL_STOP:
		case c.kind == framestream.CONTROL_START && s.file:
			err = c.checkType()
		default:
			err = fmt.Errorf("%v after START", c)
		}
	}
	if err != nil {
		return 0, s.frames.damaged(err)
	}
	return c.kind, nil
}

// take passes one data frame to the lane, as a message or as a drop.
func (s *stream) take(kind frameKind, frame []byte) {
	s.account.frames++
	if kind == longFrame {
		s.account.noteOversize(s.frames.skip)
		s.lane.Drop(transform.Oversize)
		return
	}
	f := &s.fields
	if !f.decode(frame) {
		s.unreadable++
		s.lane.Drop(transform.Malformed)
		return
	}
	s.unreadable = 0
	if !f.holdsMessage() {
		s.lane.Drop(transform.Malformed)
		return
	}
	s.account.note(f)
	if !f.message(&s.message) {
		s.lane.Drop(transform.Malformed)
		return
	}
	s.message.Frame = frame
	s.account.countReason(s.message.Role, s.lane.Take(&s.message))
}

// cutOff drops the stream's last frame, which is incomplete, as malformed.
func (s *stream) cutOff() {
	s.lane.Begin()
	s.account.frames++
	s.lane.Drop(transform.Malformed)
	s.endBurst()
}

// endBurst ends the burst. It also clears the fields that borrow the frame reader's buffer, so
// that fill can free that buffer.
func (s *stream) endBurst() {
	s.lane.End()
	s.fields, s.message = fields{}, transform.Message{}
	if s.afterBurst != nil {
		s.afterBurst()
	}
}
