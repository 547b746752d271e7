package kafka

import (
	"context"
	"errors"
	"net"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"github.com/twmb/franz-go/pkg/sasl/plain"
)

// A network connects members to brokers until it is cut.
type network struct {
	mu    sync.Mutex
	cut   bool
	conns []net.Conn
}

func (n *network) dial(ctx context.Context, proto, address string) (net.Conn, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.cut {
		return nil, errors.New("the network is cut")
	}
	c, err := new(net.Dialer).DialContext(ctx, proto, address)
	if err == nil {
		n.conns = append(n.conns, c)
	}
	return c, err
}

func (n *network) set(cut bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.cut = cut
	for _, c := range n.conns {
		c.Close()
	}
	n.conns = nil
}

func TestFakeBrokersMayBeAway(t *testing.T) {
	t.Parallel()
	l := newLab(t, 2)
	var n network
	n.cut = true
	m := l.join(nil, kgo.Dialer(n.dial), kgo.SessionTimeout(2*time.Second))
	l.produce(0, containerOf(t, 1))
	eventually(t, "an error", func() bool { return m.Stats().Error != "" })
	n.set(false)
	eventually(t, "the first record", func() bool { return m.inlet.count() == 1 && m.Stats().Error == "" })
	n.set(true)
	l.produce(1, containerOf(t, 2))
	eventually(t, "an error again", func() bool { return m.Stats().Error != "" && m.Stats().Partitions == 0 })
	n.set(false)
	eventually(t, "the second record", func() bool { return m.inlet.count() == 2 && m.Stats().Error == "" })
	m.stop()
	if w, i := m.log.count("fails, and tries again"), m.log.count("works again"); w != i || w != 2 {
		t.Errorf("log:\n%s", m.log.b.String())
	}
}

// TestAStopWhileFakeBrokersAreAway does not wait for them.
func TestAStopWhileFakeBrokersAreAway(t *testing.T) {
	t.Parallel()
	l := newLab(t, 1)
	l.commit = time.Hour
	var n network
	m := l.join(nil, kgo.Dialer(n.dial))
	l.produce(0, containerOf(t, 1))
	eventually(t, "the container", func() bool { return m.Stats().Containers == 1 })
	n.set(true)
	started := time.Now()
	m.stop()
	if d := time.Since(started); d > 2*stopTime {
		t.Errorf("it took %v", d)
	}
	if m.Stats().Commits != 0 || m.Stats().Failures != 1 {
		t.Errorf("%+v", m.Stats())
	}
}

func TestAWrongPasswordAtAFakeIsTriedAgain(t *testing.T) {
	t.Parallel()
	l := &lab{t: t, topic: "t", commit: time.Millisecond}
	var err error
	if l.fake, err = kfake.NewCluster(kfake.NumBrokers(1), kfake.EnableSASL(), kfake.Superuser("PLAIN", "u", "right"), kfake.SeedTopics(1, "t")); err != nil {
		t.Fatal(err)
	}
	defer l.fake.Close()
	l.addresses = l.fake.ListenAddrs()
	var mu sync.Mutex
	password := "wrong"
	m := l.join(nil, kgo.SASL(plain.Plain(func(context.Context) (plain.Auth, error) {
		mu.Lock()
		defer mu.Unlock()
		return plain.Auth{User: "u", Pass: password}, nil
	})))
	eventually(t, "an error", func() bool { return m.Stats().Error != "" })
	mu.Lock()
	password = "right"
	mu.Unlock()
	eventually(t, "partitions", func() bool { return m.Stats().Partitions == 1 && m.Stats().Error == "" })
	m.stop()
	if m.log.count("wrong") != 0 || m.log.count("right") != 0 {
		t.Error("the log contains a password")
	}
}

func TestAFakeTopicMayBeMadeLater(t *testing.T) {
	t.Parallel()
	l := newLab(t, 0)
	m := l.join(nil)
	eventually(t, "an error", func() bool { return m.Stats().Error != "" })
	l.create(1)
	l.produce(0, containerOf(t, 1))
	eventually(t, "the record", func() bool { return m.inlet.count() == 1 && m.Stats().Error == "" })
	m.stop()
}

