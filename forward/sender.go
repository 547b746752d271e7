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
	// Waits between tries of a transport that fails: doubled while nothing is sent.
	firstWait   = time.Second
	longestWait = 30 * time.Second

	// swapTime is how long a sender waits for the one before it to close its transport
	// after that has returned what it held, or while that is stuck in a call. It is
	// shorter than stopTime.
	swapTime = 2 * time.Second
)

// A sender is one configuration of a sink, with its transport and the goroutine that
// takes batches from the sink's queue to the transport. A reload that changes the
// configuration puts another sender in its place.
type sender struct {
	sink      *sink
	queue     *queue // the sink's
	config    SinkConfig
	edition   int // of the sink's format: batches of another one are for another sender
	mode      Mode
	observer  Observer // nil: none
	log       *slog.Logger
	transport Transport
	divider   Divider // the transport, if lanes have to ask it; nil: they have not
	health    health

	after    *sender       // the one before it, for which it waits; nil: none
	ending   chan struct{} // closed when it is to leave
	released chan struct{} // closed when it takes nothing more from the queue
	done     chan struct{} // closed when the goroutine has ended
	err      error         // after done is closed: why it failed, or what Close returned

	// The goroutine's own.
	hand     []*Batch // that it took from the queue
	sent     int      // of these, from the first on
	ready    bool     // the transport is open
	deflater nmsg.Deflater
	deflated []*Batch // those in hand, in their final form

	// The queue's mutex guards these.
	leaving   bool   // it is to end
	yields    bool   // it leaves what it holds to another sender
	abandoned bool   // what it held was given up
	inHand    uint64 // records

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
		ending:    make(chan struct{}),
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

// divides reports whether records of these times belong into different batches.
func (s *sender) divides(a, b transform.Time) bool {
	return s.divider != nil && s.divider.Divides(a, b)
}

// run sends what enters the queue until it is to leave, or ctx ends: then it gives up
// what is left.
func (s *sender) run(ctx context.Context) {
	s.await(ctx)
	err := s.release(ctx, s.serve(ctx))
	s.hand, s.deflated = nil, nil
	close(s.released)
	if err := errors.Join(err, s.transport.Close(ctx)); err != nil {
		s.err = fmt.Errorf("sink %q: %w", s.config.Name, err)
	}
}

// await waits for the sender before this one, so that what is older is sent first and
// its transport is closed. It does not wait for one that is stuck in a call or in
// Close: that one returns what it holds later.
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

// serve returns nil when it is to leave and has nothing more to send, or ctx has
// ended, and an error when nothing more can be sent.
func (s *sender) serve(ctx context.Context) error {
	for ctx.Err() == nil {
		if _, yields := s.queue.isLeaving(s); yields {
			return nil
		}
		s.queue.pop(s)
		if len(s.hand) == 0 {
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

// release gives up or puts back what the sender holds after serve returned err. Where
// another sender takes over, err is not a failure.
func (s *sender) release(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		s.queue.giveUp(s, Stopped)
		return err
	}
	switch replaced, kept, lost := s.queue.resign(s, err != nil); {
	case replaced && lost > 0:
		s.log.Error("sink failed while it was changed; what it held in the old format is lost", "records", lost, "error", err)
		return nil
	case replaced && err != nil:
		s.log.Warn("sink failed while it was changed; it goes on as it is configured now, with what it held", "records", kept, "error", err)
		return nil
	case replaced:
		s.log.Info("sink changed", "records", kept)
	case errors.Is(err, errGaveUp):
		s.log.Error("sink stops while it fails; what it held is lost", "error", err)
	}
	return err
}

// abandon returns why the sender ended. One that has not is in a system call that does
// not return: what it held is lost.
func (s *sender) abandon() error {
	select {
	case <-s.done:
		return s.err
	default:
		s.queue.giveUp(s, Stopped)
		return fmt.Errorf("sink %q: a write did not return in %v", s.config.Name, stopTime+graceTime)
	}
}

// rest lets the transport do what is due while there is nothing to send.
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

// deliver sends what is in hand. It returns nil when all of it is sent, when the sender
// is to yield, or when ctx has ended. What is left stays in hand.
func (s *sender) deliver(ctx context.Context) error {
	done, from, err := s.send(ctx, s.finish())
	if s.sent = done; done < len(s.hand) {
		s.hand[done].cut(from)
	}
	return err
}

// send returns how many batches it is done with, and how many units of the next one.
func (s *sender) send(ctx context.Context, bs []*Batch) (done, from int, err error) {
	wait := firstWait
	for done < len(bs) {
		last, _ := s.queue.isLeaving(s)
		r, err := s.try(ctx, bs[done:], from)
		s.show(bs[done:], from, r.Units)
		s.queue.count(s, &r)
		for from += r.Units; done < len(bs) && from >= len(bs[done].Units); done++ {
			from -= len(bs[done].Units)
		}
		if r.Units > 0 {
			wait = firstWait
		}
		_, yields := s.queue.isLeaving(s)
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
		if _, yields := s.queue.isLeaving(s); yields || ctx.Err() != nil {
			return done, from, nil
		}
	}
	return done, from, nil
}

// try opens the transport if need be, and calls its Send.
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

// mayTake is how long a Send may be under way before something is wrong.
func (s *sender) mayTake(bs []*Batch) time.Duration {
	if p, ok := s.transport.(Pacer); ok {
		return longestWrite + p.MayTake(bs)
	}
	return longestWrite
}

// finish returns the batches in hand in their final form.
func (s *sender) finish() []*Batch {
	if !s.config.Zlib {
		return s.hand
	}
	for len(s.deflated) < len(s.hand) {
		s.deflated = append(s.deflated, newBatch())
	}
	for i, b := range s.hand {
		d := s.deflated[i]
		d.reset()
		d.ID, d.First, d.Time = b.ID, b.First, b.Time
		for k := range b.Units {
			d.Buf = s.deflate(d.Buf, b.Bytes(k))
			d.Units = append(d.Units, Unit{End: len(d.Buf), Records: b.Units[k].Records})
		}
	}
	return s.deflated[:len(s.hand)]
}

// deflate appends the container, compressed if that makes it smaller. On UDP it also
// has to make it fit: some readers cannot take fragments of a compressed container.
func (s *sender) deflate(buf, container []byte) []byte {
	at := len(buf)
	buf, err := s.deflater.Append(buf, container)
	n := len(buf) - at
	if err != nil || n >= len(container) || s.config.Target.Scheme == UDP && n > s.config.MTU {
		return append(buf[:at], container...)
	}
	return buf
}

// final reports whether trying again is useless, or would hold up a replay's input.
func (s *sender) final(err error) bool {
	_, broken := errors.AsType[BrokenError](err)
	return broken || s.mode == Replay
}

// pause waits before the transport is tried again, or for the last time.
func (s *sender) pause(ctx context.Context, wait time.Duration) {
	t := time.NewTimer(wait)
	defer t.Stop()
	select {
	case <-t.C:
	case <-s.ending:
	case <-ctx.Done():
	}
}

// note notes that units were sent, or were lost to trouble.
func (s *sender) note(trouble error) {
	if trouble != nil {
		if s.health.fail(trouble, time.Now(), true) {
			s.log.Warn("sink is in trouble; the ledger counts what it loses", "error", trouble)
		}
		return
	}
	if since, recovered := s.health.work(time.Now()); recovered {
		s.log.Info("sink works again", "after", time.Since(since).Round(time.Millisecond))
	}
}

func (s *sender) fails(err error) {
	if s.health.fail(err, time.Now(), false) {
		s.log.Error("sink fails and is tried again; records wait in its queue, and when that is full the oldest are lost",
			"error", err)
	}
}

// show shows the observer the n units from number from on that were sent.
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

// runs is what became of the files that the transport finished.
func (s *sender) commandRuns() CommandRuns {
	if k, ok := s.transport.(CommandRunner); ok {
		return k.CommandRuns()
	}
	return CommandRuns{}
}
