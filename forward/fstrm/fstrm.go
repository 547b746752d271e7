package fstrm

import (
	"context"
	"fmt"
	"net"
	"time"

	"github.com/dnstap-pdns/dnstap-pdns/conf/certs"
	"github.com/dnstap-pdns/dnstap-pdns/forward"
)

const (
	connectTime = 5 * time.Second // of connecting, with all handshakes
	writeTime   = 8 * time.Second // of a batch; a peer that does not take it is dead

	// finishTime is the time in which a peer answers STOP. It is shorter than the time that
	// sinks have when the sensor stops.
	finishTime = 2 * time.Second

	// While there is nothing to send, the connection is checked at checkTime, and a failed
	// one is replaced after retryTime.
	checkTime = time.Second
	retryTime = 5 * time.Second
)

// Config is the configuration that only sinks to sockets have.
type Config struct {
	TLS   bool
	Files certs.ClientFiles // read at each connection
}

// New returns a transport to the sink's target, a Unix socket or a TCP port.
func (c Config) New(s *forward.SinkConfig, _ forward.Env) (forward.Transport, error) {
	return newTransport(c, s)
}

func newTransport(c Config, s *forward.SinkConfig) (*transport, error) {
	t := &transport{target: s.Target, config: c}
	switch s.Target.Scheme {
	case forward.Unix:
		t.network = "unix"
	case forward.TCP:
		t.network = "tcp"
	default:
		return nil, fmt.Errorf("%v is neither a Unix socket nor a TCP port", s.Target)
	}
	var d net.Dialer
	t.dial = func(ctx context.Context) (net.Conn, error) { return d.DialContext(ctx, t.network, s.Target.Address) }
	return t, nil
}

// A transport sends frames over one connection after another.
type transport struct {
	target  forward.Target
	network string
	config  Config
	dial    func(context.Context) (net.Conn, error)
	conn    *conn // nil: none

	expires forward.AtomicTime // of the client's certificate; zero: it has none
}

// Open connects.
func (t *transport) Open(ctx context.Context) error { return t.connect(ctx) }

// Send sends the units of the first batch. After an error the connection is not used again: the
// peer may have a part of a frame, which is sent again as a whole on the next connection.
func (t *transport) Send(ctx context.Context, bs []*forward.Batch, from int) (r forward.Result, err error) {
	if err := t.connect(ctx); err != nil {
		return r, err
	}
	b := bs[0]
	n, err := t.conn.write(ctx, b.Buf[b.Start(from):], writeTime)
	r.Deliver(b, from, n)
	if err != nil {
		t.drop()
		return r, t.failed("sending", err)
	}
	return r, nil
}

// Idle notices that the peer has closed the connection, and connects again.
func (t *transport) Idle(ctx context.Context) (time.Time, error) {
	if err := t.connect(ctx); err != nil {
		return time.Now().Add(retryTime), err
	}
	return time.Now().Add(checkTime), nil
}

// Close ends the stream. An error means that the peer may not have read all frames.
func (t *transport) Close(ctx context.Context) error {
	if t.conn == nil {
		return nil
	}
	err := t.conn.finish(ctx)
	t.drop()
	if err != nil {
		return t.failed("ending the stream", err)
	}
	return nil
}

// Expires returns when the client's certificate expires; zero: it has none.
func (t *transport) Expires() time.Time { return t.expires.Load() }

// connect connects unless there is a connection. If the peer has ended it, connect drops it and
// returns an error, so that the sink waits before it connects again.
func (t *transport) connect(ctx context.Context) (err error) {
	if t.conn != nil {
		if err := t.conn.peerEnded(); err != nil {
			t.drop()
			return t.failed("sending", err)
		}
		return nil
	}
	if t.conn, err = t.open(ctx); err != nil {
		return t.failed("connecting", err)
	}
	return nil
}

func (t *transport) drop() {
	t.conn.drop()
	t.conn = nil
}

// failed returns err with what failed. The errors of package net repeat addresses.
func (t *transport) failed(what string, err error) error {
	return fmt.Errorf("%s to %v: %w", what, t.target, withoutAddress(err))
}
