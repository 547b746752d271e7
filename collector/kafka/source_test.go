package kafka

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/dnstap-pdns/dnstap-pdns/forward/nmsg"
	"github.com/dnstap-pdns/dnstap-pdns/transform"
	"github.com/dnstap-pdns/dnstap-pdns/transform/rrset"
)

func TestAFakeTopicIsReadFromTheBeginningAndThenFromTheCommit(t *testing.T) {
	t.Parallel()
	l := newLab(t, 3)
	for n := range 9 {
		l.produce(int32(n%3), containerOf(t, n))
	}
	m := l.join(nil)
	eventually(t, "all records", func() bool { return m.inlet.count() == 9 && m.Stats().Commits > 0 && m.Stats().Lag == 0 })
	m.stop()
	if s := m.Stats(); s.Containers != 9 || s.Partitions != 0 || s.Failures != 0 || s.Error != "" || s.Committed.IsZero() || s.Bytes == 0 {
		t.Errorf("%+v", s)
	}
	if got := l.committed(m.config.Group, 3); !slices.Equal(got, []int64{3, 3, 3}) {
		t.Errorf("committed %v", got)
	}
	if m.inlet.ids != (nmsg.IDs{Source: 7}) || !m.inlet.closed {
		t.Errorf("ids %+v, closed %v", m.inlet.ids, m.inlet.closed)
	}
	l.produce(0, containerOf(t, 9))
	again := l.join(nil)
	eventually(t, "the new record", func() bool { return again.inlet.count() > 0 })
	again.stop()
	if again.Stats().Containers != 1 || again.inlet.confirmed[numbered(9)] != 1 {
		t.Errorf("%+v, %v", again.Stats(), again.inlet.confirmed)
	}
}

func TestWhatIsNotOneContainerIsCountedOnAFake(t *testing.T) {
	t.Parallel()
	l := newLab(t, 1)
	whole := containerOf(t, 1)
	var fragments []byte
	fragments, ends := nmsg.AppendFragments(nil, nil, container(1, 5, slices.Repeat([]nmsg.Payload{payload(t, 5)}, 20)...), nmsg.MinSize, 9)
	var zlib nmsg.Deflater
	deflated, err := zlib.Append(nil, containerOf(t, 2))
	if err != nil {
		t.Fatal(err)
	}
	bad := [][]byte{
		nil, {}, []byte("text"), whole[:len(whole)-1], append(bytes.Clone(whole), 0), slices.Concat(whole, whole), fragments[:ends[0]],
		bytes.Repeat([]byte{'x'}, 1<<20+1), append([]byte("NMSG\x01\x02\x00\x00\x00\x08\x7f\xff\xff\xff"), "zlib"...),
	}
	l.produce(0, bad...)
	l.produce(0, whole, deflated)
	unknown := payload(t, 3)
	unknown.Bytes = bytes.Replace(unknown.Bytes, []byte{0x10, nmsg.NumberDNSQR}, []byte{0x10, 99}, 1)
	damaged := payload(t, 3)
	damaged.CRC++
	malformed := payload(t, 3)
	malformed.Bytes = bytes.Replace(malformed.Bytes, []byte("example"), []byte("Example"), 1)
	malformed.CRC = 0
	_, set, err := nmsg.AppendDNSDedupe(nil, nmsg.IDs{}, &rrset.Aggregate{Event: rrset.Expiration, Sighting: rrset.Sighting{TimeFirst: 1, TimeLast: 2, Count: 3},
		RRset: rrset.RRset{Name: []byte{0}, Type: 16, Class: 1, Bailiwick: []byte{0}, Rdata: [][]byte{{1, 'x'}}}})
	if err != nil {
		t.Fatal(err)
	}
	l.produce(0, container(1, 7, unknown, damaged, set, payload(t, numbered(4))))
	m := l.join(nil)
	eventually(t, "all records", func() bool { return m.inlet.count() == 3 })
	m.stop()
	if s := m.Stats(); s.NotNMSG != uint64(len(bad)) || s.Containers != 3 || s.Failures != 0 {
		t.Errorf("%+v", s)
	}
	if d := m.inlet.dropped; d[transform.NotOutward] != 1 || d[transform.Malformed] != 1 || m.inlet.rrsets != 1 {
		t.Errorf("dropped %v, %d RRsets", d, m.inlet.rrsets)
	}
	if got := l.committed(m.config.Group, 1); got[0] != int64(len(bad)+3) {
		t.Errorf("committed %v", got)
	}
}