func TestOffsetsThatDoNotExistOnAFake(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*lab){
		"deleted before they were read": func(l *lab) {
			for n := 10; n < 20; n++ {
				l.produce(0, containerOf(t, n))
			}
			l.deleteBefore(15)
		},
		"beyond the end": func(l *lab) {
			l.remove()
			l.create(1)
			l.client.PurgeTopicsFromClient(l.topic) // it has another id
			l.commitOffset(testGroup+l.topic, 10)   // some brokers forget it with the topic
			for n := 15; n < 20; n++ {
				l.produce(0, containerOf(t, n))
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			l := newLab(t, 1)
			for n := range 10 {
				l.produce(0, containerOf(t, n))
			}
			m := l.join(nil)
			eventually(t, "the records", func() bool { return m.inlet.count() == 10 && m.Stats().Commits > 0 && m.Stats().Lag == 0 })
			m.stop()
			change(l)
			m = l.join(nil)
			eventually(t, "what exists", func() bool { return m.inlet.count() == 5 })
			m.stop()
			for n := 15; n < 20; n++ {
				if m.inlet.confirmed[numbered(n)] != 1 {
					t.Errorf("confirmed %v", m.inlet.confirmed)
				}
			}
			if s := m.Stats(); s.OutOfRange != 1 || s.Failures != 0 || m.log.count("no message at the offset") != 1 {
				t.Errorf("%+v\n%s", s, m.log.b.String())
			}
		})
	}
}

// TestPartitionsOfAFakeMoveWithoutRepeats adds a member, which must get partitions whose records were
// all confirmed and committed by the first one.
func TestPartitionsOfAFakeMoveWithoutRepeats(t *testing.T) {
	t.Parallel()
	l := newLab(t, 8)
	l.commit = time.Hour // only the revocation commits
	for n := range 80 {
		l.produce(int32(n%8), containerOf(t, n))
	}
	one := l.join(nil)
	eventually(t, "all containers", func() bool { return one.Stats().Containers == 80 })
	two := l.join(nil)
	eventually(t, "partitions of both", func() bool { return one.Stats().Partitions == 4 && two.Stats().Partitions == 4 })
	for n := 80; n < 160; n++ {
		l.produce(int32(n%8), containerOf(t, n))
	}
	eventually(t, "the other containers", func() bool { return one.Stats().Containers == 120 && two.Stats().Containers == 40 })
	one.stop()
	two.stop()
	for n := range 160 {
		if c := one.inlet.confirmed[numbered(n)] + two.inlet.confirmed[numbered(n)]; c != 1 {
			t.Errorf("record %d was confirmed %d times", n, c)
		}
	}
}

// TestARevocationOnAFakeThatIsNotConfirmed leaves the new owner and the old one to read again.
func TestARevocationOnAFakeThatIsNotConfirmed(t *testing.T) {
	t.Parallel()
	l := newLab(t, 2)
	l.commit = time.Hour
	l.produce(0, containerOf(t, 1))
	l.produce(1, containerOf(t, 2))
	i := newInlet()
	i.fail(errors.New("the disk is full"))
	one := l.join(i)
	eventually(t, "all containers", func() bool { return one.Stats().Containers == 2 })
	two := l.join(nil)
	eventually(t, "what was read again", func() bool { return two.Stats().Containers == 1 && one.Stats().Containers == 3 })
	i.fail(nil)
	one.stop()
	two.stop()
	if one.inlet.count()+two.inlet.count() != 2 || one.Stats().Failures != 1 || one.Stats().Repeated+two.Stats().Repeated != 0 {
		t.Errorf("confirmed %v and %v, %+v", one.inlet.confirmed, two.inlet.confirmed, one.Stats())
	}
}

