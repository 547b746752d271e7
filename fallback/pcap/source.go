package pcap

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/dnstap-pdns/dnstap-pdns/fallback/pcap/packet"
	"github.com/dnstap-pdns/dnstap-pdns/fallback/pcap/ring"
	"github.com/dnstap-pdns/dnstap-pdns/transform"
)

// A Source captures on interfaces, all the time or while no dnstap sender tells
// anything outward.
type Source struct {
	config  Config
	outlet  Outlet
	senders *Senders
	log     *slog.Logger

	rings *ring.Capture // what Always begins with; nil once that has begun

	mu      sync.Mutex
	current *session // nil while nothing is captured
	gone    Stats    // of the sessions that are over
}

// retryTime is how long a capture that cannot begin waits before it tries again.
const retryTime = 10 * time.Second

// Open checks that the source may capture where it is to, and opens what it needs
// for that; nothing is captured before Run. senders is who is listened to where the
// source captures only while none of them tells anything.
func Open(cfg Config, outlet Outlet, senders *Senders, log *slog.Logger) (*Source, error) {
	if err := cfg.check(); err != nil {
		return nil, err
	}
	s := &Source{config: cfg, outlet: outlet, senders: senders, log: log.With("source", cfg.Name)}
	rings, err := ring.Open(cfg.rings(), s.log)
	if err != nil {
		return nil, err
	}
	if cfg.When == Idle { // it may be long until they are needed, and their memory is locked
		return s, rings.Close()
	}
	s.rings = rings
	return s, nil
}

// Close releases what Open has opened. It is for a source that is not run.
func (s *Source) Close() error {
	if s.rings == nil {
		return nil
	}
	return s.rings.Close()
}

// Run captures until ctx ends. What had been received by then has been taken when
// it returns.
func (s *Source) Run(ctx context.Context) error {
	if s.config.When == Always {
		rings := s.rings
		s.rings = nil
		return s.capture(ctx, rings, "always")
	}
	told := "" // of what does not work, until it is something else
	for {
		capturing, end := s.senders.awaitSilence(ctx, s.config.IdleAfter)
		if end == nil {
			return nil
		}
		err := s.captureWhileIdle(capturing)
		end()
		if err == nil {
			told = ""
			continue
		}
		if why := err.Error(); why != told {
			told = why
			s.log.Error("capture does not work; it is tried again and again", "every", retryTime, "error", err)
		}
		if !pause(ctx, retryTime) {
			return nil
		}
	}
}

func (s *Source) captureWhileIdle(ctx context.Context) error {
	cfg := s.config.rings()
	cfg.Absent = true // it was there at first: the others stand in meanwhile
	rings, err := ring.Open(cfg, s.log)
	if err != nil {
		s.failed()
		return err
	}
	return s.capture(ctx, rings, fmt.Sprintf("no dnstap sender has told anything outward for %v", s.config.IdleAfter))
}

// ending is why a capture has ended, and what counts that.
func (s *Source) ending(ctx context.Context, err error) (counter *uint64, reason string) {
	switch {
	case err != nil:
		return &s.gone.Ended.Broken, "it failed"
	case errors.Is(context.Cause(ctx), errSenderTells):
		return &s.gone.Ended.Told, errSenderTells.Error()
	}
	return &s.gone.Ended.Stopped, "this source stops"
}

// pause reports whether ctx has not ended meanwhile.
func pause(ctx context.Context, d time.Duration) bool {
	select {
	case <-ctx.Done():
		return false
	case <-time.After(d):
		return true
	}
}

// capture reads the rings until ctx ends, closes them, and hands over.
func (s *Source) capture(ctx context.Context, rings *ring.Capture, reason string) (err error) {
	defer func() { err = errors.Join(err, rings.Close()) }()
	if err := rings.Attach(); err != nil {
		s.failed()
		return err
	}
	to, err := s.destinations()
	if err != nil {
		s.failed()
		return err
	}
	on := transform.Time(time.Now().UnixNano())
	current := &session{rings: rings}
	for i := range s.config.Lanes {
		current.readers = append(current.readers, &reader{
			ring:      rings.Reader(i),
			dissector: packet.New(s.config.dissection(to)),
			lane:      s.outlet.Lane(on),
		})
	}
	s.begin(current)
	s.log.Info("capture begins", "reason", reason)
	err = current.run(ctx)
	counter, reason := s.ending(ctx, err)
	s.end(current, counter)
	s.outlet.HandOver(s.span(on, rings))
	s.log.Info("capture has ended", "reason", reason)
	return err
}

// span is what the capture can vouch for: nothing, if it has seen no packet at all,
// as of an interface that is down or the wrong one.
func (s *Source) span(on transform.Time, rings *ring.Capture) transform.Span {
	off := rings.Ended()
	if rings.Stats().Packets == 0 {
		off = on
	}
	return transform.Span{On: on, Off: off, Resolvers: s.config.Resolvers}
}