func TestAHugeBatchOnAFakeIsSkipped(t *testing.T) {
	t.Parallel()
	l := newLab(t, 1, kfake.BrokerConfigs(map[string]string{"message.max.bytes": "100000000"}))
	l.produce(0, containerOf(t, 1), make([]byte, batchBytes+1<<20), containerOf(t, 2))
	m := l.join(nil)
	eventually(t, "the records around it", func() bool { return m.inlet.count() == 2 })
	m.stop()
	if s := m.Stats(); s.NotNMSG != 1 || s.OutOfRange != 0 {
		t.Errorf("%+v", s)
	}
	if got := l.committed(m.config.Group, 1); got[0] != 3 {
		t.Errorf("committed %v", got)
	}
}

func TestRepeatsOnAFakeAreSkipped(t *testing.T) {
	t.Parallel()
	l := newLab(t, 2)
	one := containerOf(t, 1)
	l.produce(0, one, one, containerOf(t, 2), one)
	l.produce(1, one) // repeats are found within a partition
	l.produce(1, container(0, 1, payload(t, 5)), container(0, 1, payload(t, 5)))
	m := l.join(nil)
	eventually(t, "all containers", func() bool { return m.Stats().Containers == 7 && m.Stats().Lag == 0 })
	m.stop()
	if s := m.Stats(); s.Repeated != 2 || m.inlet.taken[numbered(1)] != 2 || m.inlet.taken[5] != 2 {
		t.Errorf("%+v, %v", s, m.inlet.taken)
	}
}

// TestAFailedConfirmOnAFakeReadsAgain fails several times: nothing is committed meanwhile, and what
// is read again is not taken for repeats.
func TestAFailedConfirmOnAFakeReadsAgain(t *testing.T) {
	t.Parallel()
	l := newLab(t, 2)
	i := newInlet()
	m := l.join(i)
	l.produce(0, containerOf(t, 1))
	eventually(t, "a commit", func() bool { return m.Stats().Commits == 1 })
	if s := m.Stats(); !s.Uncommitted.IsZero() || s.Committed.IsZero() {
		t.Errorf("after a commit: %+v", s)
	}
	i.fail(errors.New("the disk is full"))
	for n := 2; n < 12; n++ {
		l.produce(int32(n%2), containerOf(t, n))
	}
	eventually(t, "three failures", func() bool { return m.Stats().Failures >= 3 })
	s := m.Stats()
	if s.Commits != 1 || s.Error == "" || s.Failing.IsZero() || !s.Uncommitted.After(s.Committed) {
		t.Errorf("%+v", s)
	}
	eventually(t, "two more failures", func() bool { return m.Stats().Failures >= s.Failures+2 })
	if later := m.Stats(); later.Uncommitted != s.Uncommitted {
		t.Errorf("not committed since %v, want %v: what is read again is not new", later.Uncommitted, s.Uncommitted)
	}
	if got := l.committed(m.config.Group, 2); !slices.Equal(got, []int64{1, -1}) {
		t.Errorf("committed %v", got)
	}
	i.fail(nil)
	eventually(t, "all records", func() bool { return i.count() == 11 && m.Stats().Error == "" })
	m.stop()
	if got := l.committed(m.config.Group, 2); !slices.Equal(got, []int64{6, 5}) {
		t.Errorf("committed %v", got)
	}
	if i.taken[numbered(1)] != 1 || m.Stats().Repeated != 0 {
		t.Errorf("taken %v, %+v", i.taken, m.Stats())
	}
	if m.log.count("fails, and tries again") != 1 || m.log.count("works again") != 1 {
		t.Errorf("log:\n%s", m.log.b.String())
	}
}

