package forward

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"time"

	"github.com/dnstap-pdns/dnstap-pdns/forward/nmsg"
	"github.com/dnstap-pdns/dnstap-pdns/transform"
)

const (
	// Waits between retries of a transport that fails, doubled until a unit is sent.
	firstWait   = time.Second
	longestWait = 30 * time.Second

	// swapTime is how long a sender waits for the earlier sender to close its transport
	// when that has returned its batches or is stuck in a call. It is shorter than
	// stopTime.
	swapTime = 2 * time.Second
)

// A sender is one configuration of a sink, with its transport and the goroutine that
// takes batches from the sink's queue to the transport. A reload that changes the
// configuration replaces the sender.
type sender struct {
	sink      *sink
	queue     *queue // the sink's
	config    SinkConfig
	edition   int // incremented if the batches of the earlier sender are unfit: see carries
	mode      Mode
	observer  Observer // nil: none
	log       *slog.Logger
	transport Transport
	filter    filter  // config.Filter
	divider   Divider // the transport, if it is a Divider and the mode is Replay; else nil
	health    health

	after    *sender       // the earlier sender, for which this one waits; nil: none
	stop     chan struct{} // closed when the sender has to stop
	released chan struct{} // closed when the sender takes no more batches from the queue
	done     chan struct{} // closed when the goroutine has ended
	err      error         // valid when done is closed: the failure, or the error of Close

	// The goroutine owns these.
	batches  []*Batch // taken from the queue
	sent     int      // number of these that are sent, from the first on
	ready    bool     // the transport is open
	deflater nmsg.Deflater
	deflated []*Batch // batches, compressed

	// The queue's mutex guards these.
	stopping  bool            // the sender has to stop
	yields    bool            // its unsent batches go to another sender
	abandoned bool            // its batches were given up
	inFlight  uint64          // records in batches that are not sent
	spooled   uint64          // records that the transport has in its spool
	requested []*confirmation // oldest first

	ended bool // the goroutine is about to end; the Forwarder's mutex guards it
}

func (f *Forwarder) newSender(s *sink, c *SinkConfig) (*sender, error) {
	log := f.log.With("sink", c.Name)
	filter, err := newFilter(&c.Filter)
	if err != nil {
		return nil, fmt.Errorf("sink %q: %w", c.Name, err)
	}
	n := &sender{
		sink:     s,
		queue:    s.queue,
		config:   *c,
		filter:   filter,
		mode:     f.mode,
		observer: f.observer,
		log:      log,
		stop:     make(chan struct{}),
		released: make(chan struct{}),
		done:     make(chan struct{}),
	}
	if n.aggregates() {
		n.observer = nil // its units are not containers, and nothing leaves by them
		if s.stage == nil {
			s.stage = &stage{mode: f.mode}
		}
	}
	t, err := c.Transport.New(c, n.env(f.stdout))
	if err != nil {
		return nil, fmt.Errorf("sink %q: %w", c.Name, err)
	}
	n.transport = t
	if d, ok := t.(Divider); ok && f.mode == Replay {
		n.divider = d
	}
	if old := s.current(); old != nil {
		n.edition = old.edition
		if !c.carries(&old.config) {
			n.edition++
		}
	}
	return n, nil
}

// env returns the environment of the sender's transport.
func (s *sender) env(stdout io.Writer) Env {
	env := Env{
		Mode:        s.mode,
		Log:         s.log,
		Stdout:      stdout,
		Settle:      func(from State, records uint64, to Outcome) { s.queue.settle(s, from, records, to) },
		CountErrors: s.queue.countErrors,
		CountSent:   s.queue.countSent,
		Resume:      func(records uint64) { s.queue.resume(s, records) },
		Doubt:       s.queue.doubt,
		HalfFull:    s.queue.halfFull,
		Stop:        s.stop,
	}
	if s.aggregates() {
		env.Emit = s.sink.stage.emit
	}
	return env
}

// divides reports whether records of these times belong in different batches.
func (s *sender) divides(a, b transform.Time) bool {
	return s.divider != nil && s.divider.Divides(a, b)
}

// run sends batches until the sender has to stop or ctx ends, and closes the transport. If
// ctx has ended, the rest is lost.
func (s *sender) run(ctx context.Context) {
	s.await(ctx)
	err := s.release(ctx, s.serve(ctx))
	s.batches, s.deflated = nil, nil
	close(s.released)
	if err := errors.Join(err, s.transport.Close(ctx)); err != nil {
		s.err = fmt.Errorf("sink %q: %w", s.config.Name, err)
	}
}

// await waits for the earlier sender, so that older batches are sent first and its
// transport is closed. After swapTime it does not wait for a sender in Close, nor for one
// that is stuck in another call, which returns its batches later.
func (s *sender) await(ctx context.Context) {
	for s.after != nil {
		t := time.NewTimer(swapTime)
		select {
		case <-s.after.done:
			s.after = nil
		case <-ctx.Done():
			s.after = nil
		case now := <-t.C:
			if s.after.isReleased() || s.after.health.stuck(now) {
				s.after = nil
			}
		}
		t.Stop()
	}
}

