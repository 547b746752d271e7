package spool

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dnstap-pdns/dnstap-pdns/forward"
	"github.com/dnstap-pdns/dnstap-pdns/forward/forwardtest"
	"github.com/dnstap-pdns/dnstap-pdns/forward/nmsg"
)

// A mode is how a peer behaves.
type mode int

const (
	acknowledges mode = iota
	fails             // it receives nothing
	forgets           // it receives, but the connection ends before its acknowledgement
	stalls            // it receives, and does not acknowledge until the mode changes
)

var errPeer = errors.New("the peer is away")

// A container is one that a peer received.
type container struct {
	octets  string
	records int
	dropped forward.Dropped // before it
	acked   bool
}

// A peer is an inner transport and the server that it sends to.
type peer struct {
	mu      sync.Mutex
	mode    mode
	changed chan struct{} // closed when mode changes
	got     []container
	each    int // containers that one Send takes; 0: all
	opens   int
	closed  bool
	lose    bool             // it counts containers as lost
	onSend  func(*container) // nil: none
	onAck   func(container)  // nil: none
}

func newPeer() *peer { return &peer{changed: make(chan struct{})} }

func (p *peer) set(m mode) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.mode = m
	close(p.changed)
	p.changed = make(chan struct{})
}

func (p *peer) Open(context.Context) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.opens++
	if p.mode == fails {
		return errPeer
	}
	return nil
}

func (p *peer) Send(ctx context.Context, bs []*forward.Batch, from int) (r forward.Result, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.mode == fails {
		return r, errPeer
	}
	first := len(p.got)
	for _, b := range bs {
		for i := from; i < len(b.Units) && (p.each == 0 || len(p.got)-first < p.each); i++ {
			c := container{octets: string(b.Bytes(i)), records: b.Units[i].Records}
			if i == 0 {
				c.dropped = b.Dropped
			}
			p.got = append(p.got, c)
			if p.onSend != nil {
				p.onSend(&c)
			}
		}
		from = 0
	}
	for p.mode == stalls {
		changed := p.changed
		p.mu.Unlock()
		select {
		case <-changed:
			p.mu.Lock()
		case <-ctx.Done():
			p.mu.Lock()
			return r, ctx.Err()
		}
	}
	if p.mode != acknowledges {
		return r, errPeer
	}
	for i := first; i < len(p.got); i++ {
		c := &p.got[i]
		c.acked = true
		if p.onAck != nil {
			p.onAck(*c)
		}
		r.Units++
		if p.lose {
			r.Lost[forward.TooBig] += uint64(c.records)
		} else {
			r.Delivered += uint64(c.records)
		}
		r.Sent.Containers++
		r.Sent.Bytes += uint64(len(c.octets))
	}
	return r, nil
}

func (p *peer) Idle(context.Context) (time.Time, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.mode == fails {
		return time.Time{}, errPeer
	}
	return time.Now().Add(time.Minute), nil
}

func (p *peer) Close(context.Context) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.closed = true
	return nil
}

func (p *peer) received() []container {
	p.mu.Lock()
	defer p.mu.Unlock()
	return append([]container(nil), p.got...)
}

// A link is the connection of one transport to a peer.
type link struct {
	*peer
	cut atomic.Bool // nothing reaches the peer any more
}

func (l *link) Open(ctx context.Context) error {
	if l.cut.Load() {
		return errPeer
	}
	return l.peer.Open(ctx)
}

func (l *link) Send(ctx context.Context, bs []*forward.Batch, from int) (forward.Result, error) {
	if l.cut.Load() {
		return forward.Result{}, errPeer
	}
	return l.peer.Send(ctx, bs, from)
}

// hasAcked reports whether the peer has acknowledged a container.
func (p *peer) hasAcked(c container) bool {
	return slices.ContainsFunc(p.received(), func(got container) bool { return got.octets == c.octets && got.acked })
}

// A ledger counts as a sink does, and checks that nothing is settled before it is counted.
type ledger struct {
	t  testing.TB
	mu sync.Mutex

	offered, resumed, delivered, spooled uint64
	lost                                 forward.LossCounts
	sent                                 forward.Sent
}

