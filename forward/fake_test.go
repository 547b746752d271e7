package forward

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/netip"
	"sync"
	"testing"
	"time"

	dnstap "github.com/dnstap/golang-dnstap"
	"google.golang.org/protobuf/proto"

	"github.com/dnstap-pdns/dnstap-pdns/forward/nmsg"
	"github.com/dnstap-pdns/dnstap-pdns/transform"
)

// withTransports gives sinks other transports than their targets say.
func withTransports(open func(*SinkConfig) (transport, error)) Option {
	return func(f *Forwarder) { f.open = open }
}

// wireName is the wire form of a name of two labels.
func wireName(label, parent string) []byte {
	b := append([]byte{byte(len(label))}, label...)
	b = append(append(b, byte(len(parent))), parent...)
	return append(b, 0)
}

// testRecord is a record of a name that tells it from all others, with a response
// of about size bytes.
func testRecord(lane, n, size int) *transform.Record {
	name := wireName(fmt.Sprintf("n%d", n), fmt.Sprintf("lane%d", lane))
	query := append([]byte{0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0}, name...)
	query = append(query, 0, 1, 0, 1)
	return &transform.Record{
		Server:       netip.MustParseAddrPort("192.0.2.53:53"),
		Resolver:     netip.MustParseAddrPort("0.0.0.0:0"),
		Zeroed:       true,
		Answered:     true,
		Asked:        true,
		Name:         name,
		Type:         1,
		Class:        1,
		QueryTime:    1_700_000_000e9,
		ResponseTime: 1_700_000_000e9,
		Query:        query,
		Response:     append(bytes.Clone(query), make([]byte, size)...),
	}
}

// nameOf is the query name of a message, wire form.
func nameOf(m *nmsg.Message) (string, error) {
	switch _, name, _ := m.Name(); name {
	case "dnsqr":
		q, err := nmsg.DecodeDNSQR(m.Data)
		return string(q.QName), err
	case "dnsobs":
		o, err := nmsg.DecodeDNSObs(m.Data)
		return string(o.QName), err
	case "dnstap":
		d := new(dnstap.Dnstap)
		err := proto.Unmarshal(m.Data, d)
		name, _, _ := bytes.Cut(append(d.Message.GetQueryMessage(), d.Message.GetResponseMessage()...)[12:], []byte{0})
		return string(append(name, 0)), err
	}
	return "", fmt.Errorf("unknown message type %d", m.Type)
}

// readNames reads the query names, and the number of containers that are missing,
// out of a series of containers.
func readNames(b []byte) (names []string, missing int, err error) {
	r := nmsg.NewReader(bytes.NewReader(b))
	r.OnGap(func(g nmsg.Gap) { missing += int(g.Missing()) })
	for {
		m, err := r.Next()
		if errors.Is(err, io.EOF) {
			return names, missing, nil
		}
		if err != nil {
			return names, missing, err
		}
		name, err := nameOf(&m)
		if err != nil {
			return names, missing, err
		}
		names = append(names, name)
	}
}

// A fault is what a fake transport does once instead of its work.
type fault func(ctx context.Context, t *fake, b *batch, from int) (outcome, error)

// A fake keeps what is delivered through it.
type fake struct {
	mu     sync.Mutex
	got    []byte
	faults []fault // of the next calls; nil: none
	calls  []time.Time
	closed bool
}

func (t *fake) Send(ctx context.Context, b *batch, from int) (outcome, error) {
	t.mu.Lock()
	t.calls = append(t.calls, time.Now())
	var f fault
	if len(t.faults) > 0 {
		f, t.faults = t.faults[0], t.faults[1:]
	}
	t.mu.Unlock()
	if f != nil {
		return f(ctx, t, b, from)
	}
	return t.take(b, from, len(b.containers)), nil
}

// take delivers containers from to to.
func (t *fake) take(b *batch, from, to int) outcome {
	t.mu.Lock()
	defer t.mu.Unlock()
	start, end := b.start(from), b.start(to)
	t.got = append(t.got, b.buf[start:end]...)
	return b.written(from, end-start)
}

func (t *fake) Rest(context.Context) (time.Time, error) { return time.Time{}, nil }

func (t *fake) Close(context.Context) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.closed = true
	return nil
}

func (t *fake) fail(faults ...fault) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.faults = append(t.faults, faults...)
}

// names are those that were delivered. It fails the test on anything that a
// receiver could not read.
func (t *fake) names(tb testing.TB) (names []string, missing int) {
	tb.Helper()
	t.mu.Lock()
	defer t.mu.Unlock()
	names, missing, err := readNames(t.got)
	if err != nil {
		tb.Fatalf("what was delivered cannot be read: %v", err)
	}
	return names, missing
}

var errFake = errors.New("fake failure")

func failsOnce(context.Context, *fake, *batch, int) (outcome, error) { return outcome{}, errFake }

// failsInside delivers the first half and fails at the next container.
func failsInside(_ context.Context, t *fake, b *batch, from int) (outcome, error) {
	return t.take(b, from, from+(len(b.containers)-from)/2), errFake
}

