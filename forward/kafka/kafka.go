// Package kafka sends NMSG containers to a topic of a Kafka cluster, one in each message. A
// container is delivered when all in-sync replicas of its partition have it (acks=all).
//
// The client repeats a message that was not acknowledged, and the broker stores it once, because
// writes are idempotent. This ends with the client: a Send that gives up closes it, and the sink
// sends again every container from the first one that was not acknowledged on. Therefore a
// container can be in the topic twice after an error, a reload or a restart. Readers find that by
// sequence id and number. Containers of one partition keep their order. After an error, containers
// without a key may be stored after later ones: another partition may get them.
//
// The package does not know what a container contains, except the owner name of its first RRset
// where that selects the partition. It does not know which batches are queued or what a spool is.
package kafka

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/dnstap-pdns/dnstap-pdns/conf/brokers"
	"github.com/dnstap-pdns/dnstap-pdns/forward"
)

// MaxContainer is the largest container in bytes: brokers accept about 1 MB, and readers allocate
// what a message states.
const MaxContainer = 256 << 10

const (
	// The bytes of containers that wait for acknowledgements. They are halved after a failure
	// and doubled after a fast acknowledgement, so that a slow link makes progress too.
	maxUnacknowledged = 4 << 20
	fastAcknowledged  = 5 * time.Second

	// maxUnits is the largest number of containers that wait for acknowledgements.
	maxUnits = 8192
)

// timings are the limits of a transport.
type timings struct {
	check   time.Duration // for the brokers to describe the topic
	outage  time.Duration // without an acknowledgement, after a connection to a broker failed
	silence time.Duration // without an acknowledgement
	send    time.Duration // for all acknowledgements of a Send
	finish  time.Duration // for all acknowledgements after the sink has to stop
	idle    time.Duration // between two checks while nothing is sent
	expiry  time.Duration // after which the client's certificate is read again: it may have been renewed
}

var defaultTimings = timings{
	check:   10 * time.Second,
	outage:  5 * time.Second,
	silence: 30 * time.Second,
	send:    time.Minute,
	finish:  2 * time.Second,
	idle:    10 * time.Second,
	expiry:  time.Hour,
}

// Config is the configuration that only sinks with this transport have.
type Config struct {
	Brokers brokers.Config
	Topic   string
}

// Stream returns the name of the topic: a spool is for one topic only.
func (c Config) Stream() string { return c.Topic }

// New returns a transport to the topic. The first Send or Idle connects.
func (c Config) New(s *forward.SinkConfig, env forward.Env) (forward.Transport, error) {
	if s.MTU > MaxContainer {
		return nil, fmt.Errorf("containers of %d bytes: at most %d fit into a message", s.MTU, MaxContainer)
	}
	return newTransport(c, s, env), nil
}

func newTransport(c Config, s *forward.SinkConfig, env forward.Env) *transport {
	format, _ := s.Format.(forward.DNSDedupe)
	return &transport{
		config:      c,
		log:         env.Log.With("peer", s.Target.String()),
		stop:        env.Stop,
		timings:     defaultTimings,
		zlib:        s.Zlib,
		keyed:       format.Buckets,
		unconfirmed: maxUnacknowledged,
	}
}

type transport struct {
	config  Config
	log     *slog.Logger
	stop    <-chan struct{}
	timings timings
	zlib    bool // containers are compressed
	keyed   bool // containers have a key

	client      *kgo.Client // nil: none
	checked     time.Time   // when the brokers last described the topic or acknowledged containers
	looked      time.Time   // when the TLS files were read last
	unconfirmed int         // bytes that may wait for acknowledgements
	keys        keyReader

	trouble      trouble
	buffered     atomic.Int64       // bytes that wait for acknowledgements
	acknowledged forward.AtomicTime // zero: not yet
	expires      forward.AtomicTime // of the client's certificate; zero: there is none
}

// Open does nothing: Send and Idle make a client, and another one after a failure.
func (t *transport) Open(context.Context) error { return nil }

// Send sends units of bs up to a limit in bytes, and waits for their acknowledgements. The result
// counts the units before the first one that was not acknowledged. Nothing of bs is used after it
// returns.
func (t *transport) Send(ctx context.Context, bs []*forward.Batch, from int) (forward.Result, error) {
	if err := t.connect(ctx); err != nil {
		return forward.Result{}, err
	}
	began := time.Now()
	f := t.produce(bs, from)
	gaveUp := t.await(ctx, f)
	if gaveUp != nil {
		t.drop() // ends what was not acknowledged
		<-f.done
	}
	r, err := f.result()
	switch {
	case err == nil:
		t.checked = time.Now()
		if t.checked.Sub(began) < fastAcknowledged {
			t.unconfirmed = min(max(2*t.unconfirmed, forward.BatchSize), maxUnacknowledged)
		}
	case gaveUp != nil:
		t.unconfirmed /= 2
		err = gaveUp
	default:
		t.drop()
		err = brokers.Reason(err)
	}
	return r, err
}

// await waits until every unit of f is acknowledged or has failed. An error states why it waits no
// longer.
func (t *transport) await(ctx context.Context, f *flight) error {
	limit := time.NewTimer(t.timings.send)
	defer limit.Stop()
	look := time.NewTicker(t.timings.outage / 10)
	defer look.Stop()
	stop := t.stop
	for {
		select {
		case <-f.done:
			return nil
		case <-look.C:
			silent := time.Since(f.progress())
			if failure := t.trouble.get(); failure != nil && silent >= t.timings.outage {
				return failure
			}
			if silent >= t.timings.silence {
				return fmt.Errorf("the brokers did not acknowledge containers within %v: are all in-sync replicas up?", t.timings.silence)
			}
		case <-limit.C:
			return errors.New("the brokers did not acknowledge all containers in time")
		case <-stop:
			stop = nil
			limit.Reset(t.timings.finish)
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// Idle checks from time to time that the brokers know the topic.
func (t *transport) Idle(ctx context.Context) (time.Time, error) {
	if due := t.checked.Add(t.timings.idle); t.client != nil && time.Now().Before(due) {
		return due, nil
	}
	if t.client != nil {
		if err := t.check(ctx); err != nil {
			t.drop()
			return time.Now().Add(t.timings.idle), err
		}
	}
	err := t.connect(ctx)
	return time.Now().Add(t.timings.idle), err
}

// Close ends the client: every container that was sent is acknowledged, or Send returned an error.
func (t *transport) Close(context.Context) error {
	t.drop()
	return nil
}

// Acknowledged returns when the brokers last acknowledged containers.
func (t *transport) Acknowledged() time.Time { return t.acknowledged.Load() }

// Expires returns when the client's certificate expires, the one in the file.
func (t *transport) Expires() time.Time { return t.expires.Load() }

// Buffered returns the volume that waits for acknowledgements.
func (t *transport) Buffered() *forward.Buffered {
	return &forward.Buffered{Bytes: uint64(t.buffered.Load())}
}

// MayTake returns the longest time of a Send that connects and waits for acknowledgements.
func (t *transport) MayTake([]*forward.Batch) time.Duration {
	return 2*t.timings.check + t.timings.send
}
