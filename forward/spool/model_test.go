package spool

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/dnstap-pdns/dnstap-pdns/forward"
)

// A model checks what a peer receives from a sink that is fed, stopped and killed at random.
type model struct {
	*sink
	root  string
	disk  *faultyDisk
	kills int

	index    map[string]int              // of made
	reported map[string]forward.Dropped  // before each container that was received
	acked    map[string]bool             // containers whose acknowledgement was processed
	checked  int                         // received containers that were checked
	newest   int                         // index of the newest of them; -1: none
	units    struct{ made, lost uint64 } // containers that were given up before batches were made, and by limits
}

// lost returns what limits have dropped.
func (l *ledger) limited() uint64 { return l.lost[forward.SpoolFull] + l.lost[forward.SpoolExpired] }

// A step is something that happens to a sink.
type step struct {
	what    string
	number  int // peer's mode, containers at once, seconds
	batches []drawnBatch
}

type drawnBatch struct {
	containers, size int
	givenUp          bool // containers before it were given up
}

func drawSteps(t *rapid.T) (steps []step) {
	number := map[string][2]int{"mode": {0, 3}, "each": {0, 3}, "rest": {1, 300}}
	for range rapid.IntRange(1, 30).Draw(t, "steps") {
		s := step{what: rapid.SampledFrom([]string{"feed", "feed", "half full", "mode", "each", "rest", "stop", "kill", "full"}).Draw(t, "step")}
		if n, ok := number[s.what]; ok {
			s.number = rapid.IntRange(n[0], n[1]).Draw(t, "number")
		} else if s.what != "kill" {
			for range rapid.IntRange(1, 3).Draw(t, "batches") {
				s.batches = append(s.batches, drawnBatch{
					rapid.IntRange(1, 4).Draw(t, "containers"), rapid.IntRange(1, 500).Draw(t, "size"), rapid.IntRange(0, 3).Draw(t, "given up") == 0})
			}
		}
		steps = append(steps, s)
	}
	return steps
}

// A violation is a panic with a text: rapid must get it in its own goroutine.
type violation string

func fail(format string, args ...any) { panic(violation(fmt.Sprintf(format, args...))) }

// feed sends some batches.
func (m *model) feed(drawn []drawnBatch) {
	var bs []*forward.Batch
	for _, d := range drawn {
		b := m.batch(d.containers, d.size)
		if d.givenUp {
			b.Dropped = forward.Dropped{Units: 1, Bytes: 100}
			m.units.made++
		}
		for i := range b.Units {
			m.index[string(b.Bytes(i))] = len(m.index)
		}
		bs = append(bs, b)
	}
	if _, err := m.send(1000, bs...); err != nil {
		fail("%v", err)
	}
}

// feedFull sends some batches while the disk is full, until it has room.
func (m *model) feedFull(drawn []drawnBatch) {
	m.disk.set(failing("create", "write", "replace", "truncate"))
	time.AfterFunc(20*time.Second, func() { m.disk.set(nil) })
	m.feed(drawn)
	m.calm()
	time.Sleep(time.Minute)
}

// calm waits until all is quiet, and the sink has counted what Send returned.
func (m *model) calm() {
	synctest.Wait()
	m.Idle(m.t.Context())
	synctest.Wait()
}

// check checks what the peer has received since the last check.
func (m *model) check() {
	m.calm()
	m.ledger.check()
	got := m.peer.received()
	for _, c := range got[m.checked:] {
		i, known := m.index[c.octets]
		was, before := m.reported[c.octets]
		switch {
		case !known:
			fail("an unknown container was received")
		case m.acked[c.octets]:
			fail("container %d was acknowledged, and is sent again", i)
		case !before && i < m.newest:
			fail("container %d was received after container %d", i, m.newest)
		case before && was != c.dropped:
			fail("container %d is sent again after %+v instead of %+v", i, c.dropped, was)
		case !before:
			m.newest = i
			m.reported[c.octets] = c.dropped
		}
		if c.acked {
			m.acked[c.octets] = true
		}
	}
	m.checked = len(got)
	for _, c := range got { // also those that were acknowledged since the last check
		if c.acked {
			m.acked[c.octets] = true
		}
	}
}

