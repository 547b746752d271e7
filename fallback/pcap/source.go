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

// A Source captures on interfaces, always or while no dnstap sender sends outward messages.
type Source struct {
	config  Config
	outlet  Lanes
	senders *DnstapSenders
	log     *slog.Logger

	rings *ring.Capture // opened by Open and used by Run if When is Always; else nil

	mu       sync.Mutex
	current  *session // nil while nothing is captured
	finished Stats    // counts of the sessions that have ended
}

// retryTime is the time between two attempts to begin a capture.
const retryTime = 10 * time.Second

// Open checks that the source can capture, by opening its rings. A source with When Idle
// closes them, and opens them again when senders reports silence. Nothing is captured before
// Run.
func Open(cfg Config, outlet Lanes, senders *DnstapSenders, log *slog.Logger) (*Source, error) {
	if err := cfg.check(); err != nil {
		return nil, err
	}
	s := &Source{config: cfg, outlet: outlet, senders: senders, log: log.With("source", cfg.Name)}
	rings, err := ring.Open(cfg.ringConfig(), s.log)
	if err != nil {
		return nil, err
	}
	if cfg.When == Idle { // the rings may be needed much later, and their memory is locked
		return s, rings.Close()
	}
	s.rings = rings
	return s, nil
}

// smallestRing is a size that every capture may have.
const smallestRing = 1 << 20

// Probe returns the error with which Open would fail now. It closes what it opens. It opens
// one small ring for each interface: the memory of the rings is in use if the source runs.
func Probe(cfg Config) error {
	cfg.Ring, cfg.Lanes = smallestRing, 1
	s, err := Open(cfg, nil, nil, slog.New(slog.DiscardHandler))
	if err != nil {
		return err
	}
	return s.Close()
}

// Close releases the rings that Open opened. It is for a source that is not run.
func (s *Source) Close() error {
	if s.rings == nil {
		return nil
	}
	return s.rings.Close()
}

// Run captures until ctx ends. When it returns, the lanes have taken every packet received
// before.
func (s *Source) Run(ctx context.Context) error {
	if s.config.When == Always {
		rings := s.rings
		s.rings = nil
		return s.capture(ctx, rings, "always")
	}
	reported := "" // the latest error that was logged
	for {
		capturing, end := s.senders.awaitSilence(ctx, s.config.IdleAfter)
		if end == nil {
			return nil
		}
		err := s.captureWhileIdle(capturing)
		end()
		s.setFailing(err != nil)
		if err == nil {
			reported = ""
			continue
		}
		if why := err.Error(); why != reported {
			reported = why
			s.log.Error("the capture failed, retrying", "every", retryTime, "error", err)
		}
		if !pause(ctx, retryTime) {
			return nil
		}
	}
}

// captureWhileIdle opens rings and captures until ctx, made by awaitSilence, ends.
func (s *Source) captureWhileIdle(ctx context.Context) error {
	cfg := s.config.ringConfig()
	cfg.AllowAbsent = true // Open has found every interface: capture on the others if one is missing now
	rings, err := ring.Open(cfg, s.log)
	if err != nil {
		s.countFailure()
		return err
	}
	return s.capture(ctx, rings, fmt.Sprintf("no dnstap sender has sent an outward message for %v", s.config.IdleAfter))
}

// endReason returns the reason why a capture has ended, and the counter of that reason.
func (s *Source) endReason(ctx context.Context, err error) (counter *uint64, reason string) {
	switch {
	case err != nil:
		return &s.finished.Ended.Broken, "it failed"
	case errors.Is(context.Cause(ctx), errDnstapOutward):
		return &s.finished.Ended.ByDnstap, errDnstapOutward.Error()
	}
	return &s.finished.Ended.Stopped, "the source stops"
}

// pause waits for d. It returns false if ctx ends first.
func pause(ctx context.Context, d time.Duration) bool {
	select {
	case <-ctx.Done():
		return false
	case <-time.After(d):
		return true
	}
}

// capture reads the rings until ctx ends. It then calls the outlet's HandOver, and closes the
// rings.
func (s *Source) capture(ctx context.Context, rings *ring.Capture, reason string) (err error) {
	defer func() { err = errors.Join(err, rings.Close()) }()
	if err := rings.Attach(); err != nil {
		s.countFailure()
		return err
	}
	to, err := s.destinations()
	if err != nil {
		s.countFailure()
		return err
	}
	on := transform.Time(time.Now().UnixNano())
	current := &session{rings: rings, sampler: &sampler{
		interfaces: s.config.Interfaces,
		passed:     func() uint64 { return rings.Stats().Packets },
		sample:     ring.Sample,
		dissector:  packet.New(s.config.dissectorConfig(to)),
		log:        s.log,
	}}
	for i := range s.config.Lanes {
		current.readers = append(current.readers, &reader{
			ring:      rings.Reader(i),
			dissector: packet.New(s.config.dissectorConfig(to)),
			lane:      s.outlet.Lane(on),
		})
	}
	s.begin(current)
	s.log.Info("capture begins", "reason", reason)
	err = current.run(ctx)
	counter, reason := s.endReason(ctx, err)
	s.end(current, counter)
	s.outlet.HandOver(s.span(on, rings))
	s.log.Info("capture has ended", "reason", reason)
	return err
}

// span returns the span from on to the end of the capture, in which it recorded every packet.
// The span is empty if no packet was captured, as on an interface that is down or the wrong
// one.
func (s *Source) span(on transform.Time, rings *ring.Capture) transform.Span {
	off := rings.Ended()
	if rings.Stats().Packets == 0 {
		off = on
	}
	return transform.Span{On: on, Off: off, Resolvers: s.config.Resolvers}
}
