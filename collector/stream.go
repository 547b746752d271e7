package collector

import (
	"errors"
	"fmt"

	framestream "github.com/farsightsec/golang-framestream"

	"github.com/dnstap-pdns/dnstap-pdns/transform"
)

// errStopped is what a source of bytes returns when it is we who end it.
var errStopped = errors.New("reading was stopped")

// A stream is what follows START: data frames, which it brings to a lane in
// bursts, up to STOP.
type stream struct {
	frames     *frameReader
	lane       Lane
	watcher    FrameWatcher // the lane, if it is one; else nil
	tally      tally
	afterBurst func() // nil if nobody watches

	fields  fields
	message transform.Message
}

func newStream(frames *frameReader, lane Lane) stream {
	watcher, _ := lane.(FrameWatcher)
	return stream{frames: frames, lane: lane, watcher: watcher}
}

// run reads to STOP, and returns nil for it. Else it returns io.EOF where the
// stream ends between frames, *damage where the stream is at fault, or the
// reader's error. Whatever it returns, what came before is in the lane.
func (s *stream) run() error {
	for {
		if stopped, err := s.burst(); stopped || err != nil {
			return err
		}
		if err := s.frames.fill(); err != nil {
			if s.frames.pending() && !errors.Is(err, errStopped) {
				s.cutOff()
			}
			return s.frames.ended(err)
		}
	}
}

// burst takes every whole frame that one read brought, and reports whether STOP
// was among them.
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

// take brings one data frame to the lane, as a message or as a drop.
func (s *stream) take(kind frameKind, frame []byte) {
	s.tally.frames++
	if kind == longFrame {
		s.lane.Drop(transform.Oversize)
		return
	}
	if s.watcher != nil {
		s.watcher.Frame(frame)
	}
	f := &s.fields
	if !f.decode(frame) || !f.holdsMessage() {
		s.lane.Drop(transform.Malformed)
		return
	}
	s.tally.note(f)
	if !f.message(&s.message) {
		s.lane.Drop(transform.Malformed)
		return
	}
	s.tally.judged(s.message.Role, s.lane.Take(&s.message))
}

// cutOff counts the frame in whose middle the stream ended.
func (s *stream) cutOff() {
	s.lane.Begin()
	s.tally.frames++
	s.lane.Drop(transform.Malformed)
	s.endBurst()
}

// endBurst ends the burst, and clears what borrows the frame reader's buffer, which may
// be dropped next.
func (s *stream) endBurst() {
	s.lane.End()
	s.fields, s.message = fields{}, transform.Message{}
	if s.afterBurst != nil {
		s.afterBurst()
	}
}
