package kafka

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/dnstap-pdns/dnstap-pdns/forward/nmsg"
)

// A Source is a member of a consumer group.
type Source struct {
	config  Config
	inlet   Inlet
	log     *slog.Logger
	account account

	firstPause   time.Duration // after the first of several failures
	findInterval time.Duration // between two attempts to find the topic
	options      []kgo.Opt     // in addition, for tests

	// The rest belongs to the goroutine of Run while rebalances are blocked: from the return of a poll
	// to AllowRebalance. At other times it belongs to the callbacks of the client, which kgo calls one
	// after another.
	client     *kgo.Client
	work       context.Context // of calls of the inlet: ends stopTime after that of Run
	owned      map[int32]bool  // the partitions that are assigned
	partitions map[int32]*partition
	due        time.Time          // of the next commit; zero: nothing was read since the latest
	again      bool               // a commit failed: what was read since the latest one must be read again
	interrupt  context.CancelFunc // ends the poll
	pause      time.Duration      // before the next poll
	left       bool               // the group is left: nothing more is committed
	reader     nmsg.SingleReader
	decoder    nmsg.Decoder

	mu      sync.Mutex
	fetched map[int32]int64 // the offsets that the group had committed when the partition was assigned
}

const (
	// stopTime is the time that a source has for its last confirmation and commit when it stops.
	stopTime = 5 * time.Second

	firstPause   = time.Second
	longestPause = 30 * time.Second
	findInterval = 10 * time.Second

	// maxPoll is the number of containers that are passed to the sinks while rebalances are blocked.
	maxPoll = 16
)

// New returns a source. Run connects.
func New(c Config, inlet Inlet, log *slog.Logger) *Source {
	return &Source{
		config: c, inlet: inlet, log: log.With("source", c.Name), firstPause: firstPause, findInterval: findInterval,
		partitions: map[int32]*partition{}, owned: map[int32]bool{}, fetched: map[int32]int64{},
	}
}

// Run reads until ctx ends. Then it finishes the current container, has everything confirmed,
// commits it, and leaves the group; that takes a few seconds at most. It tries again for ever
// after errors of brokers: an error that it returns is one of the configuration.
func (s *Source) Run(ctx context.Context) error {
	defer s.inlet.Close()
	work, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	defer context.AfterFunc(ctx, func() { time.AfterFunc(stopTime, stop) })()
	s.work = work

	options, err := s.readOptions(ctx)
	if err != nil {
		return nil // stopped before it could connect
	}
	wait, cancel := s.nextWait(ctx)
	defer func() { cancel() }()
	if s.client, err = kgo.NewClient(options...); err != nil {
		return fmt.Errorf("configuring the Kafka client of source %q: %w", s.config.Name, err)
	}
	defer s.leave()
	for {
		fetches := s.client.PollRecords(wait, maxPoll)
		if len(fetches) == 0 {
			continue // rebalances are not blocked
		}
		cancel()
		s.take(ctx, fetches)
		stopping := ctx.Err() != nil
		if stopping || !s.due.IsZero() && !time.Now().Before(s.due) {
			s.commit(work)
		}
		if stopping {
			return nil
		}
		if s.again {
			s.readAgain()
		}
		if len(s.owned) == 0 {
			s.findTopic(ctx)
		}
		pause := s.pause
		s.pause = 0
		wait, cancel = s.nextWait(ctx)
		s.client.AllowRebalance()
		rest(ctx, pause)
	}
}

// nextWait returns the context of the next poll. It ends when a commit is due, when it is time to
// look for the topic, or when a callback has set s.again.
func (s *Source) nextWait(ctx context.Context) (context.Context, context.CancelFunc) {
	end := s.due
	if len(s.owned) == 0 {
		end = time.Now().Add(s.findInterval)
	}
	if end.IsZero() {
		ctx, s.interrupt = context.WithCancel(ctx)
	} else {
		ctx, s.interrupt = context.WithDeadline(ctx, end)
	}
	return ctx, s.interrupt
}

// readOptions returns the options of the client. It tries again until ctx ends, because the files
// that the configuration names may be replaced.
func (s *Source) readOptions(ctx context.Context) ([]kgo.Opt, error) {
	for {
		options, err := s.config.Brokers.Options()
		if err == nil {
			return append(append(options, s.memberOptions()...), s.options...), nil
		}
		pause := s.failed(connecting, fmt.Errorf("reading the options of the connection: %w", err))
		if rest(ctx, pause); ctx.Err() != nil {
			return nil, ctx.Err()
		}
	}
}

// rest waits for d, or until ctx ends.
func rest(ctx context.Context, d time.Duration) {
	if d <= 0 {
		return
	}
	select {
	case <-time.After(d):
	case <-ctx.Done():
	}
}

// leaveTime is the time that brokers have to note that the member leaves.
const leaveTime = time.Second

// leave leaves the group and closes the client.
func (s *Source) leave() {
	s.left = true
	s.client.AllowRebalance()
	ctx, cancel := context.WithTimeout(context.Background(), leaveTime)
	defer cancel()
	_ = s.client.LeaveGroupContext(ctx) // the session times out if this fails
	s.client.Close()
}
