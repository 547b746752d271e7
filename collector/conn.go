package collector

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"

	framestream "github.com/farsightsec/golang-framestream"

	"github.com/dnstap-pdns/dnstap-pdns/collector/certs"
)

// finishTime is how long a peer may leave FINISH unread before it goes without.
const finishTime = 500 * time.Millisecond

// A Connection is what is known of one connection that has said START.
type Connection struct {
	Number        uint64 // of the source's connections, from 1; "connection" in the log
	Peer          Peer
	Since         time.Time // accepted
	Identity      string    // as the resolver states them; at most 255 bytes, of any value
	Version       string
	Bidirectional bool
	Frames        uint64     // data frames, unreadable ones included
	Types         TypeCounts // of the readable ones
	Outward       uint64     // messages that are outward by type and times
	Remedy        Remedy     // zero unless it was reported that nothing outward comes
}

// outcome is how a connection ended, as Stats counts it.
type outcome uint8

const (
	ended outcome = iota
	neverBegan
	broken
)

// A conn is one connection. One goroutine lives its life; others may look at it.
type conn struct {
	raw    net.Conn     // as accepted
	nc     net.Conn     // the goroutine's own: raw, or TLS over it once secure has returned
	tls    *certs.Credentials // nil: none
	limits Config
	log    *slog.Logger
	holder holder
	stream stream // the goroutine's own
	tap    *tap   // likewise
	onTry  bool   // likewise: probation has begun, or is over

	displaced atomic.Bool
	gone      chan struct{} // closed when the connection is over and out of its source

	mu    sync.Mutex
	began bool
	shown Connection // as of the last burst
}

func newConn(nc net.Conn, peer Peer, number uint64, limits Config, log *slog.Logger) *conn {
	return &conn{
		raw:    nc,
		nc:     nc,
		limits: limits,
		holder: peer.holder(),
		gone:   make(chan struct{}),
		log:    peer.label(log.With("connection", number)),
		shown:  Connection{Number: number, Peer: peer, Since: time.Now()},
	}
}

// serve reads the connection to its end, or until ctx ends, and closes it. The
// lane is opened when a stream begins.
func (c *conn) serve(ctx context.Context, open func() Lane) outcome {
	defer c.close()
	deadline := c.shown.Since.Add(c.limits.HandshakeTimeout)
	if c.tls != nil {
		if err := c.secure(ctx, deadline); err != nil {
			return c.notBegun(err)
		}
	}
	t := newTap(ctx, c.nc)
	defer t.release()
	c.tap = t

	t.limit(deadline)
	c.nc.SetWriteDeadline(deadline)
	frames := newFrameReader(t, c.limits.MaxFrame)
	bidirectional, err := handshake(frames, c.nc)
	if err != nil {
		return c.notBegun(err)
	}
	t.limit(time.Time{})
	c.nc.SetWriteDeadline(longAgo) // TLS may want to write where we read, and must not wait for the peer
	c.begin(bidirectional)

	c.stream = newStream(frames, open())
	c.stream.afterBurst = c.publish
	defer c.stream.lane.Close()
	err = c.stream.run()
	if err == nil && bidirectional {
		c.finish()
	}
	return c.over(err)
}

// finish answers STOP. Some resolvers wait for that, others have gone already.
func (c *conn) finish() {
	c.nc.SetWriteDeadline(time.Now().Add(finishTime))
	if err := writeControl(c.nc, framestream.CONTROL_FINISH); err != nil {
		c.log.Debug("FINISH not sent", "error", withoutAddress(err))
	}
}

func (c *conn) begin(bidirectional bool) {
	c.mu.Lock()
	c.began = true
	c.shown.Bidirectional = bidirectional
	c.mu.Unlock()
	c.log.Info("dnstap connection began", "bidirectional", bidirectional)
}

// publish shows others what the goroutine counted.
func (c *conn) publish() {
	t := &c.stream.tally
	c.mu.Lock()
	c.shown.Frames, c.shown.Types, c.shown.Outward = t.frames, t.types, t.outward
	first := c.shown.Identity == "" && c.shown.Version == ""
	if t.renamed {
		c.shown.Identity, c.shown.Version = string(t.identity), string(t.version)
	}
	c.mu.Unlock()
	if t.renamed {
		t.renamed = false
		level := slog.LevelDebug // a relay may bring several resolvers in turn
		if first {
			level = slog.LevelInfo
		}
		c.log.Log(context.Background(), level, "resolver named itself",
			"identity", string(t.identity), "version", string(t.version))
	}
	if !c.onTry && t.inward+t.outward > 0 {
		c.onTry = true
		c.tap.setAlarm(probation, c.report)
	}
	c.rehabilitate()
}

// show returns what is known of the connection; false before START.
func (c *conn) show() (Connection, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.shown, c.began
}

// notBegun logs why there was no START.
func (c *conn) notBegun(err error) outcome {
	switch {
	case errors.Is(err, errStopped):
		return ended
	case c.displaced.Load():
		c.log.Debug("connection closed in its handshake, for another's sake")
		return ended
	case errors.Is(err, io.EOF): // somebody looked whether we are there
		c.log.Debug("connection closed before READY or START")
	case errors.Is(err, os.ErrDeadlineExceeded):
		c.log.Warn("connection closed: no START in time", "handshake_timeout", c.limits.HandshakeTimeout)
	default:
		c.log.Warn("connection closed: no handshake", "error", err)
	}
	return neverBegan
}

// over logs how the stream ended.
func (c *conn) over(err error) outcome {
	log := c.log.With("frames", c.stream.tally.frames, c.stream.tally.types.attr())
	_, damaged := errors.AsType[*damage](err)
	switch {
	case err == nil:
		log.Info("dnstap connection ended", "by", "STOP")
	case errors.Is(err, io.EOF):
		log.Info("dnstap connection ended", "by", "the peer, without STOP")
	case errors.Is(err, errStopped):
		log.Info("dnstap connection ended", "by", "us")
	case c.displaced.Load():
		log.Info("dnstap connection ended", "by", "us, for the sake of a peer that has fewer")
	case errors.Is(err, errCut) || !damaged:
		log.Info("dnstap connection lost", "error", err)
	default:
		log.Warn("connection closed: broken framing", "error", err)
		return broken
	}
	return ended
}