func (l *ledger) settle(from forward.State, n uint64, to forward.Outcome) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if from != forward.Spooled || n > l.spooled {
		l.t.Errorf("%d records are settled, but only %d are spooled", n, l.spooled)
	}
	l.spooled -= n
	if to.Lost {
		l.lost[to.Why] += n
	} else {
		l.delivered += n
	}
}

func (l *ledger) countSent(s forward.Sent) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.sent.Containers += s.Containers
	l.sent.Bytes += s.Bytes
}

func (l *ledger) resume(n uint64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.resumed += n
	l.spooled += n
}

func (l *ledger) count(r *forward.Result) {
	l.mu.Lock()
	defer l.mu.Unlock()
	n := r.Delivered + r.Tentative[forward.Spooled]
	l.delivered += r.Delivered
	l.spooled += r.Tentative[forward.Spooled]
	for why, lost := range r.Lost {
		l.lost[why] += lost
		n += lost
	}
	l.offered += n
}

func (l *ledger) check() {
	l.t.Helper()
	l.mu.Lock()
	defer l.mu.Unlock()
	sum := l.delivered + l.spooled
	for _, n := range l.lost {
		sum += n
	}
	if l.offered+l.resumed != sum {
		l.t.Errorf("the sum is wrong: %+v", l)
	}
}

// A sink drives a spool as a sender does. Its transport ends with the test.
type sink struct {
	t        testing.TB
	dir      string
	peer     *peer
	ledger   *ledger
	config   Config
	disk     disk
	clock    clock
	maxBytes int64 // smaller than Config allows; 0: as configured
	halfFull chan struct{}
	stop     chan struct{}
	onSettle func(n uint64, to forward.Outcome) // nil: none
	doubts   atomic.Int32                       // calls of Doubt

	*transport
	link   *link
	closed bool
	first  uint32 // sequence number of the next container
	made   []container
}

// newSink returns a sink that is not open.
func newSink(t testing.TB, dir string, p *peer) *sink {
	s := &sink{t: t, dir: dir, peer: p, ledger: &ledger{t: t}, disk: realDisk{}, clock: bubbleClock(), halfFull: make(chan struct{}, 1), stop: make(chan struct{})}
	s.config = Config{Dir: dir, MaxBytes: 1 << 30, Transport: forwardtest.TransportFunc(
		func(*forward.SinkConfig, forward.Env) (forward.Transport, error) {
			s.link = &link{peer: p}
			return s.link, nil
		})}
	return s
}

func (s *sink) env() forward.Env {
	return forward.Env{
		Mode: forward.Live, Log: slog.New(slog.DiscardHandler), Settle: s.settle(s.ledger), Resume: s.ledger.resume,
		CountErrors: func(forward.NetworkErrors) {}, CountSent: s.ledger.countSent, Doubt: func() { s.doubts.Add(1) }, HalfFull: s.halfFull, Stop: s.stop,
	}
}

func (s *sink) settle(l *ledger) forward.Settle {
	return func(from forward.State, n uint64, to forward.Outcome) {
		l.settle(from, n, to)
		if s.onSettle != nil {
			s.onSettle(n, to)
		}
	}
}

// open makes and opens the transport.
func (s *sink) open() {
	s.t.Helper()
	c := forwardtest.Sink("sie", forward.Target{Scheme: forward.WSS, Address: "sie.example/session/x"}, s.config)
	made, err := newTransport(s.config, &c, s.env())
	if err != nil {
		s.t.Fatal(err)
	}
	s.transport, s.closed = made, false
	s.transport.disk, s.transport.clock = s.disk, s.clock
	if s.maxBytes > 0 {
		made.limits.bytes = s.maxBytes
	}
	if err := s.Open(s.t.Context()); err != nil {
		s.t.Fatal(err)
	}
}

// bubbleClock is a clock that runs with the fake time of a bubble.
func bubbleClock() clock {
	start := time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)
	return clock{"test", func() time.Duration { return time.Since(start) }}
}

