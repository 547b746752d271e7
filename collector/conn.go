package collector

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	framestream "github.com/farsightsec/golang-framestream"

	"github.com/dnstap-pdns/dnstap-pdns/conf/certs"
	"github.com/dnstap-pdns/dnstap-pdns/transform"
)

// finishTime is the limit for sending FINISH, and for TLS's close_notify, to a peer that does
// not read.
const finishTime = 500 * time.Millisecond

// outcome is how a connection ended, as Stats counts it.
type outcome uint8

const (
	ended outcome = iota
	neverBegan
	broken
)

// A conn is one connection. One goroutine serves it; others may call phase, show and displace.
type conn struct {
	raw    net.Conn           // as accepted
	nc     net.Conn           // used only by serve: a socket of raw, or TLS over it after secure
	tls    *certs.Credentials // nil: no TLS
	limits Config
	log    *slog.Logger
	holder holder
	reader *connReader // used only by serve
	stream stream      // used only by serve

	reportScheduled bool // used only by serve: checkOutward has scheduled report
	oversizeLogged  bool // used only by serve

	noStart string // set by serve: why there was no START; empty if the peer only connected

	displaced atomic.Bool
	released  chan struct{} // closed by Source.release

	mu    sync.Mutex
	began bool       // START has come
	shown Connection // as of the last burst
}

func newConn(nc net.Conn, peer Peer, number uint64, limits Config, log *slog.Logger) *conn {
	return &conn{
		raw:      nc,
		nc:       socketOf(nc),
		limits:   limits,
		holder:   peer.holder(),
		released: make(chan struct{}),
		log:      peer.label(log.With("connection", number)),
		shown:    Connection{Number: number, Peer: peer, Since: time.Now()},
	}
}

// serve reads the connection until it ends or ctx ends, and closes it. It opens the lane after
// START.
func (c *conn) serve(ctx context.Context, open func() transform.Lane) outcome {
	defer c.close()
	deadline := c.shown.Since.Add(c.limits.HandshakeTimeout)
	if c.tls != nil {
		if err := c.secure(ctx, deadline); err != nil {
			return c.logNoStart(err)
		}
	}
	c.reader = newConnReader(ctx, c.nc)
	defer c.reader.release()

	c.reader.limit(deadline)
	c.nc.SetWriteDeadline(deadline)
	frames := newFrameReader(c.reader, c.limits.MaxFrame)
	bidirectional, err := handshake(frames, c.nc)
	if err != nil {
		return c.logNoStart(err)
	}
	c.reader.limit(time.Time{})
	c.nc.SetWriteDeadline(expired) // TLS may write during a read, and must not wait for the peer
	c.begin(bidirectional)

	c.stream = newStream(frames, open())
	c.stream.afterBurst = c.publish
	defer c.stream.lane.Close()
	err = c.stream.run()
	if err == nil && bidirectional {
		c.finish()
	}
	return c.logEnd(err)
}

// secure performs the TLS handshake, until the deadline or until ctx ends.
func (c *conn) secure(ctx context.Context, deadline time.Time) error {
	inTime, cancel := context.WithDeadline(ctx, deadline)
	defer cancel()
	nc := tls.Server(c.nc, c.tls.CurrentConfig())
	err := nc.HandshakeContext(inTime)
	switch {
	case err == nil:
		c.nc = nc
		c.identify(nc.ConnectionState())
		return nil
	case ctx.Err() != nil:
		return errStopped
	case inTime.Err() != nil:
		return os.ErrDeadlineExceeded
	}
	err = withoutAddress(err)
	if header, ok := errors.AsType[tls.RecordHeaderError](err); ok {
		if named := withoutTLS(header.RecordHeader[:]); named != nil {
			return named
		}
	}
	if strings.HasSuffix(err.Error(), "tls: bad record MAC") {
		// In TLS 1.3 package tls cannot read the alert that OpenSSL sends.
		return fmt.Errorf("TLS: the peer seems to refuse our certificate: %w", err)
	}
	return fmt.Errorf("TLS: %w", err)
}

// identify adds the common name of the client's certificate to the peer, and to the log unless
// the name is an address.
func (c *conn) identify(s tls.ConnectionState) {
	if len(s.VerifiedChains) == 0 {
		return
	}
	name := s.PeerCertificates[0].Subject.CommonName
	name = name[:min(len(name), maxLabel)]
	c.mu.Lock()
	c.shown.Peer.Name = name
	c.mu.Unlock()
	if _, err := netip.ParseAddr(name); err != nil {
		c.log = c.log.With("client", name)
	}
}

func (c *conn) begin(bidirectional bool) {
	c.mu.Lock()
	c.began = true
	c.shown.Bidirectional = bidirectional
	c.mu.Unlock()
	c.log.Info("dnstap connection began", "bidirectional", bidirectional)
}

// finish answers STOP with FINISH. Some resolvers wait for it, others have closed already.
func (c *conn) finish() {
	c.nc.SetWriteDeadline(time.Now().Add(finishTime))
	if err := writeControl(c.nc, framestream.CONTROL_FINISH); err != nil {
		c.log.Debug("FINISH not sent", "error", withoutAddress(err))
	}
}

// close closes the connection. It gives TLS finishTime to send close_notify: crypto/tls would
// wait 5 s for a peer that does not read.
func (c *conn) close() {
	if nc, ok := c.nc.(*tls.Conn); ok {
		limit := time.AfterFunc(finishTime, func() { nc.NetConn().Close() })
		defer limit.Stop()
	}
	c.nc.Close()
}

// logNoStart logs why there was no START.
func (c *conn) logNoStart(err error) outcome {
	switch {
	case errors.Is(err, errStopped):
		return ended
	case c.displaced.Load():
		c.log.Debug("connection displaced in its handshake")
		return ended
	case errors.Is(err, io.EOF): // for example a check that the port is open
		c.log.Debug("connection closed before READY or START")
	case errors.Is(err, os.ErrDeadlineExceeded):
		c.noStart = fmt.Sprintf("no START within %v", c.limits.HandshakeTimeout)
		c.log.Warn("connection closed: no START in time", "handshake_timeout", c.limits.HandshakeTimeout)
	default:
		c.noStart = err.Error()
		c.log.Warn("connection closed: no handshake", "error", err)
	}
	return neverBegan
}

// logEnd logs how the stream ended.
func (c *conn) logEnd(err error) outcome {
	log := c.log.With("frames", c.stream.account.frames, c.stream.account.types.attr())
	_, damaged := errors.AsType[*damage](err)
	switch {
	case err == nil:
		log.Info("dnstap connection ended", "by", "STOP")
	case errors.Is(err, io.EOF):
		log.Info("dnstap connection ended", "by", "the peer, without STOP")
	case errors.Is(err, errStopped):
		log.Info("dnstap connection ended", "by", "us")
	case c.displaced.Load():
		log.Info("dnstap connection ended", "by", "us, displaced for a peer that has fewer")
	case errors.Is(err, errCut) || !damaged:
		log.Info("dnstap connection lost", "error", err)
	default:
		log.Warn("connection closed: broken framing", "error", err)
		return broken
	}
	return ended
}
