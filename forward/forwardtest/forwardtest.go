// Package forwardtest helps to test transports: it makes a Forwarder with a sink that uses
// the transport, makes records, and reads the output. Only tests import it.
package forwardtest

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

	"github.com/miekg/dns"

	"github.com/dnstap-pdns/dnstap-pdns/forward"
	"github.com/dnstap-pdns/dnstap-pdns/forward/nmsg"
	"github.com/dnstap-pdns/dnstap-pdns/transform"
)

// Sink returns the configuration of a sink that sends dnsqr messages.
func Sink(name string, target forward.Target, transport forward.TransportConfig) forward.SinkConfig {
	return forward.SinkConfig{
		Name:      name,
		Target:    target,
		Format:    forward.NMSG{Message: nmsg.DNSQR},
		MTU:       target.DefaultMTU(),
		Flush:     500 * time.Millisecond,
		Queue:     16 << 20,
		Transport: transport,
	}
}

// A TransportFunc is a TransportConfig that returns a transport made by the test.
type TransportFunc func(c *forward.SinkConfig, env forward.Env) (forward.Transport, error)

// New returns the test's transport.
func (m TransportFunc) New(c *forward.SinkConfig, env forward.Env) (forward.Transport, error) {
	return m(c, env)
}

// Policy returns a policy that lets every Message become a record.
func Policy(tb testing.TB) *transform.Policy {
	tb.Helper()
	p, err := transform.NewPolicy(transform.Config{PairingTimeout: time.Minute, TimeResolution: time.Second, Rcodes: []uint8{0}})
	if err != nil {
		tb.Fatal(err)
	}
	return p
}

// New returns a Forwarder with these sinks.
func New(tb testing.TB, mode forward.Mode, log io.Writer, sinks ...forward.SinkConfig) *forward.Forwarder {
	tb.Helper()
	f := forward.New(mode, transform.NewBudget(1000), slog.New(slog.NewTextHandler(log, nil)))
	if err := f.Apply(Policy(tb), sinks, nil); err != nil {
		tb.Fatal(err)
	}
	return f
}

// Run runs f while feed fills a lane, then stops it and returns the error of f.Run.
func Run(f *forward.Forwarder, feed func(*forward.Lane)) error {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- f.Run(ctx) }()
	l := f.Lane("source")
	feed(l)
	l.Close()
	cancel()
	return <-done
}

// burstTime is the time of all records of a Burst.
var burstTime = time.Unix(1_700_000_000, 0)

// Burst makes n records, numbered from first, in one burst of the lane, with responses
// of at least size octets.
func Burst(tb testing.TB, l *forward.Lane, first, n, size int) {
	tb.Helper()
	l.Begin()
	defer l.End()
	for i := range n {
		m := Message(tb, fmt.Sprintf("n%d.example.", first+i), burstTime, make([]byte, size))
		if r := l.Take(m); r != transform.Kept {
			tb.Fatalf("record %d is dropped: %v", first+i, r)
		}
	}
}

// Message returns a server's response to a resolver, with data in its answer.
func Message(tb testing.TB, name string, at time.Time, data []byte) *transform.Message {
	tb.Helper()
	m := new(dns.Msg).SetQuestion(name, dns.TypeNULL)
	m.Response, m.RecursionDesired, m.Authoritative = true, false, true
	m.Answer = []dns.RR{&dns.NULL{Hdr: dns.RR_Header{Name: name, Rrtype: dns.TypeNULL, Class: dns.ClassINET, Ttl: 60}, Data: string(data)}}
	m.Compress = true
	wire, err := m.Pack()
	if err != nil {
		tb.Fatal(err)
	}
	return &transform.Message{
		Role:         transform.ResolverResponse,
		Server:       netip.MustParseAddrPort("198.51.100.53:53"),
		QueryTime:    transform.Time(at.UnixNano()),
		ResponseTime: transform.Time(at.UnixNano()),
		Wire:         wire,
	}
}

// Record returns the record of a server's response of at least size octets.
func Record(tb testing.TB, name string, at transform.Time, size int) *transform.Record {
	tb.Helper()
	m := Message(tb, name, time.Unix(0, int64(at)), make([]byte, size))
	return &transform.Record{
		Server: m.Server, HasResponse: true, Name: dnsName(tb, name), Type: dns.TypeNULL, Class: dns.ClassINET,
		QueryTime: m.QueryTime, ResponseTime: m.ResponseTime, Response: m.Wire,
	}
}

// Batch returns a sealed batch of n records, or as many as fit, in containers of at most
// limit bytes, with sequence numbers from 0. With limit 1 each record has its own container.
func Batch(tb testing.TB, n, size, limit int) *forward.Batch {
	tb.Helper()
	b := &forward.Batch{ID: 1<<63 | 7}
	format := forward.NMSG{Message: nmsg.DNSQR}
	framer := format.NewFramer(limit)
	for i := range n {
		r := Record(tb, fmt.Sprintf("n%d.example.", i), transform.Time(burstTime.UnixNano()), size)
		record, err := format.Append(nil, r, nmsg.IDs{})
		if err != nil {
			tb.Fatal(err)
		}
		if !framer.Add(b, record) {
			break
		}
	}
	framer.Seal(b)
	framer.Number(b)
	return b
}

func dnsName(tb testing.TB, name string) []byte {
	wire := make([]byte, 255)
	n, err := dns.PackDomainName(name, wire, 0, nil, false)
	if err != nil {
		tb.Fatal(err)
	}
	return wire[:n]
}

// Names reads containers, and returns the query names of their dnsqr records and the number
// of missing containers.
func Names(b []byte) (names []string, missing int, err error) {
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
		q, err := nmsg.DecodeDNSQR(m.Data)
		if err != nil {
			return names, missing, err
		}
		names = append(names, string(q.QName))
	}
}

// CheckLedger returns the ledger of the only sink, and fails the test if its sum is wrong.
func CheckLedger(tb testing.TB, f *forward.Forwarder) forward.SinkLedger {
	tb.Helper()
	l := f.Ledger()
	if len(l.Sinks) != 1 {
		tb.Fatalf("%d sinks, want one", len(l.Sinks))
	}
	if s := l.Sinks[0]; s.Offered != s.Sum() {
		tb.Errorf("offered %d, but the sum is %d: %+v", s.Offered, s.Sum(), s)
	}
	return l.Sinks[0]
}

// CheckUnique fails the test if a name occurs twice.
func CheckUnique(tb testing.TB, names []string) {
	tb.Helper()
	seen := map[string]bool{}
	for _, n := range names {
		if seen[n] {
			tb.Errorf("%q was delivered twice", n)
		}
		seen[n] = true
	}
}

// A Log collects a log for a test. The zero value is empty. It is safe for concurrent use.
type Log struct {
	mu sync.Mutex
	b  bytes.Buffer
}

// Write appends to the log.
func (l *Log) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

// String returns all of the log.
func (l *Log) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}
