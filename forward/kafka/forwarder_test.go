package kafka

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/dnstap-pdns/dnstap-pdns/conf/brokers"
	"github.com/dnstap-pdns/dnstap-pdns/forward"
	"github.com/dnstap-pdns/dnstap-pdns/forward/forwardtest"
	"github.com/dnstap-pdns/dnstap-pdns/forward/nmsg"
	"github.com/dnstap-pdns/dnstap-pdns/forward/spool"
	"github.com/dnstap-pdns/dnstap-pdns/transform/rrset"
)

func newSink(addresses []string) forward.SinkConfig {
	return forwardtest.Sink("kafka", forward.Target{Scheme: forward.Kafka, Address: strings.Join(addresses, ",") + "/" + topic},
		Config{Brokers: brokers.Config{Addresses: addresses}, Topic: topic})
}

// names returns the query names of all records in the topic, without repeats of containers.
func names(t *testing.T, cluster *kfake.Cluster) (all []string, repeats int) {
	t.Helper()
	seen := map[string]bool{}
	for _, records := range stored(t, cluster) {
		for _, r := range records {
			if seen[string(r.Value)] {
				repeats++
				continue
			}
			seen[string(r.Value)] = true
			of, _, err := forwardtest.Names(r.Value)
			if err != nil {
				t.Fatal(err)
			}
			all = append(all, of...)
		}
	}
	return all, repeats
}

func TestASinkDeliversToAFakeCluster(t *testing.T) {
	for _, zlib := range []bool{false, true} {
		cluster := newFake(t, 3)
		sink := newSink(cluster.ListenAddrs())
		sink.Zlib = zlib
		var log forwardtest.Log
		f := forwardtest.New(t, forward.Live, &log, sink)
		const n = 2000
		err := forwardtest.Run(f, func(l *forward.Lane) {
			for i := range n / 100 {
				forwardtest.Burst(t, l, 100*i, 100, 100)
			}
		})
		if err != nil {
			t.Error(err)
		}
		got, repeats := names(t, cluster)
		if l := forwardtest.CheckLedger(t, f); len(got) != n || repeats != 0 || l.Delivered != n || l.Error != "" || l.Buffered == nil || l.Buffered.Bytes != 0 {
			t.Errorf("%d records came, %d repeats; ledger %+v\n%s", len(got), repeats, l, &log)
		}
		forwardtest.CheckUnique(t, got)
	}
}

// TestAReloadLosesNothing replaces the transport while the broker does not answer.
func TestAReloadLosesNothing(t *testing.T) {
	t.Parallel()
	cluster := newFake(t, 2)
	var answers atomic.Bool
	cluster.ControlKey(produceKey, func(kmsg.Request) (kmsg.Response, error, bool) {
		cluster.KeepControl()
		return nil, nil, !answers.Load()
	})
	sink := newSink(cluster.ListenAddrs())
	f := forwardtest.New(t, forward.Live, io.Discard, sink)
	const n = 500
	err := forwardtest.Run(f, func(l *forward.Lane) {
		forwardtest.Burst(t, l, 0, n, 100)
		eventually(t, "a message is in flight", func() bool {
			return f.Ledger().Sinks[0].Buffered.Bytes > 0
		})
		sink.Queue++
		if err := f.Apply(forwardtest.Policy(t), []forward.SinkConfig{sink}, nil); err != nil {
			t.Fatal(err)
		}
		answers.Store(true) // what is in flight gets no answer
		eventually(t, "the earlier transport is closed", func() bool { return !f.Ledger().Sinks[0].Draining })
		forwardtest.CheckLedger(t, f)
		eventually(t, "all records are delivered", func() bool { return f.Ledger().Sinks[0].Delivered == n })
	})
	if err != nil {
		t.Error(err)
	}
	got, repeats := names(t, cluster)
	if len(got) != n {
		t.Errorf("%d records came, %d containers twice", len(got), repeats)
	}
	forwardtest.CheckUnique(t, got)
}

