package kafka

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/dnstap-pdns/dnstap-pdns/conf/brokers"
)

const (
	// batchBytes is the largest batch of messages: one container of the largest size fits. A topic
	// whose max.message.bytes is not lower accepts every batch.
	batchBytes = MaxContainer + 1<<10

	// requestBytes is the largest request, so that a slow link can send it in the time that the
	// client allows.
	requestBytes = 1 << 20

	// retries is how often the client repeats a message to which a broker answers with an error
	// that may pass, about once per metadataAge. It repeats without this limit what may be stored.
	retries     = 6
	metadataAge = time.Second // between two requests for the leaders of partitions at least
)

// options returns the options of a client that only produces.
func (t *transport) options() ([]kgo.Opt, error) {
	opts, err := t.config.Brokers.Options()
	if err != nil {
		return nil, err
	}
	if t.zlib {
		opts = append(opts, kgo.ProducerBatchCompression(kgo.NoCompression()))
	}
	opts = append(opts,
		kgo.RequiredAcks(kgo.AllISRAcks()),
		kgo.DefaultProduceTopic(t.config.Topic),
		kgo.MaxBufferedRecords(maxUnits),
		kgo.MaxBufferedBytes(maxUnacknowledged+MaxContainer+maxUnits*keyLen),
		kgo.ProducerBatchMaxBytes(batchBytes),
		kgo.BrokerMaxWriteBytes(requestBytes),
		kgo.RecordRetries(retries),
		kgo.MetadataMinAge(metadataAge),
		kgo.ProducerLinger(0), // a Send waits for its messages
		kgo.WithHooks(&t.trouble),
	)
	return opts, nil
}

// connect makes a client, unless there is one. It reads the files again, and checks that the
// brokers accept the user and know the topic.
func (t *transport) connect(ctx context.Context) error {
	t.noteExpiry()
	if t.client != nil {
		return nil
	}
	opts, err := t.options()
	if err != nil {
		return err
	}
	t.trouble.clear()
	if t.client, err = kgo.NewClient(opts...); err != nil {
		return fmt.Errorf("making a client: %w", err)
	}
	if err := t.check(ctx); err != nil {
		t.drop()
		return err
	}
	t.log.Info("connected")
	return nil
}

// drop closes the client, if there is one. It fails the messages that are not acknowledged.
func (t *transport) drop() {
	if t.client != nil {
		t.client.Close()
		t.client = nil
	}
}

// check asks the brokers for the topic.
func (t *transport) check(ctx context.Context) error {
	limited, cancel := context.WithTimeout(ctx, t.timings.check)
	defer cancel()
	defer t.endWithStop(cancel)()
	err := t.describe(limited)
	if err == nil {
		t.checked = time.Now()
		return nil
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if failure := t.trouble.get(); failure != nil && limited.Err() != nil {
		return failure
	}
	return brokers.Reason(err)
}

// endWithStop calls end a short time after the sink has to stop, unless the returned function is
// called, which waits for its goroutine.
func (t *transport) endWithStop(end func()) (release func()) {
	var waiting sync.WaitGroup
	released := make(chan struct{})
	waiting.Go(func() {
		select {
		case <-t.stop:
		case <-released:
			return
		}
		limit := time.NewTimer(t.timings.finish)
		defer limit.Stop()
		select {
		case <-limit.C:
			end()
		case <-released:
		}
	})
	return func() {
		close(released)
		waiting.Wait()
	}
}

// describe asks for the topic. First it asks each known broker once, so that the reason why none
// can be reached is known at once: the second request is repeated until ctx ends.
func (t *transport) describe(ctx context.Context) error {
	if err := t.client.Ping(ctx); err != nil {
		return err
	}
	return brokers.FindTopic(ctx, t.client, t.config.Topic)
}

// noteExpiry reads the TLS files if they were not read for long, and notes when the client's
// certificate expires. If that has changed, another client is made. An error is one of the next
// client.
func (t *transport) noteExpiry() {
	if t.client != nil && time.Since(t.looked) < t.timings.expiry {
		return
	}
	t.looked = time.Now()
	expires, err := t.config.Brokers.Expires()
	if err != nil {
		return
	}
	before := t.expires.Load()
	if t.expires.Store(expires); !t.expires.Load().Equal(before) {
		t.drop()
	}
}

// trouble is the latest failure of a connection since containers were acknowledged. It is a hook of
// the client.
type trouble struct {
	mu  sync.Mutex
	err error
}

// OnBrokerConnect notes a failure.
func (t *trouble) OnBrokerConnect(_ kgo.BrokerMetadata, _ time.Duration, _ net.Conn, err error) {
	if err == nil || errors.Is(err, context.Canceled) || errors.Is(err, kgo.ErrClientClosed) {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.err = brokers.Reason(err)
}

func (t *trouble) clear() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.err = nil
}

func (t *trouble) get() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.err
}
