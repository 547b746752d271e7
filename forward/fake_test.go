package forward

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"time"

	dnstap "github.com/dnstap/golang-dnstap"
	"github.com/miekg/dns"
	"google.golang.org/protobuf/proto"

	"github.com/dnstap-pdns/dnstap-pdns/forward/nmsg"
	"github.com/dnstap-pdns/dnstap-pdns/transform"
)

// wireName returns a name of two labels in wire form.
func wireName(label, parent string) []byte {
	b := append([]byte{byte(len(label))}, label...)
	b = append(append(b, byte(len(parent))), parent...)
	return append(b, 0)
}

// testRecord returns a record with a unique name and a response of about size bytes.
func testRecord(lane, n, size int) *transform.Record {
	name := wireName(fmt.Sprintf("n%d", n), fmt.Sprintf("lane%d", lane))
	query := append([]byte{0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0}, name...)
	query = append(query, 0, 1, 0, 1)
	return &transform.Record{
		Server:       netip.MustParseAddrPort("192.0.2.53:53"),
		Resolver:     netip.MustParseAddrPort("0.0.0.0:0"),
		Zeroed:       true,
		HasResponse:  true,
		HasQuery:     true,
		Name:         name,
		Type:         1,
		Class:        1,
		QueryTime:    1_700_000_000e9,
		ResponseTime: 1_700_000_000e9,
		Query:        query,
		Response:     append(bytes.Clone(query), make([]byte, size)...),
	}
}

// nameOf returns the query name of a message in wire form.
func nameOf(m *nmsg.Message) (string, error) {
	switch _, name, _ := m.Name(); name {
	case "dnsqr":
		q, err := nmsg.DecodeDNSQR(m.Data)
		return string(q.QName), err
	case "dnsobs":
		o, err := nmsg.DecodeDNSObs(m.Data)
		return string(o.QName), err
	case "dnsdedupe":
		d, err := nmsg.DecodeDNSDedupe(m.Data)
		return string(d.RRName), err
	case "dnstap":
		d := new(dnstap.Dnstap)
		err := proto.Unmarshal(m.Data, d)
		name, _, _ := bytes.Cut(append(d.Message.GetQueryMessage(), d.Message.GetResponseMessage()...)[12:], []byte{0})
		return string(append(name, 0)), err
	}
	return "", fmt.Errorf("unknown message type %d", m.Type)
}

// readNames reads containers, and returns their query names and the number of missing
// containers.
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

// A fault replaces one Send of a fake transport.
type fault func(ctx context.Context, t *fake, b *Batch, from int) (Result, error)

// A fake is a transport that keeps the bytes that are sent.
type fake struct {
	mu     sync.Mutex
	got    []byte
	faults []fault // of the next calls; nil: none
	calls  []time.Time
	env    Env
	idles  []error // results of the next calls of Idle, one in each second; nil: none
	opens  int
	closed bool

	closedLate bool // the context of Close had ended

	closing   error         // result of Close
	paced     time.Duration // result of MayTake
	tentative tentative     // records are tentative when they are sent
	held      uint64        // tentative records
	resumes   func() uint64 // returns the records in the spool, at the first Open; nil: none
}

// tentative is the state of records that a fake was sent.
type tentative struct {
	is    bool // they are tentative
	state State
}

func (t *fake) Open(context.Context) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.opens++; t.opens == 1 && t.resumes != nil {
		found := t.resumes()
		t.held += found
		t.env.Resume(found)
	}
	return nil
}

// opened returns the number of calls of Open.
func (t *fake) opened() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.opens
}

func (t *fake) MayTake([]*Batch) time.Duration { return t.paced }

// Send takes one batch at a time.
func (t *fake) Send(ctx context.Context, bs []*Batch, from int) (Result, error) {
	b := bs[0]
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
	return t.take(b, from, len(b.Units)), nil
}

// take delivers the containers with the numbers from to before to.
func (t *fake) take(b *Batch, from, to int) (r Result) {
	t.mu.Lock()
	defer t.mu.Unlock()
	start, end := b.Start(from), b.Start(to)
	t.got = append(t.got, b.Buf[start:end]...)
	r.Deliver(b, from, end-start)
	if t.tentative.is {
		t.held += r.Delivered
		r.Delivered, r.Tentative[t.tentative.state] = 0, r.Delivered
	}
	return r
}

func (t *fake) Idle(context.Context) (time.Time, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.idles) == 0 {
		return time.Time{}, nil
	}
	err := t.idles[0]
	t.idles = t.idles[1:]
	return time.Now().Add(time.Second), err
}

func (t *fake) Close(ctx context.Context) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.closed, t.closedLate = true, ctx.Err() != nil
	return t.closing
}

func (t *fake) fail(faults ...fault) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.faults = append(t.faults, faults...)
}

// names returns the delivered names and the number of missing containers. It fails the test
// if a receiver could not read the bytes.
func (t *fake) names(tb testing.TB) (names []string, missing int) {
	tb.Helper()
	t.mu.Lock()
	defer t.mu.Unlock()
	names, missing, err := readNames(t.got)
	if err != nil {
		tb.Fatalf("the delivered bytes cannot be read: %v", err)
	}
	return names, missing
}

var errFake = errors.New("fake failure")

func failsOnce(context.Context, *fake, *Batch, int) (Result, error) { return Result{}, errFake }

// failsInside delivers the first half and fails at the next container.
func failsInside(_ context.Context, t *fake, b *Batch, from int) (Result, error) {
	return t.take(b, from, from+(len(b.Units)-from)/2), errFake
}

func breaks(context.Context, *fake, *Batch, int) (Result, error) {
	return Result{}, PermanentError{errFake}
}

