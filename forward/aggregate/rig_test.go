package aggregate

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/miekg/dns"

	"github.com/dnstap-pdns/dnstap-pdns/forward"
	"github.com/dnstap-pdns/dnstap-pdns/forward/forwardtest"
	"github.com/dnstap-pdns/dnstap-pdns/forward/nmsg"
	"github.com/dnstap-pdns/dnstap-pdns/transform"
	"github.com/dnstap-pdns/dnstap-pdns/transform/rrset"
)

// noon is the time of the first record.
var noon = time.Unix(1_700_000_000, 0)

func testConfig() Config {
	return Config{Window: 10 * time.Minute, MaxEntries: 1000, MaxBytes: 8 << 20, BailiwickWait: 10 * time.Second}
}

// An output is a transport that keeps what it is sent.
type output struct {
	mu    sync.Mutex
	got   []byte
	delay time.Duration // of each Send
}

func (o *output) New(*forward.SinkConfig, forward.Env) (forward.Transport, error) { return o, nil }
func (*output) Open(context.Context) error                                        { return nil }
func (*output) Idle(context.Context) (next time.Time, err error)                  { return next, nil }
func (*output) Close(context.Context) error                                       { return nil }

func (o *output) Send(ctx context.Context, bs []*forward.Batch, from int) (r forward.Result, err error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.delay > 0 {
		select {
		case <-time.After(o.delay):
		case <-ctx.Done():
			return r, ctx.Err()
		}
	}
	b := bs[0]
	o.got = append(o.got, b.Buf[b.Start(from):]...)
	r.Deliver(b, from, len(b.Buf))
	return r, nil
}

func (o *output) bytes() []byte {
	o.mu.Lock()
	defer o.mu.Unlock()
	return slices.Clone(o.got)
}

// aggregates returns the RRsets that were delivered in containers.
func (o *output) aggregates(tb testing.TB) (all []rrset.Aggregate) {
	tb.Helper()
	r := nmsg.NewReader(bytes.NewReader(o.bytes()))
	for {
		m, err := r.Next()
		if errors.Is(err, io.EOF) {
			return all
		}
		if err != nil {
			tb.Fatal(err)
		}
		d, err := nmsg.DecodeDNSDedupe(m.Data)
		if err != nil {
			tb.Fatal(err)
		}
		a, ok := d.Aggregate()
		if !ok {
			tb.Fatalf("incomplete: %+v", d)
		}
		all = append(all, a)
	}
}

// sinks returns an aggregate sink and the sinks that it feeds.
func sinks(c Config, fed ...forward.SinkConfig) []forward.SinkConfig {
	s := forwardtest.Sink("aggregate", forward.Target{Scheme: forward.Aggregate}, c)
	s.Format = Format{}
	return append([]forward.SinkConfig{s}, fed...)
}

// fed returns a sink that the aggregate sink feeds.
func fed(name string, o *output) forward.SinkConfig {
	s := forwardtest.Sink(name, forward.Target{Scheme: forward.Stdout}, o)
	s.From, s.Format, s.MTU = "aggregate", forward.DNSDedupe{}, 1280
	return s
}

// A reply is a response with A records.
type reply struct {
	name, zone string
	addresses  []byte // last octets
	ttl        uint32
	at         time.Time
}

func (r reply) message(tb testing.TB) *transform.Message {
	tb.Helper()
	m := new(dns.Msg).SetQuestion(r.name, dns.TypeA)
	m.Response, m.RecursionDesired, m.Authoritative = true, false, true
	for _, a := range r.addresses {
		m.Answer = append(m.Answer, &dns.A{
			Hdr: dns.RR_Header{Name: r.name, Rrtype: dns.TypeA, Class: dns.ClassINET, Ttl: r.ttl}, A: []byte{192, 0, 2, a},
		})
	}
	wire, err := m.Pack()
	if err != nil {
		tb.Fatal(err)
	}
	return &transform.Message{
		Role:   transform.ResolverResponse,
		Server: netip.MustParseAddrPort("198.51.100.53:53"),
		Zone:   wireName(tb, r.zone), Wire: wire,
		QueryTime: transform.Time(r.at.UnixNano()), ResponseTime: transform.Time(r.at.UnixNano()),
	}
}

func wireName(tb testing.TB, name string) []byte {
	tb.Helper()
	if name == "" {
		return nil
	}
	wire := make([]byte, 255)
	n, err := dns.PackDomainName(name, wire, 0, nil, false)
	if err != nil {
		tb.Fatal(err)
	}
	return wire[:n]
}

// take gives replies to a lane in one burst.
func take(tb testing.TB, l *forward.Lane, replies ...reply) {
	tb.Helper()
	l.Begin()
	defer l.End()
	for _, r := range replies {
		if why := l.Take(r.message(tb)); why != transform.Kept {
			tb.Fatalf("%+v is dropped: %v", r, why)
		}
	}
}

// start runs a Forwarder until the returned function is called.
func start(f *forward.Forwarder) (stop func() error) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- f.Run(ctx) }()
	return func() error {
		cancel()
		return <-done
	}
}

// ledgerOf returns the account of a sink, and fails the test if its sum is wrong.
func ledgerOf(tb testing.TB, f *forward.Forwarder, name string) (found forward.SinkLedger) {
	tb.Helper()
	for _, l := range f.Ledger().Sinks {
		if l.Offered+l.Resumed != l.Sum() {
			tb.Errorf("sink %s: offered %d and resumed %d, but the sum is %d", l.Name, l.Offered, l.Resumed, l.Sum())
		}
		if l.Name == name {
			found = l
		}
	}
	return found
}

// A sum is what was counted of an RRset.
type sum struct {
	First, Last, Count, TTL uint32
}

func (s *sum) add(first, last, count, ttl uint32) {
	if s.Count == 0 {
		s.First = first
	}
	s.First, s.Last, s.Count, s.TTL = min(s.First, first), max(s.Last, last), s.Count+count, max(s.TTL, ttl)
}

// A model counts the RRsets of replies, as the sum of all windows.
type model map[string]*sum

func (m model) of(key string) *sum {
	if m[key] == nil {
		m[key] = &sum{}
	}
	return m[key]
}

func (m model) take(r reply) {
	if r.zone == "" || !dns.IsSubDomain(r.zone, r.name) || len(r.addresses) == 0 {
		return
	}
	at := uint32(r.at.Unix())
	m.of(fmt.Sprint(r.name, r.zone, slices.Compact(slices.Sorted(slices.Values(r.addresses))))).add(at, at, 1, r.ttl)
}

// modelOf sums what was delivered.
func modelOf(all []rrset.Aggregate) model {
	m := model{}
	for _, a := range all {
		if a.Event != rrset.Expiration {
			continue
		}
		var addresses []byte
		for _, r := range a.Rdata {
			addresses = append(addresses, r[3])
		}
		m.of(fmt.Sprint(text(a.Name), text(a.Bailiwick), addresses)).add(a.TimeFirst, a.TimeLast, a.Count, a.TTL)
	}
	return m
}

func text(wire []byte) string {
	name, _, err := dns.UnpackDomainName(wire, 0)
	if err != nil {
		return err.Error()
	}
	return name
}

// eventually waits until ok returns true.
func eventually(tb testing.TB, what string, ok func() bool) {
	tb.Helper()
	for deadline := time.Now().Add(time.Minute); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			tb.Fatalf("never happened: %s", what)
		}
	}
}
