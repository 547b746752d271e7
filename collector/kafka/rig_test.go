package kafka

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/dnstap-pdns/dnstap-pdns/conf/brokers"
	"github.com/dnstap-pdns/dnstap-pdns/forward/nmsg"
	"github.com/dnstap-pdns/dnstap-pdns/transform"
	"github.com/dnstap-pdns/dnstap-pdns/transform/rrset"
)

const patience = 30 * time.Second

// A lab is a topic of a fake broker, or of the one at DNSTAP_PDNS_TEST_BROKER.
type lab struct {
	t         testing.TB
	fake      *kfake.Cluster // nil: a real broker
	addresses []string
	topic     string
	id        [16]byte // of the topic
	client    *kgo.Client
	commit    time.Duration // of members
}

var topics atomic.Int64

// newLab makes a topic. With options of the fake broker, the broker is always a fake.
func newLab(t testing.TB, partitions int32, options ...kfake.Opt) *lab {
	t.Helper()
	l := &lab{t: t, commit: 20 * time.Millisecond, topic: fmt.Sprintf("t%d-%d", time.Now().UnixNano(), topics.Add(1))}
	if real := os.Getenv("DNSTAP_PDNS_TEST_BROKER"); real != "" && len(options) == 0 {
		l.addresses = []string{real}
	} else {
		var err error
		if l.fake, err = kfake.NewCluster(append([]kfake.Opt{kfake.NumBrokers(1), kfake.GroupMinSessionTimeout(time.Millisecond)}, options...)...); err != nil {
			t.Fatal(err)
		}
		l.addresses = l.fake.ListenAddrs()
	}
	client, err := kgo.NewClient(kgo.SeedBrokers(l.addresses...), kgo.RecordPartitioner(kgo.ManualPartitioner()),
		kgo.ProducerBatchMaxBytes(64<<20), kgo.BrokerMaxWriteBytes(100<<20), kgo.ProducerBatchCompression(kgo.GzipCompression()))
	if err != nil {
		t.Fatal(err)
	}
	l.client = client
	t.Cleanup(l.close)
	if partitions > 0 {
		l.create(partitions)
	}
	return l
}

// close ends the client and the fake broker.
func (l *lab) close() {
	l.client.Close()
	if l.fake != nil {
		l.fake.Close()
	}
}

func (l *lab) create(partitions int32) {
	l.t.Helper()
	req := kmsg.NewPtrCreateTopicsRequest()
	topic := kmsg.NewCreateTopicsRequestTopic()
	topic.Topic, topic.NumPartitions, topic.ReplicationFactor = l.topic, partitions, 1
	req.Topics = append(req.Topics, topic)
	r, err := req.RequestWith(context.Background(), l.client)
	if err != nil || r.Topics[0].ErrorCode != 0 {
		l.t.Fatal(r, err)
	}
	l.id = r.Topics[0].TopicID
}

func (l *lab) remove() {
	l.t.Helper()
	req := kmsg.NewPtrDeleteTopicsRequest()
	topic := kmsg.NewDeleteTopicsRequestTopic()
	topic.Topic = &l.topic
	req.TopicNames, req.Topics = []string{l.topic}, append(req.Topics, topic)
	if r, err := req.RequestWith(context.Background(), l.client); err != nil || r.Topics[0].ErrorCode != 0 {
		l.t.Fatal(r, err)
	}
}

// deleteBefore deletes the messages of partition 0 before an offset.
func (l *lab) deleteBefore(offset int64) {
	l.t.Helper()
	req := kmsg.NewPtrDeleteRecordsRequest()
	topic := kmsg.NewDeleteRecordsRequestTopic()
	topic.Topic = l.topic
	topic.Partitions = append(topic.Partitions, kmsg.DeleteRecordsRequestTopicPartition{Offset: offset})
	req.Topics = append(req.Topics, topic)
	if r, err := req.RequestWith(context.Background(), l.client); err != nil || r.Topics[0].Partitions[0].ErrorCode != 0 {
		l.t.Fatal(r, err)
	}
}

func (l *lab) produce(partition int32, values ...[]byte) {
	l.t.Helper()
	for _, v := range values {
		if err := l.client.ProduceSync(context.Background(), &kgo.Record{Topic: l.topic, Partition: partition, Value: v}).FirstErr(); err != nil {
			l.t.Fatal(err)
		}
	}
}

