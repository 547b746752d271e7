package forward

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/dnstap-pdns/dnstap-pdns/forward/nmsg"
	"github.com/dnstap-pdns/dnstap-pdns/transform"
)

// Waits between tries of a transport that fails: doubled each time.
const (
	firstWait   = time.Second
	longestWait = 30 * time.Second
)

// A sink is a queue, a transport, and the goroutine between them.
type sink struct {
	config       SinkConfig
	mode         Mode
	rotate       time.Duration // Replay: lanes seal batches at multiples of this; 0: they do not
	containerMax int           // bytes
	observer     Observer      // nil: none
	log          *slog.Logger
	queue        *queue
	transport    transport
	health       health
	await        func(context.Context, *sink)                      // see Forwarder
	passOn       func(*sink, []*batch) (records uint64, heir bool) // see Forwarder

	// The Forwarder's mutex guards these.
	heir  *sink // that a reload put in its place; nil: none
	after *sink // that it waits for before it sends; nil: for none

	// The goroutine's own.
	hand     []*batch
	dealt    int // containers of the batch at hand that are dealt with
	deflater nmsg.Deflater
	deflated batch

	done chan struct{} // closed when the goroutine has ended
	err  error         // for those who saw done closed: why it ended, or what Close said
}

func (f *Forwarder) newSink(c SinkConfig, t transport) *sink {
	s := &sink{
		config:       c,
		mode:         f.mode,
		containerMax: min(c.MTU, batchSize),
		observer:     f.observer,
		log:          f.log.With("sink", c.Name),
		queue:        newQueue(f.mode, c.Queue),
		transport:    t,
		await:        f.await,
		passOn:       f.passOn,
		done:         make(chan struct{}),
	}
	if f.mode == Replay {
		s.rotate = rotation(&c)
	}
	return s
}

// roomFor is what a batch must have left to begin another container for p: enough
// for a full one, or for p if that is larger.
func (s *sink) roomFor(p nmsg.Payload) int {
	return min(max(s.containerMax, len(p.Bytes)+containerSlack), batchSize)
}

// crosses reports whether records of these times belong into different files.
func (s *sink) crosses(from, to transform.Time) bool {
	return s.rotate != 0 && intervalOf(wall(from), s.rotate) != intervalOf(wall(to), s.rotate)
}

// run delivers what enters the queue until that is closed and empty, or ctx ends:
// then it gives up what is left.
func (s *sink) run(ctx context.Context) {
	s.await(ctx, s)
	err := s.settleUp(ctx, s.serve(ctx))
	if err := errors.Join(err, s.transport.Close(ctx)); err != nil {
		s.err = fmt.Errorf("sink %q: %w", s.config.Name, err)
	}
}

// settleUp ends the queue of a sink that ended so. What was not delivered is the heir's,
// where there is one: then that is no failure.
func (s *sink) settleUp(ctx context.Context, err error) error {
	if ctx.Err() == nil {
		if n, ok := s.passOn(s, s.hand); ok {
			if err != nil {
				s.log.Warn("sink failed while it was replaced; the one in its place goes on with what it held", "records", n, "error", err)
			}
			return nil
		}
	}
	if err == nil {
		s.queue.end(Stopped)
		return nil
	}
	s.queue.end(Failed)
	if errors.Is(err, errGaveUp) {
		s.log.Error("sink stops while it fails; what it held is lost", "error", err)
	}
	return err
}

// errGaveUp ends a sink that was told to stop while its transport failed.
var errGaveUp = errors.New("the last try failed")

// serve returns nil when the queue is closed and empty, or ctx has ended, and an
// error when nothing more can be delivered.
func (s *sink) serve(ctx context.Context) error {
	for {
		s.hand = s.queue.pop(s.hand)
		if len(s.hand) == 0 && !s.queue.sleep(ctx, s.rest(ctx)) {
			return nil
		}
		for i, b := range s.hand {
			if err := s.deliver(ctx, s.finish(b)); err != nil || ctx.Err() != nil {
				b.cut(s.dealt)
				s.hand = s.hand[i:]
				return err
			}
		}
	}
}

