package kafka

import (
	"errors"
	"io"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/dnstap-pdns/dnstap-pdns/forward"
)

const produceKey = int16(kmsg.Produce)

func TestContainersReachAFakeCluster(t *testing.T) {
	for _, zlib := range []bool{false, true} {
		cluster := newFake(t, 3)
		c := newClient(t, cluster.ListenAddrs(), func(_ *Config, s *forward.SinkConfig) { s.Zlib = zlib })
		small, large := batch(0, 50, 100), batch(50, 2, MaxContainer)
		r, err := c.Send(t.Context(), []*forward.Batch{small, large}, 0)
		want := forward.Result{Units: 52, Delivered: 52, Sent: forward.Sent{Containers: 52, Bytes: uint64(len(small.Buf) + len(large.Buf))}}
		if err != nil || r != want {
			t.Fatalf("got %+v, %v, want %+v", r, err, want)
		}
		checkStored(t, cluster, 52, false)
		for _, records := range stored(t, cluster) {
			for _, record := range records {
				if codec := record.Attrs.CompressionType(); record.Key != nil || (codec == 0) != zlib {
					t.Errorf("key %q, compression %d", record.Key, codec)
				}
			}
		}
		if time.Since(c.Acknowledged()) > time.Minute || !c.Expires().IsZero() {
			t.Errorf("acknowledged at %v, expires at %v", c.Acknowledged(), c.Expires())
		}
		c.mustSend(t, batch(52, 10, 100))
		checkStored(t, cluster, 62, false)
	}
}

func TestContainersThatAreTooBig(t *testing.T) {
	cluster := newFake(t, 1)
	c := newClient(t, cluster.ListenAddrs())
	b := batch(0, 1, 100)
	b.Buf = append(b.Buf, make([]byte, MaxContainer+1)...)
	b.Units = append(b.Units, forward.Unit{End: len(b.Buf), Records: 7})
	b.Buf = append(b.Buf, container(1, 100)...)
	b.Units = append(b.Units, forward.Unit{End: len(b.Buf), Records: 1})
	r, err := c.Send(t.Context(), []*forward.Batch{b}, 0)
	if err != nil || r.Units != 3 || r.Delivered != 2 || r.Lost[forward.TooBig] != 7 || !errors.Is(r.LossCause, errTooBig) {
		t.Errorf("%+v, %v", r, err)
	}
	checkStored(t, cluster, 2, false)
	config := Config{Topic: topic}
	if _, err := config.New(&forward.SinkConfig{MTU: MaxContainer + 1}, forward.Env{}); err == nil {
		t.Error("a sink with larger containers is accepted")
	}
}

func TestASendIsLimited(t *testing.T) {
	t.Parallel()
	cluster := newFake(t, 2)
	c := newClient(t, cluster.ListenAddrs())
	var most atomic.Int64
	cluster.ControlKey(produceKey, func(kmsg.Request) (kmsg.Response, error, bool) {
		cluster.KeepControl()
		most.Store(max(most.Load(), int64(c.Buffered().Bytes)))
		return nil, nil, false
	})
	bs := []*forward.Batch{batch(0, 100, 60_000), batch(100, 100, 60_000)}
	r, err := c.Send(t.Context(), bs, 10)
	if want := 1 + maxUnacknowledged/60_000; err != nil || r.Units != want {
		t.Errorf("%d units, want %d: %v", r.Units, want, err)
	}
	if n := most.Load(); n == 0 || n > maxUnacknowledged+MaxContainer {
		t.Errorf("%d bytes were buffered", n)
	}
	r, err = c.Send(t.Context(), []*forward.Batch{batch(0, maxUnits+1, 20)}, 0)
	if err != nil || r.Units != maxUnits {
		t.Errorf("%d units, want %d: %v", r.Units, maxUnits, err)
	}
}