// committed returns the offsets that a group has committed, by partition.
func (l *lab) committed(group string, partitions int32) (offsets []int64) {
	l.t.Helper()
	req := kmsg.NewPtrOffsetFetchRequest()
	req.Group = group
	topic := kmsg.NewOffsetFetchRequestTopic()
	topic.Topic = l.topic
	g := kmsg.NewOffsetFetchRequestGroup()
	g.Group = group
	gt := kmsg.NewOffsetFetchRequestGroupTopic()
	gt.Topic = l.topic
	for p := range partitions {
		topic.Partitions, gt.Partitions = append(topic.Partitions, p), append(gt.Partitions, p)
		offsets = append(offsets, -1)
	}
	req.Topics, g.Topics = append(req.Topics, topic), append(g.Topics, gt)
	req.Groups = append(req.Groups, g)
	r, err := req.RequestWith(context.Background(), l.client)
	if err != nil {
		l.t.Fatal(err)
	}
	for _, g := range r.Groups {
		for _, t := range g.Topics {
			for _, p := range t.Partitions {
				offsets[p.Partition] = p.Offset
			}
		}
	}
	return offsets
}

// commitOffset commits an offset of partition 0 for a group without members.
func (l *lab) commitOffset(group string, offset int64) {
	l.t.Helper()
	req := kmsg.NewPtrOffsetCommitRequest()
	req.Group = group
	topic := kmsg.NewOffsetCommitRequestTopic()
	topic.Topic, topic.TopicID = l.topic, l.id
	p := kmsg.NewOffsetCommitRequestTopicPartition()
	p.Offset = offset
	topic.Partitions = append(topic.Partitions, p)
	req.Topics = append(req.Topics, topic)
	if r, err := req.RequestWith(context.Background(), l.client); commitError(r, err) != nil {
		l.t.Fatal(commitError(r, err))
	}
}

// record returns a record whose name has the number.
func record(number uint32) *transform.Record {
	name := append(binary.BigEndian.AppendUint32([]byte{4}, number|0x80808080), "\x07example\x00"...)
	question := append(append([]byte{0, 1, 0, 0, 0, 0, 0, 0}, name...), 0, 1, 0, 1)
	at := transform.Time(1_790_000_000_000_000_000)
	return &transform.Record{
		Server: netip.MustParseAddrPort("192.0.2.1:53"), Resolver: netip.MustParseAddrPort("0.0.0.0:0"), Zeroed: true,
		HasQuery: true, HasResponse: true, QueryTime: at, ResponseTime: at, Name: name, Type: 1, Class: 1,
		Query: append([]byte{0, 0, 0, 0}, question...), Response: append([]byte{0, 0, 0x84, 0}, question...),
	}
}

// numberOf returns the number in the name.
func numberOf(name []byte) uint32 { return binary.BigEndian.Uint32(name[1:]) & 0x7f7f7f7f }

// numbered spreads a number over octets that are no letters once their highest bit is set.
func numbered(n int) uint32 {
	return uint32(n)&0x7f | uint32(n)<<1&0x7f00 | uint32(n)<<2&0x7f0000
}

