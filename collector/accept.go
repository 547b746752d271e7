package collector

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"syscall"
	"time"
)

// How long to wait after accept has failed: doubled with each failure in a row.
const (
	firstBackoff = 5 * time.Millisecond
	maxBackoff   = time.Second
)

// accept serves each connection in a goroutine of its own, until ctx ends or the
// listener is good for nothing any more.
func (s *Source) accept(ctx context.Context, connections *sync.WaitGroup) error {
	var backoff time.Duration
	for {
		nc, err := s.listener.Accept()
		if ctx.Err() != nil {
			if err == nil {
				nc.Close()
			}
			return nil
		}
		if err != nil {
			if listenerGone(err) {
				return fmt.Errorf("accepting connections: %w", err)
			}
			backoff = s.pause(ctx, backoff, err)
			continue
		}
		if backoff > 0 {
			backoff = 0
			s.logger().Info("connections are accepted again")
		}
		c := s.admit(nc)
		if c == nil {
			nc.Close()
			continue
		}
		connections.Go(func() { s.release(c, c.serve(ctx, s.open)) })
	}
}

// listenerGone tells errors that no waiting mends from shortages and the peers' own.
func listenerGone(err error) bool {
	return errors.Is(err, net.ErrClosed) || errors.Is(err, syscall.EBADF) || errors.Is(err, syscall.EINVAL) ||
		errors.Is(err, syscall.ENOTSOCK) || errors.Is(err, syscall.EOPNOTSUPP)
}

// pause waits after a failure, longer than after the one before.
func (s *Source) pause(ctx context.Context, before time.Duration, err error) time.Duration {
	s.mu.Lock()
	s.stats.AcceptErrors++
	s.mu.Unlock()
	if before == 0 {
		s.logger().Error("connections cannot be accepted; trying on", "error", withoutAddress(err))
	}
	wait := min(max(2*before, firstBackoff), maxBackoff)
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
	return wait
}

// admit returns nil when the newcomer is refused: as many connections are open as
// may be, and none yields to it.
func (s *Source) admit(nc net.Conn) *conn {
	peer := peerOf(nc)
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.makeRoom(peer.holder()) {
		s.stats.Refused++
		return nil
	}
	s.stats.Accepted++
	c := newConn(nc, peer, s.stats.Accepted, s.config, s.logOfNext())
	c.tls = s.tls
	s.conns[c] = struct{}{}
	return c
}

// logOfNext returns the log for one more connection. s.mu is held.
func (s *Source) logOfNext() *slog.Logger {
	n := s.pace.step(time.Now())
	if n <= toldPerMinute {
		return s.log
	}
	if n == toldPerMinute+1 {
		s.log.Warn("many connections: those to come in this minute are told of at debug level only")
	}
	return slog.New(quiet{s.log.Handler()})
}

func (s *Source) release(c *conn, how outcome) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.conns, c)
	close(c.gone)
	switch how {
	case neverBegan:
		s.stats.HandshakesFailed++
	case broken:
		s.stats.Broken++
	}
}