func (s *sender) isReleased() bool {
	select {
	case <-s.released:
		return true
	default:
		return false
	}
}

// serve sends batches, and makes confirmations. It returns nil when the sender has to stop and has sent its batches,
// or when ctx has ended, and an error when no more batches can be sent.
func (s *sender) serve(ctx context.Context) error {
	for ctx.Err() == nil {
		if _, yields := s.queue.stopState(s); yields {
			return nil
		}
		if err := s.confirm(ctx); err != nil {
			return err
		}
		s.queue.pop(s)
		if len(s.batches) == 0 {
			if !s.queue.sleep(ctx, s, s.idle(ctx)) {
				return nil
			}
			continue
		}
		if err := s.deliver(ctx); err != nil {
			return err
		}
	}
	return nil
}

// release gives up or puts back the unsent batches after serve returned err. If another
// sender continues, err is not a failure.
func (s *sender) release(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		s.queue.giveUp(s, Stopped)
		return err
	}
	switch replaced, kept, lost := s.queue.endSender(s, err != nil); {
	case replaced && lost > 0:
		s.log.Error("sink failed during a reload; its records in the old format are lost", "records", lost, "error", err)
		return nil
	case replaced && err != nil:
		s.log.Warn("sink failed during a reload; it continues with the new configuration and its queued records", "records", kept, "error", err)
		return nil
	case replaced:
		s.log.Info("sink changed", "records", kept)
	case errors.Is(err, errGaveUp):
		s.log.Error("sink fails at the stop; its queued records are lost", "error", err)
	}
	return err
}

// abandon returns the error of the sender. If the sender has not ended, it is in a system
// call that does not return: its batches are lost.
func (s *sender) abandon() error {
	select {
	case <-s.done:
		return s.err
	default:
		s.queue.giveUp(s, Stopped)
		return fmt.Errorf("sink %q: a write did not return in %v", s.config.Name, stopTime+graceTime)
	}
}

// idle opens the transport if necessary and calls its Idle; there is no batch to send. It
// notes failures, and returns the time at which to call it again; zero: none.
func (s *sender) idle(ctx context.Context) time.Time {
	s.health.begin(time.Now(), s.mayTake(nil))
	err := s.open(ctx)
	var next time.Time
	if err != nil {
		next = time.Now().Add(longestWait)
	} else {
		next, err = s.transport.Idle(ctx)
	}
	s.health.returned()
	_, spools := s.transport.(Spooler)
	switch {
	case err == nil:
		s.noteRecovery(s.health.rest(time.Now()))
	case spools && s.ready:
		s.noteTrouble(err) // Idle of a spool returns why its peer gets nothing
	default:
		s.noteFailure(err, callFails)
	}
	if over := s.health.overAt(); !over.IsZero() && (next.IsZero() || over.Before(next)) {
		return over
	}
	return next
}

func (s *sender) open(ctx context.Context) error {
	if s.ready {
		return nil
	}
	err := s.transport.Open(ctx)
	s.ready = err == nil
	return err
}

// deliver sends the batches that the sender took, and keeps those that it did not send. It
// returns nil when all are sent, the sender yields to another, or ctx has ended, and an
// error when it cannot send the rest.
func (s *sender) deliver(ctx context.Context) error {
	done, from, err := s.send(ctx, s.finish())
	if s.sent = done; done < len(s.batches) {
		s.batches[done].cut(from)
	}
	return err
}

// send sends batches, and retries after errors that are not final. done is the number of
// batches that are sent or lost, from the number of such units in the next batch.
func (s *sender) send(ctx context.Context, bs []*Batch) (done, from int, err error) {
	wait := firstWait
	for done < len(bs) {
		last, _ := s.queue.stopState(s)
		r, err := s.try(ctx, bs[done:], from)
		s.show(bs[done:], from, &r)
		s.queue.count(s, &r)
		for from += r.Units; done < len(bs) && from >= len(bs[done].Units); done++ {
			from -= len(bs[done].Units)
		}
		if r.Units > 0 {
			wait = firstWait
		}
		_, yields := s.queue.stopState(s)
		switch {
		case ctx.Err() != nil:
			return done, from, nil
		case err == nil:
			s.note(&r)
			if r.Delivered > 0 || r.Tentative != (StateCounts{}) {
				s.health.delivered()
			}
			if yields {
				return done, from, nil
			}
			continue
		case s.final(err):
			s.health.fail(err, time.Now(), callFails)
			return done, from, err
		case last:
			s.health.fail(err, time.Now(), callFails)
			return done, from, fmt.Errorf("%w: %w", errGaveUp, err)
		}
		s.noteFailure(err, callFails)
		s.pause(ctx, wait)
		wait = min(2*wait, longestWait)
		if _, yields := s.queue.stopState(s); yields || ctx.Err() != nil {
			return done, from, nil
		}
	}
	return done, from, nil
}