// leaveBehind is how the sink ended. One that has not is in a system call that does
// not return: what it held is lost.
func (s *sink) leaveBehind() error {
	select {
	case <-s.done:
		return s.err
	default:
		s.queue.end(Stopped)
		return fmt.Errorf("sink %q: a write did not return in %v", s.config.Name, stopTime+graceTime)
	}
}

// rest is what the transport does meanwhile.
func (s *sink) rest(ctx context.Context) time.Time {
	s.health.begin(time.Now(), longestWrite)
	next, err := s.transport.Rest(ctx)
	s.health.returned()
	if trouble, ok := errors.AsType[troubleError](err); ok {
		s.note(trouble)
	} else if err != nil {
		s.fails(err)
	}
	return next
}

// deliver returns nil when the batch is dealt with, or ctx has ended.
func (s *sink) deliver(ctx context.Context, b *batch) error {
	wait := firstWait
	s.dealt = 0
	for from := 0; from < len(b.containers); {
		last := s.stopping()
		s.health.begin(time.Now(), s.mayTake(b))
		o, err := s.transport.Send(ctx, b, from)
		s.health.returned()
		s.show(b, from, from+o.done)
		from += o.done
		s.dealt = from
		s.queue.settle(&o)
		switch {
		case ctx.Err() != nil:
			return nil
		case err == nil:
			s.note(o.trouble)
			continue
		case s.final(err):
			s.health.fail(err, time.Now(), false)
			return err
		case last:
			s.health.fail(err, time.Now(), false)
			return fmt.Errorf("%w: %w", errGaveUp, err)
		}
		s.fails(err)
		s.pause(ctx, wait)
		wait = min(2*wait, longestWait)
	}
	return nil
}

// mayTake is how long a Send may be under way before something is wrong: a rate holds
// up datagrams, of which there are no more than twice what the MTU would need.
func (s *sink) mayTake(b *batch) time.Duration {
	if s.config.Rate == 0 {
		return longestWrite
	}
	datagrams := len(b.containers) + 2*len(b.buf)/s.config.MTU
	return longestWrite + time.Duration(datagrams)*time.Second/time.Duration(s.config.Rate)
}

// finish brings the batch's containers into their final form.
func (s *sink) finish(b *batch) *batch {
	if !s.config.Zlib {
		return b
	}
	d := &s.deflated
	d.reset()
	d.seqID, d.seq, d.clock, d.records = b.seqID, b.seq, b.clock, b.records
	for i := range b.containers {
		d.buf = s.deflate(d.buf, b.container(i))
		d.containers = append(d.containers, mark{end: len(d.buf), records: b.containers[i].records})
	}
	return d
}

// deflate appends the container, compressed where that makes it smaller. On UDP it
// also has to make it fit: some readers cannot take fragments of what is compressed.
func (s *sink) deflate(buf, container []byte) []byte {
	at := len(buf)
	buf, err := s.deflater.Append(buf, container)
	n := len(buf) - at
	if err != nil || n >= len(container) || s.config.Target.Scheme == UDP && n > s.config.MTU {
		return append(buf[:at], container...)
	}
	return buf
}

// final reports whether there is no use in trying again, or nobody to wait for it:
// a replay's input would stand still.
func (s *sink) final(err error) bool {
	_, broken := errors.AsType[brokenError](err)
	return broken || s.mode == Replay
}

func (s *sink) stopping() bool {
	select {
	case <-s.queue.closing:
		return true
	default:
		return false
	}
}

// pause waits before the transport is tried again, or for the last time.
func (s *sink) pause(ctx context.Context, wait time.Duration) {
	t := time.NewTimer(wait)
	defer t.Stop()
	select {
	case <-t.C:
	case <-s.queue.closing:
	case <-ctx.Done():
	}
}

// note tells what the transport thought of a batch that it is done with.
func (s *sink) note(trouble error) {
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

func (s *sink) fails(err error) {
	if s.health.fail(err, time.Now(), false) {
		s.log.Error("sink fails and is tried again; records wait in its queue, and when that is full the oldest are lost",
			"error", err)
	}
}
