package fstrm

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"time"

	dnstap "github.com/dnstap/golang-dnstap"
	framestream "github.com/farsightsec/golang-framestream"
)

// A conn is a connection after its handshake. A goroutine reads it: the peer sends only FINISH,
// so that all that arrives before STOP, and the end of the connection, end the stream.
type conn struct {
	net.Conn
	raw     net.Conn      // under TLS; else the same
	release func() bool   // stops the context function that ends blocked calls
	ended   chan struct{} // closed when the goroutine ends
	err     error         // why it ended; nil: the peer sent FINISH; valid when ended is closed
}

var (
	errClosed   = errors.New("the peer closed the connection")
	errFinished = errors.New("the peer ended the stream")
	errNoFinish = errors.New("no FINISH: the peer may not have read all records")
)

// open connects, and performs the handshakes of TLS and Frame Streams. When ctx ends, blocked
// calls of the connection end.
func (t *transport) open(ctx context.Context) (*conn, error) {
	limited, cancel := context.WithTimeout(ctx, connectTime)
	defer cancel()
	deadline, _ := limited.Deadline()
	raw, err := t.dial(limited)
	if err != nil {
		return nil, err
	}
	c := &conn{Conn: raw, raw: raw, ended: make(chan struct{})}
	raw.SetDeadline(deadline)
	c.release = context.AfterFunc(ctx, func() { raw.SetDeadline(time.Unix(1, 0)) })
	if err = t.secure(limited, c); err == nil {
		err = handshake(c.Conn)
	}
	if err != nil {
		c.release()
		raw.Close()
		return nil, err
	}
	raw.SetReadDeadline(time.Time{}) // if ctx has ended, the next call notices
	go c.awaitFinish()
	return c, nil
}

// secure performs the handshake of TLS if it is configured. It reads the files anew.
func (t *transport) secure(ctx context.Context, c *conn) error {
	if !t.config.TLS {
		return nil
	}
	host, _, err := net.SplitHostPort(t.target.Address)
	if err != nil {
		return err
	}
	config, expires, err := t.config.Files.Config(host)
	if err != nil {
		return err
	}
	t.expires.Store(expires)
	secured := tls.Client(c.raw, config)
	if err := secured.HandshakeContext(ctx); err != nil {
		return fmt.Errorf("TLS handshake: %w", withoutAddress(err))
	}
	c.Conn = secured
	return nil
}

// handshake sends READY, reads ACCEPT and sends START.
func handshake(c net.Conn) error {
	if _, err := c.Write(controlFrame(framestream.CONTROL_READY)); err != nil {
		return fmt.Errorf("sending READY: %w", withoutAddress(err))
	}
	accept, err := readControl(c)
	switch {
	case errors.Is(err, io.EOF):
		return errors.New("the peer closed the connection before ACCEPT: does it receive dnstap?")
	case errors.Is(err, os.ErrDeadlineExceeded):
		return errors.New("no ACCEPT in time: does the peer receive dnstap?")
	case err != nil:
		return fmt.Errorf("reading ACCEPT: %w", withoutAddress(err))
	case accept.ControlType != framestream.CONTROL_ACCEPT:
		return fmt.Errorf("the peer sent control frame %d instead of ACCEPT", accept.ControlType)
	case !accept.MatchContentType(dnstap.FSContentType):
		return fmt.Errorf("the peer does not accept %s", dnstap.FSContentType)
	}
	if _, err := c.Write(controlFrame(framestream.CONTROL_START)); err != nil {
		return fmt.Errorf("sending START: %w", withoutAddress(err))
	}
	return nil
}

// awaitFinish reads until FINISH or the end of the connection.
func (c *conn) awaitFinish() {
	defer close(c.ended)
	f, err := readControl(c.Conn)
	switch {
	case errors.Is(err, io.EOF):
		c.err = errClosed
	case err != nil:
		c.err = fmt.Errorf("reading from the peer: %w", withoutAddress(err))
	case f.ControlType != framestream.CONTROL_FINISH:
		c.err = fmt.Errorf("the peer sent control frame %d instead of FINISH", f.ControlType)
	}
}

// peerEnded returns why the peer takes no more frames; nil: it does.
func (c *conn) peerEnded() error {
	select {
	case <-c.ended:
		if c.err == nil {
			return errFinished
		}
		return c.err
	default:
		return nil
	}
}

// write writes b, and returns the number of bytes that the kernel took.
func (c *conn) write(ctx context.Context, b []byte, limit time.Duration) (int, error) {
	c.SetWriteDeadline(time.Now().Add(limit))
	if err := ctx.Err(); err != nil {
		return 0, err // its function may have set the deadline before
	}
	n, err := c.Write(b)
	if errors.Is(err, os.ErrDeadlineExceeded) && ctx.Err() == nil {
		err = fmt.Errorf("the peer took %d of %d bytes in %v", n, len(b), limit)
	}
	return n, err
}

// finish sends STOP and waits for FINISH.
func (c *conn) finish(ctx context.Context) error {
	if err := c.peerEnded(); err != nil {
		return fmt.Errorf("%w before STOP", err)
	}
	if _, err := c.write(ctx, controlFrame(framestream.CONTROL_STOP), finishTime); err != nil {
		return fmt.Errorf("sending STOP: %w", withoutAddress(err))
	}
	t := time.NewTimer(finishTime)
	defer t.Stop()
	select {
	case <-c.ended:
		if c.err == errClosed {
			return errNoFinish
		}
		return c.err
	case <-t.C:
		return errNoFinish
	case <-ctx.Done():
		return errNoFinish
	}
}

// drop closes the connection and waits for its goroutine. It sends no alert of TLS, which could
// block: STOP and FINISH have ended the stream.
func (c *conn) drop() {
	c.release()
	c.raw.Close()
	<-c.ended
}

// withoutAddress returns err without the addresses that package net adds. Other sinks and
// sources have their own copies: they do not import each other.
func withoutAddress(err error) error {
	if op, ok := errors.AsType[*net.OpError](err); ok {
		return op.Err
	}
	return err
}
