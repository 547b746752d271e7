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
	edition   int // of the sink's format: batches of another edition are for another sender
	mode      Mode
	observer  Observer // nil: none
	log       *slog.Logger
	transport Transport
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
	stopping  bool   // the sender has to stop
	yields    bool   // its unsent batches go to another sender
	abandoned bool   // its batches were given up
	inFlight  uint64 // records in batches that are not sent

	ended bool // the goroutine is about to end; the Forwarder's mutex guards it
}

func (f *Forwarder) newSender(s *sink, c *SinkConfig) (*sender, error) {
	log := f.log.With("sink", c.Name)
	t, err := c.Transport.New(c, Env{Mode: f.mode, Log: log, Stdout: f.stdout, Settle: s.queue.settle})
	if err != nil {
		return nil, fmt.Errorf("sink %q: %w", c.Name, err)
	}
	n := &sender{
		sink:      s,
		queue:     s.queue,
		config:    *c,
		mode:      f.mode,
		observer:  f.observer,
		log:       log,
		transport: t,
		stop:      make(chan struct{}),
		released:  make(chan struct{}),
		done:      make(chan struct{}),
	}
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

// divides reports whether records of these times belong in different batches.
func (s *sender) divides(a, b transform.Time) bool {
	return s.divider != nil && s.divider.Divides(a, b)
}

// run sends batches until the sender has to stop or ctx ends; when ctx has ended, it gives
// up the rest.
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
// transport is closed. It does not wait for a sender that is stuck in a call or in Close:
// that sender returns its batches later.
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

// serve sends batches. It returns nil when the sender has to stop and has sent its batches,
// or when ctx has ended, and an error when no more batches can be sent.
func (s *sender) serve(ctx context.Context) error {
	for ctx.Err() == nil {
		if _, yields := s.queue.stopState(s); yields {
			return nil
		}
		s.queue.pop(s)
		if len(s.batches) == 0 {
			if !s.queue.sleep(ctx, s, s.rest(ctx)) {
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

// rest calls the transport's Rest while there is no batch to send. It returns the time of
// the next call; zero: none.
func (s *sender) rest(ctx context.Context) time.Time {
	s.health.begin(time.Now(), longestWrite)
	err := s.open(ctx)
	var next time.Time
	if err != nil {
		next = time.Now().Add(longestWait)
	} else {
		next, err = s.transport.Rest(ctx)
	}
	s.health.returned()
	if trouble, ok := errors.AsType[TroubleError](err); ok {
		s.note(trouble)
	} else if err != nil {
		s.fails(err)
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

// deliver sends the batches that the sender took. It returns nil when all are sent, when
// the sender yields to another, or when ctx has ended. The sender keeps the rest.
func (s *sender) deliver(ctx context.Context) error {
	done, from, err := s.send(ctx, s.finish())
	if s.sent = done; done < len(s.batches) {
		s.batches[done].cut(from)
	}
	return err
}

// send returns the number of batches that are sent or lost, and the number of such units in
// the next batch.
func (s *sender) send(ctx context.Context, bs []*Batch) (done, from int, err error) {
	wait := firstWait
	for done < len(bs) {
		last, _ := s.queue.stopState(s)
		r, err := s.try(ctx, bs[done:], from)
		s.show(bs[done:], from, r.Units)
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
			s.note(r.Trouble)
			if yields {
				return done, from, nil
			}
			continue
		case s.final(err):
			s.health.fail(err, time.Now(), false)
			return done, from, err
		case last:
			s.health.fail(err, time.Now(), false)
			return done, from, fmt.Errorf("%w: %w", errGaveUp, err)
		}
		s.fails(err)
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

// mayTake returns the longest time that a Send may take.
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
		d.ID, d.First, d.Time = b.ID, b.First, b.Time
		for k := range b.Units {
			d.Buf = s.deflate(d.Buf, b.Bytes(k))
			d.Units = append(d.Units, Unit{End: len(d.Buf), Records: b.Units[k].Records})
		}
	}
	return s.deflated[:len(s.batches)]
}

// deflate appends the container, compressed if that is smaller. On UDP the compressed
// container must also fit the MTU: some readers cannot read fragments of one.
func (s *sender) deflate(buf, container []byte) []byte {
	at := len(buf)
	buf, err := s.deflater.Append(buf, container)
	n := len(buf) - at
	if err != nil || n >= len(container) || s.config.Target.Scheme == UDP && n > s.config.MTU {
		return append(buf[:at], container...)
	}
	return buf
}

// final reports whether a retry is useless, or would block the input of a Replay.
func (s *sender) final(err error) bool {
	_, broken := errors.AsType[BrokenError](err)
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

// note notes that units were sent, or that some were lost because of trouble.
func (s *sender) note(trouble error) {
	if trouble != nil {
		if s.health.fail(trouble, time.Now(), true) {
			s.log.Warn("sink loses records; the ledger counts them", "error", trouble)
		}
		return
	}
	if since, recovered := s.health.work(time.Now()); recovered {
		s.log.Info("sink works again", "after", time.Since(since).Round(time.Millisecond))
	}
}

func (s *sender) fails(err error) {
	if s.health.fail(err, time.Now(), false) {
		s.log.Error("sink fails and is retried; records wait in its queue, and when it is full the oldest are lost",
			"error", err)
	}
}

// show passes the observer those of n units, from number from on, that were sent.
func (s *sender) show(bs []*Batch, from, n int) {
	if s.observer == nil {
		return
	}
	for _, b := range bs {
		for ; from < len(b.Units) && n > 0; from, n = from+1, n-1 {
			if !b.Units[from].lost {
				s.observer.Sent(s.config.Name, b.Bytes(from))
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