// TestDeliveredMeansAcknowledged delays and loses acknowledgements.
func TestDeliveredMeansAcknowledged(t *testing.T) {
	t.Parallel()
	cluster := newFake(t, 1)
	c := newClient(t, cluster.ListenAddrs())
	const delay = 300 * time.Millisecond
	cluster.ControlKey(produceKey, func(kmsg.Request) (kmsg.Response, error, bool) {
		cluster.SleepControl(func() { delayFor(delay) })
		return nil, nil, false
	})
	start := time.Now()
	c.mustSend(t, batch(0, 3, 100))
	if took := time.Since(start); took < delay {
		t.Errorf("the send took %v", took)
	}

	// A broker that never answers: nothing is delivered, and the send ends.
	lost := newFake(t, 1)
	lost.ControlKey(produceKey, func(kmsg.Request) (kmsg.Response, error, bool) {
		lost.KeepControl()
		return nil, nil, true
	})
	c = newClient(t, lost.ListenAddrs())
	b := batch(0, 3, 100)
	start = time.Now()
	r, err := c.Send(t.Context(), []*forward.Batch{b}, 0)
	if err == nil || !strings.Contains(err.Error(), "did not acknowledge") || r != (forward.Result{}) || !c.Acknowledged().IsZero() {
		t.Errorf("%+v, %v", r, err)
	}
	if took := time.Since(start); took > quick.send+time.Second {
		t.Errorf("the send took %v", took)
	}
	clear(b.Buf) // the race detector finds a client that still reads it
}

// TestTheSinkStopsASend: after a stop or a reload a send ends soon.
func TestTheSinkStopsASend(t *testing.T) {
	t.Parallel()
	cluster := newFake(t, 1)
	began := make(chan struct{}, 100)
	cluster.ControlKey(produceKey, func(kmsg.Request) (kmsg.Response, error, bool) {
		cluster.KeepControl()
		began <- struct{}{}
		return nil, nil, true
	})
	c := newClient(t, cluster.ListenAddrs())
	c.timings = defaultTimings
	c.timings.finish = 200 * time.Millisecond
	go func() { <-began; close(c.stop) }()
	start := time.Now()
	if r, err := c.Send(t.Context(), []*forward.Batch{batch(0, 3, 100)}, 0); err == nil || r.Units != 0 {
		t.Errorf("%+v, %v", r, err)
	}
	if took := time.Since(start); took > 5*time.Second {
		t.Errorf("the send took %v after the stop", took)
	}
}

// TestLostResponsesStoreOnce: the broker has stored messages, and the connection ends before its
// answer arrives. The client repeats them, and the log has them once.
func TestLostResponsesStoreOnce(t *testing.T) {
	t.Parallel()
	cluster := newFake(t, 2)
	c := newClient(t, cluster.ListenAddrs())
	c.timings = defaultTimings
	c.mustSend(t, batch(0, 1, 100))
	h := cluster.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Err: kerr.RequestTimedOut, Count: 5}) // stored, but answered with an error
	c.mustSend(t, batch(1, 50, 50_000))
	if h.Hits() != 5 {
		t.Errorf("%d faults", h.Hits())
	}
	checkStored(t, cluster, 51, false)
}

// TestErrorsOfBrokers: the client repeats after errors that may pass; others end the send with a
// reason. Nothing is lost or out of order.
func TestErrorsOfBrokers(t *testing.T) {
	for _, tt := range []struct {
		err    *kerr.Error
		passes bool // the client repeats
		reason string
	}{
		{kerr.NotLeaderForPartition, true, ""},
		{kerr.NotEnoughReplicas, true, ""},
		{kerr.NotEnoughReplicasAfterAppend, true, ""},
		{kerr.RequestTimedOut, true, ""},
		{kerr.NetworkException, true, ""},
		{kerr.KafkaStorageError, true, ""},
		{kerr.UnknownTopicOrPartition, true, ""},
		{kerr.MessageTooLarge, false, "max.message.bytes"},
		{kerr.TopicAuthorizationFailed, false, "WRITE"},
		{kerr.InvalidRecord, false, "cleanup.policy"},
		{kerr.PolicyViolation, false, "policy"},
		{kerr.UnknownServerError, false, "UNKNOWN_SERVER_ERROR"},
	} {
		t.Run(tt.err.Message, func(t *testing.T) {
			t.Parallel()
			cluster := newFake(t, 2)
			c := newClient(t, cluster.ListenAddrs())
			c.timings.silence, c.timings.send = 10*time.Second, 20*time.Second
			cluster.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Topic: topic, Err: tt.err, Count: 2})
			failures := c.send(t, batch(0, 40, 10_000), batch(40, 40, 10_000))
			if (failures == nil) != tt.passes {
				t.Errorf("errors: %v", failures)
			}
			for _, err := range failures {
				if !strings.Contains(err.Error(), tt.reason) || strings.Contains(err.Error(), "127.0.0.1") {
					t.Errorf("reason %q, want %q", err, tt.reason)
				}
			}
			checkStored(t, cluster, 80, !tt.passes)
		})
	}
}

