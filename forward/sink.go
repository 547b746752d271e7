package forward

import (
	"context"
	"errors"
	"log/slog"
	"slices"
)

// A sink is the queue and account of one name, and its senders, of which a reload replaces
// the current one. It exists as long as the Forwarder. The Forwarder's mutex guards it.
type sink struct {
	name    string
	queue   *queue
	stage   *stage    // of an aggregate sink; nil: it was none yet
	senders []*sender // those that have not ended, oldest first, and the current one
	removed bool      // no sink of this name is configured

	// Of other senders, which have ended.
	pastRuns   CommandRuns
	pastFiles  Files
	pastRRsets *RRsets // nil: none of them aggregated
}

// current returns the sender of the present configuration, or of the last one if the sink
// is removed; nil: none yet.
func (s *sink) current() *sender { return s.queue.current }

// senderFor returns the sink's sender if its configuration is c, else a new one, which is
// neither installed nor started.
func (f *Forwarder) senderFor(c *SinkConfig) (*sender, error) {
	s := f.sink(c.Name)
	if s == nil {
		s = &sink{name: c.Name, queue: newQueue(f.mode, c.Queue)}
	}
	if old := s.current(); old != nil && !s.removed && old.config.Equal(c) {
		return old, nil
	}
	return f.newSender(s, c)
}

// stages returns the stages of all sinks.
func (f *Forwarder) stages() (all []*stage) {
	for _, s := range f.allSinks() {
		if s.stage != nil {
			all = append(all, s.stage)
		}
	}
	return all
}

// allSinks returns the sinks, and those that a reload removed.
func (f *Forwarder) allSinks() []*sink { return slices.Concat(f.sinks, f.removed) }

// sink returns the sink of that name, removed or not; nil if there was none.
func (f *Forwarder) sink(name string) *sink {
	all := f.allSinks()
	if i := slices.IndexFunc(all, func(s *sink) bool { return s.name == name }); i >= 0 {
		return all[i]
	}
	return nil
}

// install makes senders, in the order of the configuration, the current senders of their
// sinks, and removes all other sinks, which no lane feeds any more. A stage may still feed them.
func (f *Forwarder) install(senders []*sender) {
	old := f.sinks
	f.sinks = nil
	for _, n := range senders {
		s := n.sink
		f.sinks = append(f.sinks, s)
		f.removed = slices.DeleteFunc(f.removed, func(o *sink) bool { return o == s })
		if s.current() == n {
			continue
		}
		s.removed = false
		if len(s.senders) > 0 {
			n.after = s.senders[len(s.senders)-1]
		}
		s.senders = append(s.senders, n)
		s.queue.install(n)
		s.forgetEnded()
		if f.sending != nil {
			f.start(n)
		}
	}
	for _, s := range old {
		if !slices.Contains(f.sinks, s) {
			s.removed = true
			f.removed = append(f.removed, s)
			s.forgetEnded()
		}
	}
	f.closeQueues()
}

// forgetEnded removes the senders that have ended, except the current one of a configured
// sink, whose failure stays in the ledger.
func (s *sink) forgetEnded() {
	s.senders = slices.DeleteFunc(s.senders, func(n *sender) bool {
		forget := n.ended && (s.removed || n != s.current())
		if forget {
			s.pastRuns.add(n.commandRuns())
			s.pastFiles.add(n.files())
			s.pastRRsets = s.pastRRsets.with(n)
		}
		return forget
	})
}

// start starts the sender's goroutine. drain waits for it.
func (f *Forwarder) start(s *sender) {
	sending := f.sending
	go func() {
		defer close(s.done)
		s.run(sending)
		f.ended(s)
	}()
}

// ended notes that a sender is about to end. The Forwarder stops if the current sender of a
// configured sink has failed.
func (f *Forwarder) ended(n *sender) {
	f.mu.Lock()
	defer f.mu.Unlock()
	s := n.sink
	n.ended = true
	s.forgetEnded()
	f.closeQueues()
	if n.err != nil {
		s.queue.doubt()
	}
	switch {
	case n.err == nil:
	case s.removed:
		n.log.Error("sink failed during its removal", "error", n.err)
	case n != s.current():
		n.log.Error("sink failed during a reload", "error", n.err)
	default:
		select {
		case f.failed <- n:
		default:
		}
	}
	if s.removed && len(s.senders) == 0 {
		s.queue.releaseFree()
		f.logRemoved(n)
	}
}

// logRemoved logs the final account of a removed sink that has sent its batches.
func (f *Forwarder) logRemoved(last *sender) {
	l := f.sinkLedger(last.sink)
	level := slog.LevelInfo
	if l.Lost != (LossCounts{}) {
		level = slog.LevelWarn
	}
	last.log.Log(context.Background(), level, "sink removed",
		"offered", l.Offered, "delivered", l.Delivered, "filtered", l.Filtered.Sum(), "lost", l.Lost, "on_rotate", l.OnRotate, "files", l.Files)
}

// senders returns the senders of all sinks, except those that were forgotten.
func (f *Forwarder) senders() (all []*sender) {
	for _, s := range f.allSinks() {
		all = append(all, s.senders...)
	}
	return all
}

// errGaveUp ends a sender that had to stop while its transport failed.
var errGaveUp = errors.New("the last try failed")