// TestInReplayAFailureIsFinal: nothing is retried.
func TestInReplayAFailureIsFinal(t *testing.T) {
	cluster := newFake(t, 1)
	cluster.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Topic: topic, Err: kerr.TopicAuthorizationFailed, Count: -1})
	f := forwardtest.New(t, forward.Replay, io.Discard, newSink(cluster.ListenAddrs()))
	err := forwardtest.Run(f, func(l *forward.Lane) { forwardtest.Burst(t, l, 0, 10, 100) })
	if err == nil || !strings.Contains(err.Error(), "not authorized for the topic") {
		t.Errorf("%v", err)
	}
	if l := forwardtest.CheckLedger(t, f); l.Delivered != 0 || l.Lost[forward.Failed] != 10 {
		t.Errorf("%+v", l)
	}
}

// TestABrokerThatReturns stops the only broker while the sink sends, with and without a spool.
func TestABrokerThatReturns(t *testing.T) {
	for _, spools := range []bool{false, true} {
		t.Run(fmt.Sprintf("spool=%v", spools), func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			open := func(port int) *kfake.Cluster {
				return newFake(t, 2, kfake.NumBrokers(1), kfake.Ports(port), kfake.DataDir(dir))
			}
			listener, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			port := listener.Addr().(*net.TCPAddr).Port
			listener.Close()
			cluster := open(port)
			sink := newSink(cluster.ListenAddrs())
			if spools {
				sink.Transport = spool.Config{Dir: t.TempDir(), MaxBytes: 64 << 20, Transport: sink.Transport}
			}
			sink.Flush = 20 * time.Millisecond
			f := forwardtest.New(t, forward.Live, io.Discard, sink)
			state := func() forward.SinkLedger { return f.Ledger().Sinks[0] }
			err = forwardtest.Run(f, func(l *forward.Lane) {
				forwardtest.Burst(t, l, 0, 100, 100)
				eventually(t, "the first records are delivered", func() bool { return state().Delivered == 100 })
				cluster.Close()
				forwardtest.Burst(t, l, 100, 100, 100)
				eventually(t, "the failure is shown", func() bool { return strings.Contains(state().Error, "refused") })
				if s := state(); spools && (s.Spooled == 0 || s.Queued != 0) || !spools && s.Queued == 0 || s.Lost != (forward.LossCounts{}) {
					t.Errorf("while it is away: %+v", s)
				}
				cluster = open(port)
				eventually(t, "all records are delivered", func() bool { return state().Delivered == 200 })
				eventually(t, "the recovery is shown", func() bool { return state().Error == "" })
			})
			if err != nil {
				t.Error(err)
			}
			got, _ := names(t, cluster)
			if len(got) != 200 {
				t.Errorf("%d records came", len(got))
			}
			forwardtest.CheckUnique(t, got)
		})
	}
}

// rrsets returns a batch of containers with RRsets of these names, and the number of records.
func rrsets(t testing.TB, id uint64, names ...string) *forward.Batch {
	t.Helper()
	format := forward.DNSDedupe{Buckets: true}
	framer := format.NewFramer(forward.BatchSize)
	b := &forward.Batch{ID: 1<<63 | id}
	for _, name := range names {
		a := &rrset.Aggregate{RRset: rrset.RRset{Name: []byte(name), Type: 1, Class: 1, Bailiwick: []byte{0}, Rdata: [][]byte{{192, 0, 2, byte(id)}}}}
		r, err := format.AppendRRset(nil, a, nmsg.IDs{Source: uint32(id)})
		if err != nil {
			t.Fatal(err)
		}
		if !framer.Add(b, r) {
			t.Fatal("the batch is full")
		}
	}
	framer.Seal(b)
	framer.Number(b)
	return b
}

// deflated returns a batch with compressed containers.
func deflated(t testing.TB, b *forward.Batch) *forward.Batch {
	t.Helper()
	var d nmsg.Deflater
	z := &forward.Batch{}
	for i, u := range b.Units {
		var err error
		if z.Buf, err = d.Append(z.Buf, b.Bytes(i)); err != nil {
			t.Fatal(err)
		}
		z.Units = append(z.Units, forward.Unit{End: len(z.Buf), Records: u.Records})
	}
	return z
}