// losesEverySecond loses every second unit, like UDP with datagrams that are too large.
func losesEverySecond(_ context.Context, t *fake, b *Batch, from int) (Result, error) {
	var r Result
	for i := from; i < len(b.Units); i++ {
		if i%2 == 0 {
			r.Lose(b, i, Failed)
			continue
		}
		taken := t.take(b, i, i+1)
		r.Units += taken.Units
		r.Delivered += taken.Delivered
		for state, n := range taken.Tentative {
			r.Tentative[state] += n
		}
		r.Sent.add(&taken.Sent)
	}
	r.LossCause = errFake
	return r, nil
}

// stallsFor returns a Send that takes d, unless its context ends.
func stallsFor(d time.Duration) fault {
	return func(ctx context.Context, t *fake, b *Batch, from int) (Result, error) {
		select {
		case <-time.After(d):
			return t.take(b, from, len(b.Units)), nil
		case <-ctx.Done():
			return Result{}, ctx.Err()
		}
	}
}

// A rig is a Forwarder with fake transports. It keeps those of removed sinks.
type rig struct {
	*Forwarder
	policy *transform.Policy
	ids    func(source string) nmsg.IDs // of Apply; nil: zero

	mu    sync.Mutex
	fakes map[string][]*fake  // by sink name, oldest first
	setUp func(string, *fake) // of new ones

}

func newRig(tb testing.TB, mode Mode, configs ...SinkConfig) *rig {
	tb.Helper()
	r := &rig{policy: testPolicy(tb), fakes: map[string][]*fake{}}
	r.Forwarder = New(mode, transform.NewBudget(1000), slog.New(slog.DiscardHandler))
	if err := r.Apply(r.policy, configs); err != nil {
		tb.Fatal(err)
	}
	return r
}

func testPolicy(tb testing.TB, edits ...func(*transform.Config)) *transform.Policy {
	tb.Helper()
	c := transform.Config{
		PairingTimeout: time.Minute,
		TimeResolution: time.Second,
		Rcodes:         []uint8{0},
	}
	for _, edit := range edits {
		edit(&c)
	}
	p, err := transform.NewPolicy(c)
	if err != nil {
		tb.Fatal(err)
	}
	return p
}

// Apply gives a fake transport to sinks without a transport.
func (r *rig) Apply(policy *transform.Policy, configs []SinkConfig) error {
	configs = slices.Clone(configs)
	for i := range configs {
		if configs[i].Transport == nil {
			configs[i].Transport = fakes{r}
		}
	}
	return r.Forwarder.Apply(policy, configs, r.ids)
}

// fakes makes the transports of a rig.
type fakes struct{ r *rig }

func (f fakes) New(c *SinkConfig, env Env) (Transport, error) {
	r := f.r
	r.mu.Lock()
	defer r.mu.Unlock()
	t := &fake{env: env}
	if r.setUp != nil {
		r.setUp(c.Name, t)
	}
	r.fakes[c.Name] = append(r.fakes[c.Name], t)
	return t, nil
}

// fake returns the latest transport of a sink.
func (r *rig) fake(name string) *fake {
	r.mu.Lock()
	defer r.mu.Unlock()
	all := r.fakes[name]
	return all[len(all)-1]
}

// run runs the Forwarder until the returned function is called, which returns the error of
// Run.
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
		Name:   name,
		Format: NMSG{},
		MTU:    1280,
		Flush:  500 * time.Millisecond,
		Queue:  16 << 20,
	}
}

// checkLedger returns an error if a sum in the ledger is wrong.
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
		if s.Offered+s.Resumed != s.Sum() {
			errs = append(errs, fmt.Errorf("sink %s: offered and resumed %d, but the sum is %d: %+v", s.Name, s.Offered+s.Resumed, s.Sum(), s))
		}
	}
	return errors.Join(errs...)
}

// checkNames fails the test if a name occurs twice.
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

// eventually waits until ok returns true.
func eventually(tb testing.TB, what string, ok func() bool) {
	tb.Helper()
	for deadline := time.Now().Add(10 * time.Second); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			tb.Fatalf("never happened: %s", what)
		}
	}
}

// A taker takes batches out of a queue, like a sender.
type taker struct {
	queue *queue
	sender
}

// pop returns the oldest batches, and recycles those that it returned before.
func (t *taker) pop() []*Batch {
	t.queue.pop(&t.sender)
	return t.batches
}

// popped returns the oldest batches.
func popped(q *queue) []*Batch { return (&taker{queue: q}).pop() }

// namesOf returns the names of records number from to before to of lane 0.
func namesOf(from, to int) (names []string) {
	for i := from; i < to; i++ {
		names = append(names, string(testRecord(0, i, 0).Name))
	}
	return names
}

// ledgerOf returns the account of one sink, removed or not.
func (r *rig) ledgerOf(name string) SinkLedger {
	for _, l := range r.Ledger().Sinks {
		if l.Name == name {
			return l
		}
	}
	return SinkLedger{}
}

// answer returns a resolver's response from a server.
func answer(t *testing.T, name string, at time.Time) *transform.Message {
	t.Helper()
	m := new(dns.Msg).SetQuestion(name, dns.TypeA)
	m.Response, m.RecursionDesired, m.Authoritative = true, false, true
	rr, err := dns.NewRR(name + " 60 IN A 192.0.2.1")
	if err != nil {
		t.Fatal(err)
	}
	m.Answer = []dns.RR{rr}
	wire, err := m.Pack()
	if err != nil {
		t.Fatal(err)
	}
	return &transform.Message{
		Role:         transform.ResolverResponse,
		Server:       netip.MustParseAddrPort("198.51.100.53:53"),
		QueryTime:    transform.Time(at.UnixNano()),
		ResponseTime: transform.Time(at.UnixNano()),
		Wire:         wire,
	}
}