// TestAPermanentlyFailingTopicHasAReason: an error that may pass does not.
func TestAPermanentlyFailingTopicHasAReason(t *testing.T) {
	t.Parallel()
	cluster := newFake(t, 1)
	c := newClient(t, cluster.ListenAddrs())
	c.timings.silence, c.timings.send = 20*time.Second, 30*time.Second
	cluster.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Topic: topic, Err: kerr.NotEnoughReplicas, Count: -1})
	r, err := c.Send(t.Context(), []*forward.Batch{batch(0, 3, 100)}, 0)
	if err == nil || !strings.Contains(err.Error(), "min.insync.replicas") || r.Units != 0 {
		t.Errorf("%+v, %v", r, err)
	}
}

func TestAnUnknownTopicIsAnErrorAtOnce(t *testing.T) {
	cluster := newFake(t, 1)
	c := newClient(t, cluster.ListenAddrs(), func(c *Config, _ *forward.SinkConfig) { c.Topic = "other" })
	next, err := c.Idle(t.Context())
	if err == nil || !strings.Contains(err.Error(), "no such topic") || time.Until(next) > quick.idle {
		t.Errorf("%v, %v", next, err)
	}
	if err := cluster.CreateTopic("other", 1, nil); err != nil {
		t.Fatal(err)
	}
	c.mustSend(t, batch(0, 1, 100))
}

// TestALeaderChangesWhileItSends moves partitions again and again.
func TestALeaderChangesWhileItSends(t *testing.T) {
	t.Parallel()
	cluster := newFake(t, 3)
	c := newClient(t, cluster.ListenAddrs())
	c.timings = defaultTimings
	for i := range 20 {
		cluster.ShufflePartitionLeaders()
		c.mustSend(t, batch(20*i, 20, 10_000))
	}
	checkStored(t, cluster, 400, false)
}

// TestConnectionsThatEndLoseNothing closes connections before messages are stored, and instead of
// an answer.
func TestConnectionsThatEndLoseNothing(t *testing.T) {
	t.Parallel()
	cluster := newFake(t, 2)
	c := newClient(t, cluster.ListenAddrs())
	var n atomic.Int64
	cluster.ControlKey(produceKey, func(kmsg.Request) (kmsg.Response, error, bool) {
		cluster.KeepControl()
		if k := n.Add(1); k%3 == 0 && k < 90 {
			return nil, io.EOF, true
		}
		return nil, nil, false
	})
	for i := range 30 {
		c.send(t, batch(20*i, 20, 20_000))
	}
	checkStored(t, cluster, 600, true)
}

// TestAnAbsentBrokerIsShown: the reason is known at once, and so is that the broker is back.
func TestAnAbsentBrokerIsShown(t *testing.T) {
	t.Parallel()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	port := listener.Addr().(*net.TCPAddr).Port
	address := listener.Addr().String()
	listener.Close()
	c := newClient(t, []string{address})
	start := time.Now()
	if _, err := c.Idle(t.Context()); err == nil || err.Error() != "connect: connection refused" {
		t.Errorf("idle: %v", err)
	}
	if _, err := c.Send(t.Context(), []*forward.Batch{batch(0, 1, 100)}, 0); err == nil || err.Error() != "connect: connection refused" {
		t.Errorf("send: %v", err)
	}
	if took := time.Since(start); took > 2*time.Second {
		t.Errorf("the reason was known after %v", took)
	}
	cluster := newFake(t, 1, kfake.NumBrokers(1), kfake.Ports(port))
	if _, err := c.Idle(t.Context()); err != nil {
		t.Error(err)
	}
	c.mustSend(t, batch(0, 10, 100))

	// It goes while the client is connected, and then while it sends.
	cluster.Close()
	eventually(t, "Idle notes that the broker is away", func() bool {
		_, err := c.Idle(t.Context())
		return err != nil
	})
	second := newFake(t, 1, kfake.NumBrokers(1), kfake.Ports(port))
	second.ControlKey(produceKey, func(kmsg.Request) (kmsg.Response, error, bool) {
		go second.Close()
		return nil, io.EOF, true
	})
	start = time.Now()
	r, err := c.Send(t.Context(), []*forward.Batch{batch(10, 10, 100)}, 0)
	if err == nil || !strings.Contains(err.Error(), "refused") && !strings.Contains(err.Error(), "closed") || r.Units != 0 {
		t.Errorf("%+v, %v", r, err)
	}
	if took := time.Since(start); took > quick.silence {
		t.Errorf("the reason was known after %v", took)
	}
	third := newFake(t, 1, kfake.NumBrokers(1), kfake.Ports(port))
	c.mustSend(t, batch(0, 20, 100))
	checkStored(t, third, 20, false)
}