// TestEqualNamesMeetInOnePartition: of two sinks, one of which compresses.
func TestEqualNamesMeetInOnePartition(t *testing.T) {
	cluster := newFake(t, 7)
	var all []string
	for i := range 300 {
		all = append(all, fmt.Sprintf("\x04%04d\x07example\x00", i))
	}
	keyed := func(_ *Config, s *forward.SinkConfig) { s.Format = forward.DNSDedupe{Buckets: true} }
	newClient(t, cluster.ListenAddrs(), keyed).mustSend(t, rrsets(t, 1, all...))
	newClient(t, cluster.ListenAddrs(), keyed, func(_ *Config, s *forward.SinkConfig) { s.Zlib = true }).mustSend(t, deflated(t, rrsets(t, 2, all...)))

	where := map[string]map[int32]int{}
	for _, records := range stored(t, cluster) {
		for _, r := range records {
			reader := nmsg.NewReader(bytes.NewReader(r.Value))
			for m, err := reader.Next(); err == nil; m, err = reader.Next() {
				d, err := nmsg.DecodeDNSDedupe(m.Data)
				if err != nil {
					t.Fatal(err)
				}
				if want := fmt.Sprintf("%02d", nmsg.Bucket(d.RRName)); string(r.Key) != want {
					t.Errorf("%q has the key %q, want %q", d.RRName, r.Key, want)
				}
				if where[string(d.RRName)] == nil {
					where[string(d.RRName)] = map[int32]int{}
				}
				where[string(d.RRName)][r.Partition]++
			}
		}
	}
	if len(where) != len(all) {
		t.Errorf("%d names came", len(where))
	}
	used := map[int32]bool{}
	for name, partitions := range where {
		if len(partitions) != 1 {
			t.Errorf("%q is in partitions %v", name, partitions)
		}
		for p, n := range partitions {
			if used[p] = true; n != 2 {
				t.Errorf("%q came %d times", name, n)
			}
		}
	}
	if len(used) < 5 {
		t.Errorf("%d partitions are used", len(used))
	}
}

func TestContainersWithoutAName(t *testing.T) {
	cluster := newFake(t, 1)
	c := newClient(t, cluster.ListenAddrs(), func(_ *Config, s *forward.SinkConfig) { s.Format = forward.DNSDedupe{Buckets: true} })
	good := rrsets(t, 1, "\x01a\x00")
	for _, bad := range [][]byte{[]byte("x"), good.Buf[:len(good.Buf)-1], forwardtest.Batch(t, 1, 10, 1).Bytes(0)} {
		b := &forward.Batch{Buf: append(bytes.Clone(bad), good.Buf...)}
		b.Units = []forward.Unit{{End: len(bad), Records: 3}, {End: len(b.Buf), Records: 1}}
		r, err := c.Send(t.Context(), []*forward.Batch{b}, 0)
		if err != nil || r.Units != 2 || r.Delivered != 1 || r.Lost[forward.Failed] != 3 || r.LossCause == nil {
			t.Errorf("%+v, %v", r, err)
		}
	}
}

// BenchmarkSend sends 512 KiB of containers at a time, as a sink does that has a full queue. The
// fake cluster stores nothing.
func BenchmarkSend(b *testing.B) {
	for _, size := range []int{1 << 10, 8 << 10, 64 << 10} {
		b.Run(fmt.Sprintf("containers of %d KiB", size>>10), func(b *testing.B) {
			cluster := newFake(b, 3, kfake.BlackholeProduce())
			c := newClient(b, cluster.ListenAddrs())
			c.timings = defaultTimings
			bs := make([]*forward.Batch, 8)
			for i := range bs {
				bs[i] = batch(0, forward.BatchSize/size, size)
			}
			c.mustSend(b, bs[0])
			b.SetBytes(8 * forward.BatchSize)
			b.ReportAllocs()
			for b.Loop() {
				if r, err := c.Send(b.Context(), bs, 0); err != nil || r.Units != 8*len(bs[0].Units) {
					b.Fatalf("%d units: %v", r.Units, err)
				}
			}
		})
	}
}