func payload(t testing.TB, number uint32) nmsg.Payload {
	t.Helper()
	_, p, err := nmsg.AppendPayload(nil, nmsg.DNSQR, nmsg.IDs{Source: 7}, record(number))
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func container(seqID uint64, sequence uint32, payloads ...nmsg.Payload) []byte {
	var c nmsg.Container
	b := c.Begin(nil)
	for _, p := range payloads {
		b = c.Add(b, p)
	}
	b = c.Seal(b, seqID)
	nmsg.SetSequence(b, seqID, sequence)
	return b
}

// containerOf returns a container with one record, of writer 1.
func containerOf(t testing.TB, n int) []byte {
	return container(1, uint32(n), payload(t, numbered(n)))
}

// An inlet records what was confirmed.
type inlet struct {
	mu        sync.Mutex
	fails     error         // of Confirm
	waits     chan struct{} // Record waits until it is closed; nil: it does not wait
	lost      bool          // a record since the latest Confirm
	pending   []uint32
	confirmed map[uint32]int
	taken     map[uint32]int
	rrsets    int
	dropped   map[transform.Reason]int
	ids       nmsg.IDs
	confirms  int
	closed    bool
	busy      atomic.Int32
}

func newInlet() *inlet {
	return &inlet{confirmed: map[uint32]int{}, taken: map[uint32]int{}, dropped: map[transform.Reason]int{}}
}

// enter panics if two calls overlap.
func (i *inlet) enter() func() {
	if i.busy.Add(1) != 1 {
		panic("calls of the inlet overlap")
	}
	return func() { i.busy.Add(-1) }
}

func (i *inlet) Record(ctx context.Context, r *transform.Record, ids nmsg.IDs) {
	defer i.enter()()
	i.mu.Lock()
	waits := i.waits
	i.mu.Unlock()
	var err error
	if waits != nil {
		select {
		case <-waits:
		case <-ctx.Done():
			err = ctx.Err()
		}
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	n := numberOf(r.Name)
	i.ids = ids
	i.taken[n]++
	if err != nil {
		i.lost = true
		return
	}
	i.pending = append(i.pending, n)
}

func (i *inlet) RRset(context.Context, *rrset.Aggregate, nmsg.IDs) {
	defer i.enter()()
	i.mu.Lock()
	defer i.mu.Unlock()
	i.rrsets++
}

func (i *inlet) Drop(r transform.Reason) {
	defer i.enter()()
	i.mu.Lock()
	defer i.mu.Unlock()
	i.dropped[r]++
}

func (i *inlet) Confirm(ctx context.Context) error {
	defer i.enter()()
	i.mu.Lock()
	defer i.mu.Unlock()
	i.confirms++
	pending, lost := i.pending, i.lost
	i.pending, i.lost = nil, false
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case lost:
		return errors.New("records were lost")
	case i.fails != nil:
		return i.fails
	}
	for _, n := range pending {
		i.confirmed[n]++
	}
	return nil
}

func (i *inlet) Close() {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.closed = true
}

func (i *inlet) fail(err error) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.fails = err
}

// count returns how many different records were confirmed.
func (i *inlet) count() int {
	i.mu.Lock()
	defer i.mu.Unlock()
	return len(i.confirmed)
}

// A member is a source that runs.
type member struct {
	*Source
	inlet *inlet
	log   *logBuffer
	stop  func()
	done  chan error
}

type logBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *logBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *logBuffer) count(text string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return bytes.Count(l.b.Bytes(), []byte(text))
}

const testGroup = "g"

// join starts a member with an inlet, which may be nil.
func (l *lab) join(i *inlet, options ...kgo.Opt) *member {
	if i == nil {
		i = newInlet()
	}
	log := new(logBuffer)
	s := New(Config{Name: "s", Brokers: brokers.Config{Addresses: l.addresses}, Topic: l.topic, Group: testGroup + l.topic, Commit: l.commit},
		i, slog.New(slog.NewTextHandler(log, nil)))
	s.firstPause, s.findInterval = 10*time.Millisecond, 50*time.Millisecond
	s.options = append([]kgo.Opt{kgo.HeartbeatInterval(50 * time.Millisecond), kgo.MetadataMinAge(50 * time.Millisecond),
		kgo.MetadataMaxAge(200 * time.Millisecond), kgo.FetchMaxWait(100 * time.Millisecond)}, options...)
	ctx, cancel := context.WithCancel(context.Background())
	m := &member{Source: s, inlet: i, log: log, done: make(chan error, 1)}
	go func() { m.done <- s.Run(ctx) }()
	var once sync.Once
	m.stop = func() {
		once.Do(func() {
			cancel()
			select {
			case err := <-m.done:
				if err != nil {
					l.t.Error(err)
				}
			case <-time.After(patience):
				l.t.Error("Run does not return")
			}
		})
	}
	l.t.Cleanup(m.stop)
	return m
}

var errFull = errors.New("the disk is full")

// kill ends a member without a commit.
func (m *member) kill() {
	m.inlet.fail(errors.New("killed"))
	m.stop()
}

// eventually waits for a condition.
func eventually(t testing.TB, what string, is func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !is(); {
		if time.Now().After(deadline) {
			t.Fatalf("not in %v: %s", patience, what)
		}
		<-time.After(2 * time.Millisecond)
	}
}

func discard() *slog.Logger { return slog.New(slog.DiscardHandler) }