// close stops the sink.
func (s *sink) close() {
	s.t.Helper()
	if s.closed {
		return
	}
	s.closed = true
	if err := s.Close(context.Background()); err != nil {
		s.t.Error(err)
	}
	s.ledger.check()
}

// restart stops the sink, and starts another one with a ledger of its own.
func (s *sink) restart() {
	s.t.Helper()
	s.close()
	s.ledger = &ledger{t: s.t}
	s.halfFull, s.stop = make(chan struct{}, 1), make(chan struct{})
	s.open()
}

// batch makes a batch of n containers with one record each.
func (s *sink) batch(n, size int) *forward.Batch {
	s.t.Helper()
	b := forwardtest.Batch(s.t, n, size, 1)
	if len(b.Units) != n {
		s.t.Fatalf("only %d of %d containers fit", len(b.Units), n)
	}
	for i := range b.Units {
		nmsg.SetSequence(b.Bytes(i), b.ID, s.first)
		s.first++
		s.made = append(s.made, container{octets: string(b.Bytes(i)), records: b.Units[i].Records})
	}
	return b
}

// send sends batches until all units are counted, at most tries times, and returns the last
// error.
func (s *sink) send(tries int, bs ...*forward.Batch) (last forward.Result, err error) {
	s.t.Helper()
	from := 0
	for len(bs) > 0 && tries > 0 {
		last, err = s.Send(s.t.Context(), bs, from)
		s.ledger.count(&last)
		if n := recordsIn(bs, from, last.Units-last.Spooled, last.Units); n != last.Tentative[forward.Spooled] {
			s.t.Errorf("%d records in the units that were spooled, %d were counted", n, last.Tentative[forward.Spooled])
		}
		if err != nil {
			tries--
		}
		for from += last.Units; len(bs) > 0 && from >= len(bs[0].Units); bs = bs[1:] {
			from -= len(bs[0].Units)
		}
	}
	return last, err
}

// recordsIn counts the records in units number first to before last, counted from unit number from
// of the first batch on.
func recordsIn(bs []*forward.Batch, from, first, last int) (n uint64) {
	for _, b := range bs {
		for _, u := range b.Units[from:] {
			if first <= 0 && last > 0 {
				n += uint64(u.Records)
			}
			first, last = first-1, last-1
		}
		from = 0
	}
	return n
}

// rest lets time pass as an idle sink does.
func (s *sink) rest(d time.Duration) {
	s.t.Helper()
	for end := time.Now().Add(d); time.Now().Before(end); {
		s.Idle(s.t.Context())
		time.Sleep(min(max(idleTime, d/100), time.Until(end)))
		synctest.Wait()
	}
	s.Idle(s.t.Context())
}

// checkReceived checks that the peer received exactly these containers, in order, when
// repeats are removed.
func (s *sink) checkReceived(want []container) {
	s.t.Helper()
	seen := map[string]bool{}
	var got []container
	for _, c := range s.peer.received() {
		if !seen[c.octets] {
			got = append(got, c)
		}
		seen[c.octets] = true
	}
	if len(got) != len(want) {
		s.t.Errorf("%d containers arrived, want %d", len(got), len(want))
	}
	for i := range min(len(got), len(want)) {
		if got[i].octets != want[i].octets {
			s.t.Fatalf("container %d of %d differs or is at the wrong place", i, len(want))
		}
	}
}

// files returns the names of the files in the sink's folder, except the lock.
func (s *sink) files() (names []string) {
	s.t.Helper()
	entries, err := os.ReadDir(s.transport.dir)
	if err != nil {
		s.t.Fatal(err)
	}
	for _, e := range entries {
		if e.Name() != lockName {
			names = append(names, e.Name())
		}
	}
	return names
}

// onDisk returns the octets of all segments.
func (s *sink) onDisk() []byte {
	s.t.Helper()
	var b bytes.Buffer
	for _, name := range s.files() {
		if _, ok := segmentNumber(name); ok {
			f, err := os.Open(filepath.Join(s.transport.dir, name))
			if err != nil {
				s.t.Fatal(err)
			}
			io.Copy(&b, f)
			f.Close()
		}
	}
	return b.Bytes()
}