// try opens the transport if necessary, and calls its Send.
func (s *sender) try(ctx context.Context, bs []*Batch, from int) (Result, error) {
	s.health.begin(time.Now(), s.mayTake(bs))
	defer s.health.returned()
	if err := s.open(ctx); err != nil {
		return Result{}, err
	}
	r, err := s.transport.Send(ctx, bs, from)
	if err == nil && r.Units == 0 {
		err = io.ErrNoProgress
	}
	s.ready = err == nil
	return r, err
}

// mayTake returns the longest time that a Send of bs may take; nil: Open or Idle.
func (s *sender) mayTake(bs []*Batch) time.Duration {
	if p, ok := s.transport.(Pacer); ok {
		return longestWrite + p.MayTake(bs)
	}
	return longestWrite
}

// finish returns the batches to send: compressed ones if Zlib is set.
func (s *sender) finish() []*Batch {
	if !s.config.Zlib {
		return s.batches
	}
	for len(s.deflated) < len(s.batches) {
		s.deflated = append(s.deflated, newBatch())
	}
	for i, b := range s.batches {
		d := s.deflated[i]
		d.reset()
		d.ID, d.First, d.Time, d.Dropped = b.ID, b.First, b.Time, b.Dropped
		for k := range b.Units {
			d.Buf = s.deflate(d.Buf, b.Bytes(k))
			d.Units = append(d.Units, Unit{End: len(d.Buf), Records: b.Units[k].Records})
		}
	}
	return s.deflated[:len(s.batches)]
}

// deflate appends the container, compressed if that is smaller. On UDP the compressed
// container must also fit the MTU: some readers cannot read a compressed one in fragments.
func (s *sender) deflate(buf, container []byte) []byte {
	at := len(buf)
	buf, err := s.deflater.Append(buf, container)
	n := len(buf) - at
	if err != nil || n >= len(container) || s.config.Target.Scheme == UDP && n > s.config.MTU {
		return append(buf[:at], container...)
	}
	return buf
}

// final reports whether err ends the sender without a retry: it is a [PermanentError], or the
// mode is Replay, in which every failure is final.
func (s *sender) final(err error) bool {
	_, broken := errors.AsType[PermanentError](err)
	return broken || s.mode == Replay
}

// pause waits before a retry. It returns early if the sender has to stop.
func (s *sender) pause(ctx context.Context, wait time.Duration) {
	t := time.NewTimer(wait)
	defer t.Stop()
	select {
	case <-t.C:
	case <-s.stop:
	case <-ctx.Done():
	}
}

// note notes that the transport works, or that it lost or spooled units because of trouble.
func (s *sender) note(r *Result) {
	switch {
	case r.LossCause != nil:
		if s.health.fail(r.LossCause, time.Now(), losesRecords) {
			s.log.Warn("sink loses records; the ledger counts them", "error", r.LossCause)
		}
	case r.Trouble != nil:
		s.noteTrouble(r.Trouble)
	default:
		s.noteRecovery(s.health.work(time.Now()))
	}
}

func (s *sender) noteRecovery(since time.Time, recovered bool) {
	if recovered {
		s.log.Info("sink works again", "after", time.Since(since).Round(time.Millisecond))
	}
}

// noteTrouble notes that the peer of a spool cannot be reached.
func (s *sender) noteTrouble(err error) {
	if s.health.fail(err, time.Now(), peerFails) {
		s.log.Error("sink cannot reach its peer; records wait in its spool", "error", err)
	}
}

// noteFailure notes an error after which the sender tries again.
func (s *sender) noteFailure(err error, kind failureKind) {
	if s.health.fail(err, time.Now(), kind) {
		s.log.Error("sink fails and is retried; records wait in its queue, and when it is full the oldest are lost",
			"error", err)
	}
}

// show passes the units of r, which begin at number from, to the observer, except those that
// were lost.
func (s *sender) show(bs []*Batch, from int, r *Result) {
	if s.observer == nil {
		return
	}
	n := r.Units
	for _, b := range bs {
		for ; from < len(b.Units) && n > 0; from, n = from+1, n-1 {
			if !b.Units[from].lost {
				s.observer.Sent(s.config.Name, b.Bytes(from), n <= r.Spooled)
			}
		}
		from = 0
	}
}

// commandRuns returns the account of the transport's on_rotate command.
func (s *sender) commandRuns() CommandRuns {
	if k, ok := s.transport.(CommandRunner); ok {
		return k.CommandRuns()
	}
	return CommandRuns{}
}

// files returns the account of the transport's files.
func (s *sender) files() Files {
	if w, ok := s.transport.(FileWriter); ok {
		return w.Files()
	}
	return Files{}
}