func breaks(context.Context, *fake, *batch, int) (outcome, error) {
	return outcome{}, brokenError{errFake}
}

// losesEverySecond is what UDP does when a peer refuses.
func losesEverySecond(_ context.Context, t *fake, b *batch, from int) (outcome, error) {
	var o outcome
	for i := from; i < len(b.containers); i++ {
		if i%2 == 0 {
			o.lose(b, i, Refused)
			continue
		}
		taken := t.take(b, i, i+1)
		o.done += taken.done
		o.delivered += taken.delivered
		o.sent.add(&taken.sent)
	}
	o.trouble = errFake
	return o, nil
}

// stallsFor is a Send that takes its time but can be interrupted.
func stallsFor(d time.Duration) fault {
	return func(ctx context.Context, t *fake, b *batch, from int) (outcome, error) {
		select {
		case <-time.After(d):
			return t.take(b, from, len(b.containers)), nil
		case <-ctx.Done():
			return outcome{}, ctx.Err()
		}
	}
}

// A rig is a Forwarder on fake transports. Those of removed sinks are kept.
type rig struct {
	*Forwarder
	policy *transform.Policy

	mu    sync.Mutex
	fakes map[string][]*fake // by sink name, oldest first
	setUp func(*fake)        // of new ones
}

func newRig(tb testing.TB, mode Mode, configs ...SinkConfig) *rig {
	tb.Helper()
	r := &rig{policy: testPolicy(tb), fakes: map[string][]*fake{}}
	r.Forwarder = New(mode, transform.NewBudget(1000), slog.New(slog.DiscardHandler), withTransports(r.open))
	if err := r.Apply(r.policy, configs); err != nil {
		tb.Fatal(err)
	}
	return r
}

func testPolicy(tb testing.TB) *transform.Policy {
	tb.Helper()
	p, err := transform.NewPolicy(transform.Config{
		PairingTimeout: time.Minute,
		TimeResolution: time.Second,
		Rcodes:         []uint8{0},
	})
	if err != nil {
		tb.Fatal(err)
	}
	return p
}

func (r *rig) open(c *SinkConfig) (transport, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	t := new(fake)
	if r.setUp != nil {
		r.setUp(t)
	}
	r.fakes[c.Name] = append(r.fakes[c.Name], t)
	return t, nil
}

// fake is the transport of the sink's present incarnation.
func (r *rig) fake(name string) *fake {
	r.mu.Lock()
	defer r.mu.Unlock()
	all := r.fakes[name]
	return all[len(all)-1]
}

// run runs the Forwarder until the returned function is called, which returns what
// Run did.
func (r *rig) run() (stop func() error) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- r.Run(ctx) }()
	return func() error {
		cancel()
		return <-done
	}
}

// burst records n records, numbered from first, in one burst of the lane.
func burst(l *Lane, lane, first, n, size int) {
	l.Begin()
	for i := range n {
		l.record(testRecord(lane, first+i, size))
	}
	l.End()
}

func testSink(name string) SinkConfig {
	return SinkConfig{
		Name:  name,
		MTU:   1280,
		Flush: 500 * time.Millisecond,
		Queue: 16 << 20,
	}
}

// checkLedger holds the ledger to its identities.
func checkLedger(l *Ledger) error {
	var errs []error
	if l.Total.Read != l.Total.Sum() {
		errs = append(errs, fmt.Errorf("read %d, but the sum is %d", l.Total.Read, l.Total.Sum()))
	}
	var sources transform.Counts
	for _, s := range l.Sources {
		if s.Counts.Read != s.Counts.Sum() {
			errs = append(errs, fmt.Errorf("source %s: read %d, but the sum is %d", s.Name, s.Counts.Read, s.Counts.Sum()))
		}
		sources.Add(&s.Counts)
	}
	if sources != l.Total {
		errs = append(errs, fmt.Errorf("the sources have %+v, in all it says %+v", sources, l.Total))
	}
	names := map[string]bool{}
	for _, s := range l.Sinks {
		if names[s.Name] {
			errs = append(errs, fmt.Errorf("sink %s is there twice", s.Name))
		}
		names[s.Name] = true
		if s.Offered != s.Sum() {
			errs = append(errs, fmt.Errorf("sink %s: offered %d, but the sum is %d: %+v", s.Name, s.Offered, s.Sum(), s))
		}
	}
	return errors.Join(errs...)
}

// checkNames fails the test on a name that is there twice.
func checkNames(tb testing.TB, names []string) {
	tb.Helper()
	seen := map[string]bool{}
	for _, n := range names {
		if seen[n] {
			tb.Errorf("%q was delivered twice", n)
		}
		seen[n] = true
	}
}

// eventually waits for what a real socket is to bring about.
func eventually(tb testing.TB, what string, ok func() bool) {
	tb.Helper()
	for deadline := time.Now().Add(10 * time.Second); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			tb.Fatalf("never happened: %s", what)
		}
	}
}