func TestAFailedCommitOnAFakeReadsAgain(t *testing.T) {
	t.Parallel()
	l := newLab(t, 1, kfake.NumBrokers(1))
	failures := 2
	l.fake.ControlKey(int16(kmsg.OffsetCommit), func(r kmsg.Request) (kmsg.Response, error, bool) {
		if failures--; failures < 0 {
			return nil, nil, false
		}
		l.fake.KeepControl()
		response := r.ResponseKind().(*kmsg.OffsetCommitResponse)
		for _, t := range r.(*kmsg.OffsetCommitRequest).Topics {
			topic := kmsg.NewOffsetCommitResponseTopic()
			topic.Topic, topic.TopicID = t.Topic, t.TopicID
			for _, p := range t.Partitions {
				topic.Partitions = append(topic.Partitions, kmsg.OffsetCommitResponseTopicPartition{Partition: p.Partition, ErrorCode: 28}) // INVALID_COMMIT_OFFSET_SIZE
			}
			response.Topics = append(response.Topics, topic)
		}
		return response, nil, true
	})
	l.produce(0, containerOf(t, 1))
	m := l.join(nil)
	eventually(t, "a commit", func() bool { return m.Stats().Commits == 1 })
	m.stop()
	if s := m.Stats(); s.Failures != 2 || s.Error != "" || m.inlet.confirmed[numbered(1)] != 3 {
		t.Errorf("%+v, %v", s, m.inlet.confirmed)
	}
}

// TestAWaitingInletOnAFakeKeepsTheMemberInTheGroup waits for much longer than the session timeout.
func TestAWaitingInletOnAFakeKeepsTheMemberInTheGroup(t *testing.T) {
	t.Parallel()
	l := newLab(t, 1, kfake.NumBrokers(1), kfake.GroupMinSessionTimeout(time.Millisecond))
	i := newInlet()
	i.waits = make(chan struct{})
	beats := make(chan struct{}, 1000)
	l.fake.ControlKey(int16(kmsg.Heartbeat), func(kmsg.Request) (kmsg.Response, error, bool) {
		l.fake.KeepControl()
		select {
		case beats <- struct{}{}:
		default:
		}
		return nil, nil, false
	})
	m := l.join(i, kgo.SessionTimeout(2*time.Second))
	big := container(1, 1, slices.Repeat([]nmsg.Payload{payload(t, numbered(1))}, 4000)...)
	for n := range 60 {
		nmsg.SetSequence(big, 1, uint32(n+1))
		l.produce(0, big)
	}
	eventually(t, "a record that waits", func() bool { return i.busy.Load() == 1 })
	for range 60 { // 3 s
		select {
		case <-beats:
		case <-time.After(patience):
			t.Fatal("no heartbeat")
		}
	}
	if s := m.Stats(); s.Rebalances != 1 || s.Partitions != 1 || s.Containers > maxPoll {
		t.Errorf("%+v", s)
	}
	if n := m.client.BufferedFetchBytes(); n > maxFetches*2*fetchBytes {
		t.Errorf("%d octets are buffered", n)
	}
	close(i.waits)
	eventually(t, "all containers", func() bool { return m.Stats().Containers == 60 && m.Stats().Lag == 0 && m.Stats().Commits > 0 })
	m.stop()
	if s := m.Stats(); s.Failures != 0 || s.Repeated != 0 {
		t.Errorf("%+v", s)
	}
}

// TestAStopOnAFakeWhileTheInletWaits must not take longer than stopTime, and commits nothing.
func TestAStopOnAFakeWhileTheInletWaits(t *testing.T) {
	t.Parallel()
	l := newLab(t, 1)
	i := newInlet()
	i.waits = make(chan struct{})
	l.produce(0, containerOf(t, 1))
	m := l.join(i)
	eventually(t, "a record that waits", func() bool { return i.busy.Load() == 1 })
	started := time.Now()
	m.stop()
	if d := time.Since(started); d > 2*stopTime {
		t.Errorf("it took %v", d)
	}
	if got := l.committed(m.config.Group, 1); got[0] != -1 || m.Stats().Failures != 1 {
		t.Errorf("committed %v, %+v", got, m.Stats())
	}
}

func TestAStopOnAFakeCommitsWhatWasRead(t *testing.T) {
	t.Parallel()
	l := newLab(t, 1)
	l.commit = time.Hour
	i := newInlet()
	m := l.join(i)
	l.produce(0, containerOf(t, 1))
	eventually(t, "the container", func() bool { return m.Stats().Containers == 1 })
	m.stop()
	if got := l.committed(m.config.Group, 1); got[0] != 1 || i.count() != 1 {
		t.Errorf("committed %v", got)
	}
}

func TestAConfigurationOfTheClientThatIsInvalidIsAnError(t *testing.T) {
	s := New(Config{Name: "s"}, newInlet(), discard())
	s.options = []kgo.Opt{kgo.MaxDecompressBatchBytes(-1)}
	if err := s.Run(context.Background()); err == nil {
		t.Error("no error")
	}
}