// TestAMemberThatAFakeRemovesJoinsAgain removes it with an answer to a heartbeat.
func TestAMemberThatAFakeRemovesJoinsAgain(t *testing.T) {
	t.Parallel()
	l := newLab(t, 1, kfake.NumBrokers(1))
	l.commit = time.Hour
	m := l.join(nil)
	l.produce(0, containerOf(t, 1))
	eventually(t, "the container", func() bool { return m.Stats().Containers == 1 })
	l.fake.ControlKey(int16(kmsg.Heartbeat), func(r kmsg.Request) (kmsg.Response, error, bool) {
		response := r.ResponseKind().(*kmsg.HeartbeatResponse)
		response.ErrorCode = 25 // UNKNOWN_MEMBER_ID
		return response, nil, true
	})
	eventually(t, "the container again", func() bool { return m.Stats().Containers == 2 })
	m.stop()
	if s := m.Stats(); s.Repeated != 0 || s.Commits != 1 || m.inlet.confirmed[numbered(1)] != 2 {
		t.Errorf("%+v, %v", s, m.inlet.confirmed)
	}
}

// TestAMemberOfAFakeThatVanishes loses its network, like a machine that lost its power. What it had
// committed is not read again, and everything else is.
func TestAMemberOfAFakeThatVanishes(t *testing.T) {
	t.Parallel()
	l := newLab(t, 4)
	var n network
	one := l.join(nil, kgo.Dialer(n.dial), kgo.SessionTimeout(2*time.Second))
	for n := range 40 {
		l.produce(int32(n%4), containerOf(t, n))
	}
	eventually(t, "a commit of everything", func() bool { return one.inlet.count() == 40 && one.Stats().Lag == 0 && one.Stats().Commits > 0 })
	eventually(t, "the commit", func() bool { return slices.Equal(l.committed(one.config.Group, 4), []int64{10, 10, 10, 10}) })
	one.inlet.fail(errFull)
	for n := 40; n < 80; n++ {
		l.produce(int32(n%4), containerOf(t, n))
	}
	eventually(t, "a failure", func() bool { return one.Stats().Failures > 0 })
	n.set(true)
	two := l.join(nil, kgo.SessionTimeout(2*time.Second))
	eventually(t, "everything else", func() bool { return two.inlet.count() == 40 })
	two.stop()
	for n := range 80 {
		if got := two.inlet.confirmed[numbered(n)]; got != n/40 {
			t.Errorf("container %d was confirmed %d times", n, got)
		}
	}
}

func TestTheLeaderOfAFakePartitionMayChange(t *testing.T) {
	t.Parallel()
	l := newLab(t, 4, kfake.NumBrokers(3))
	m := l.join(nil)
	for n := range 40 {
		if n%10 == 9 {
			l.fake.ShufflePartitionLeaders()
			l.fake.RehashCoordinators()
		}
		l.produce(int32(n%4), containerOf(t, n))
	}
	eventually(t, "all records", func() bool { return m.inlet.count() == 40 })
	m.stop()
}

// TestProgressOnAFakeWhileTheGroupRebalancesConstantly adds and removes a member until everything is
// confirmed.
func TestProgressOnAFakeWhileTheGroupRebalancesConstantly(t *testing.T) {
	t.Parallel()
	l := newLab(t, 4)
	members := []*inlet{newInlet(), newInlet(), newInlet()}
	l.join(members[0])
	l.join(members[1])
	const records = 300
	for n := range records {
		l.produce(int32(n%4), containerOf(t, n))
	}
	isConfirmed := func(n int) bool {
		return slices.ContainsFunc(members, func(i *inlet) bool {
			i.mu.Lock()
			defer i.mu.Unlock()
			return i.confirmed[numbered(n)] > 0
		})
	}
	rounds, confirmed := 0, 0 // records before number confirmed are
	eventually(t, "all records, in several rebalances", func() bool {
		m := l.join(members[2])
		eventually(t, "the new member is in the group", func() bool { return m.account.isMember() })
		m.stop()
		for rounds++; confirmed < records && isConfirmed(confirmed); {
			confirmed++
		}
		return confirmed == records && rounds > 5
	})
}
