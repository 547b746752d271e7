package kafka

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/dnstap-pdns/dnstap-pdns/conf/brokers"
	"github.com/dnstap-pdns/dnstap-pdns/forward"
	"github.com/dnstap-pdns/dnstap-pdns/forward/forwardtest"
)

const topic = "nmsg"

// quick are timings for tests with failures.
var quick = timings{
	check:   5 * time.Second,
	outage:  500 * time.Millisecond,
	silence: 2 * time.Second,
	send:    5 * time.Second,
	finish:  200 * time.Millisecond,
	idle:    100 * time.Millisecond,
	expiry:  time.Hour,
}

// newFake returns a fake cluster with a topic of this many partitions, which each of its brokers may
// lead.
func newFake(tb testing.TB, partitions int32, opts ...kfake.Opt) *kfake.Cluster {
	tb.Helper()
	c, err := kfake.NewCluster(append([]kfake.Opt{kfake.SeedTopics(partitions, topic)}, opts...)...)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(c.Close)
	return c
}

// A client is a transport for a test, with its log.
type client struct {
	*transport
	log  forwardtest.Log
	stop chan struct{}
}

// newClient returns a transport to brokers.
func newClient(tb testing.TB, addresses []string, change ...func(*Config, *forward.SinkConfig)) *client {
	tb.Helper()
	c := &client{stop: make(chan struct{})}
	sink := forwardtest.Sink("kafka", forward.Target{Scheme: forward.Kafka, Address: strings.Join(addresses, ",") + "/" + topic}, nil)
	config := Config{Brokers: brokers.Config{Addresses: addresses}, Topic: topic}
	for _, f := range change {
		f(&config, &sink)
	}
	c.transport = newTransport(config, &sink, forward.Env{Log: slog.New(slog.NewTextHandler(&c.log, nil)), Stop: c.stop})
	c.timings = quick
	tb.Cleanup(func() {
		if err := c.Close(context.Background()); err != nil {
			tb.Error(err)
		}
		if n := c.Buffered().Bytes; n != 0 {
			tb.Errorf("%d bytes wait for an acknowledgement after the close", n)
		}
	})
	return c
}

// batch returns a batch with n containers, numbered from first, of size octets.
func batch(first, n, size int) *forward.Batch {
	b := &forward.Batch{}
	for i := range n {
		b.Buf = append(b.Buf, container(first+i, size)...)
		b.Units = append(b.Units, forward.Unit{End: len(b.Buf), Records: 1})
	}
	return b
}

// container returns container number i. Without keys the transport does not look into it.
func container(i, size int) []byte {
	b := make([]byte, size)
	copy(b, fmt.Sprintf("container %d ", i))
	return b
}

// send sends all units of bs, and retries as a sink does, for a limited time.
func (c *client) send(tb testing.TB, bs ...*forward.Batch) (errors []error) {
	tb.Helper()
	deadline := time.Now().Add(30 * time.Second)
	from := 0
	for len(bs) > 0 {
		r, err := c.Send(tb.Context(), bs, from)
		if err != nil {
			errors = append(errors, err)
			if time.Now().After(deadline) {
				tb.Fatalf("not sent: %v", errors)
			}
			delayFor(20 * time.Millisecond)
		} else if r.Units == 0 {
			tb.Fatal("no progress")
		}
		for from += r.Units; len(bs) > 0 && from >= len(bs[0].Units); bs = bs[1:] {
			from -= len(bs[0].Units)
		}
	}
	return errors
}

// mustSend sends all units of bs, and fails the test at an error.
func (c *client) mustSend(tb testing.TB, bs ...*forward.Batch) {
	tb.Helper()
	if failures := c.send(tb, bs...); failures != nil {
		tb.Fatal(failures)
	}
}

// stored returns all messages of the topic, by partition.
func stored(tb testing.TB, c *kfake.Cluster, opts ...kgo.Opt) (all [][]*kgo.Record) {
	tb.Helper()
	infos := c.PartitionInfos(topic)
	want := 0
	all = make([][]*kgo.Record, len(infos))
	for _, i := range infos {
		want += int(i.HighWatermark)
	}
	reader, err := kgo.NewClient(append(opts, kgo.SeedBrokers(c.ListenAddrs()...), kgo.ConsumeTopics(topic), kgo.DisableClientMetrics(), kgo.FetchMaxWait(100*time.Millisecond))...)
	if err != nil {
		tb.Fatal(err)
	}
	defer reader.Close()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	for n := 0; n < want; {
		fetches := reader.PollFetches(ctx)
		if err := fetches.Err0(); err != nil {
			tb.Fatalf("%d of %d messages were read: %v", n, want, err)
		}
		fetches.EachRecord(func(r *kgo.Record) {
			all[r.Partition] = append(all[r.Partition], r)
			n++
		})
	}
	return all
}

// numbers returns how often each container is stored, and fails the test if octets were changed or,
// if ordered, a partition is not in order.
func numbers(tb testing.TB, partitions [][]*kgo.Record, ordered bool) map[int]int {
	tb.Helper()
	times := map[int]int{}
	for p, records := range partitions {
		last := -1
		for _, r := range records {
			var n int
			if _, err := fmt.Sscanf(string(r.Value), "container %d ", &n); err != nil || string(r.Value) != string(container(n, len(r.Value))) {
				tb.Fatalf("octets changed: %.40q", r.Value)
			}
			times[n]++
			if ordered && n < last {
				tb.Errorf("partition %d: container %d is stored after %d", p, n, last)
			}
			last = n
		}
	}
	return times
}

// checkStored checks that the containers from 0 to n-1 are stored, once each and in order unless
// repeats.
func checkStored(tb testing.TB, c *kfake.Cluster, n int, repeats bool) {
	tb.Helper()
	times := numbers(tb, stored(tb, c), !repeats)
	if len(times) != n {
		tb.Errorf("%d containers are stored, want %d", len(times), n)
	}
	for i, k := range times {
		if k > 1 && !repeats {
			tb.Errorf("container %d is stored %d times", i, k)
		}
	}
}

// eventually waits until done returns true.
func eventually(t *testing.T, what string, done func() bool) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); !done(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("it did not happen: %s", what)
		}
	}
}

// delayFor delays an answer or a retry.
func delayFor(d time.Duration) { time.Sleep(d) }