// start starts the next sink, which must find what the last one had in its spool.
func (m *model) start() {
	spooled := m.ledger.spooled
	m.units.lost += m.ledger.limited()
	m.ledger = &ledger{t: m.t}
	m.halfFull, m.stop = make(chan struct{}, 1), make(chan struct{})
	m.open()
	if m.ledger.resumed != spooled {
		fail("%d records are resumed, want %d", m.ledger.resumed, spooled)
	}
}

// stops stops the sink while it gets batches, and starts it again.
func (m *model) stops(drawn []drawnBatch) {
	close(m.stop)
	m.feed(drawn)
	m.calm()
	m.close()
	m.check()
	m.start()
}

// kill continues with a copy of the files, as if the process had been killed.
func (m *model) kill() {
	m.calm()
	old, from := m.transport, m.transport.dir
	m.link.cut.Store(true)
	m.kills++
	m.config.Dir = filepath.Join(m.root, fmt.Sprint(m.kills))
	if err := os.CopyFS(filepath.Join(m.config.Dir, filepath.Base(from)), os.DirFS(from)); err != nil {
		fail("%v", err)
	}
	m.start()
	if err := old.Close(m.t.Context()); err != nil {
		fail("%v", err)
	}
}

// TestSpoolFollowsTheModel feeds, stops and kills a sink at random, while its peer and its
// disk fail, and checks that containers arrive in order, unchanged, again only if they were
// not acknowledged, and not at all only if a limit dropped them.
func TestSpoolFollowsTheModel(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		small, short := rapid.Bool().Draw(rt, "small"), rapid.Bool().Draw(rt, "short")
		steps := drawSteps(rt)
		var broken any
		synctest.Test(t, func(t *testing.T) {
			m := &model{sink: newSink(t, t.TempDir(), newPeer()), disk: &faultyDisk{}, newest: -1,
				index: map[string]int{}, reported: map[string]forward.Dropped{}, acked: map[string]bool{}}
			m.root, m.sink.disk = m.dir, m.disk
			if small {
				m.maxBytes = 4_000
			}
			if short {
				m.config.MaxAge = 10 * time.Minute
			}
			m.open()
			defer func() {
				broken = recover()
				m.Close(t.Context())
			}()
			m.run(steps)
		})
		if broken != nil {
			rt.Fatalf("%v", broken)
		}
	})
}

func (m *model) run(steps []step) {
	for _, s := range steps {
		switch s.what {
		case "feed":
			m.feed(s.batches)
		case "half full":
			m.halfFull <- struct{}{}
			m.feed(s.batches)
		case "mode":
			m.peer.set(mode(s.number))
		case "each":
			m.peer.mu.Lock()
			m.peer.each = s.number
			m.peer.mu.Unlock()
		case "rest":
			m.rest(time.Duration(s.number) * time.Second)
		case "stop":
			m.stops(s.batches)
		case "kill":
			m.kill()
		case "full":
			m.feedFull(s.batches)
		}
		m.check()
	}
	m.peer.set(acknowledges)
	m.rest(5 * time.Minute)
	m.check()
	m.units.lost += m.ledger.limited()
	if m.ledger.spooled != 0 || uint64(len(m.reported))+m.units.lost < uint64(len(m.made)) {
		fail("%d of %d containers arrived, limits dropped %d, %d are in the spool", len(m.reported), len(m.made), m.units.lost, m.ledger.spooled)
	}
	reported := m.store.index.Carry.Units
	for octets := range m.acked {
		reported += m.reported[octets].Units
	}
	if reported != m.units.made+m.units.lost {
		fail("the peer knows of %d containers that were given up, want %d and %d", reported, m.units.made, m.units.lost)
	}
}
