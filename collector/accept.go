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

// Wait after an error of accept, doubled after each further error in a row.
const (
	firstBackoff = 5 * time.Millisecond
	maxBackoff   = time.Second
)

// accept serves each connection in its own goroutine, until ctx ends or the listener fails
// for good.
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
			if isPermanent(err) {
				return fmt.Errorf("accepting connections: %w", err)
			}
			backoff = s.backOff(ctx, backoff, err)
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

// isPermanent reports whether accept can never succeed after err. Other errors are a shortage
// of resources or come from the peer.
func isPermanent(err error) bool {
	return errors.Is(err, net.ErrClosed) || errors.Is(err, syscall.EBADF) || errors.Is(err, syscall.EINVAL) ||
		errors.Is(err, syscall.ENOTSOCK) || errors.Is(err, syscall.EOPNOTSUPP)
}

// backOff waits after err, twice as long as before, and returns how long. It logs the first
// error in a row, for which before is 0.
func (s *Source) backOff(ctx context.Context, before time.Duration, err error) time.Duration {
	s.mu.Lock()
	s.stats.AcceptErrors++
	s.mu.Unlock()
	if before == 0 {
		s.logger().Error("connections cannot be accepted; retrying", "error", withoutAddress(err))
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

// admit adds the connection to the source. It returns nil if the connection is refused:
// MaxConnections are open, and none can be displaced for it.
func (s *Source) admit(nc net.Conn) *conn {
	peer := peerOf(nc)
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.makeRoom(peer.holder()) {
		s.stats.Refused++
		return nil
	}
	s.stats.Accepted++
	c := newConn(nc, peer, s.stats.Accepted, s.config, s.connLog())
	c.tls = s.tls
	s.conns[c] = struct{}{}
	return c
}

// release removes a connection that has ended from the source, and counts how it ended.
func (s *Source) release(c *conn, how outcome) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.conns, c)
	close(c.released)
	switch how {
	case neverBegan:
		s.stats.HandshakesFailed++
		if c.noStart != "" {
			s.failure = HandshakeFailure{time.Now(), c.noStart}
		}
	case broken:
		s.stats.Broken++
	}
}

// loggedPerMinute is the number of new connections in a minute that are logged above debug
// level: far more than resolvers make, and few enough for a log.
const loggedPerMinute = 60

// connLog counts a new connection, and returns its log: at debug level only, if more than
// loggedPerMinute came in this minute. s.mu is held.
func (s *Source) connLog() *slog.Logger {
	n := s.perMinute.add(time.Now())
	if n <= loggedPerMinute {
		return s.log
	}
	if n == loggedPerMinute+1 {
		s.log.Warn("many connections: further ones in this minute are logged at debug level only")
	}
	return slog.New(debugOnly{s.log.Handler()})
}

// A minuteRate counts events by the minute.
type minuteRate struct {
	since time.Time
	count int
}

// add counts one event, and returns the number of events in this minute.
func (r *minuteRate) add(now time.Time) int {
	if now.Sub(r.since) >= time.Minute {
		*r = minuteRate{since: now}
	}
	r.count++
	return r.count
}

// debugOnly is a log handler that writes every record at debug level.
type debugOnly struct{ slog.Handler }

func (d debugOnly) Enabled(ctx context.Context, _ slog.Level) bool {
	return d.Handler.Enabled(ctx, slog.LevelDebug)
}

func (d debugOnly) Handle(ctx context.Context, r slog.Record) error {
	r.Level = slog.LevelDebug
	return d.Handler.Handle(ctx, r)
}

func (d debugOnly) WithAttrs(attrs []slog.Attr) slog.Handler {
	return debugOnly{d.Handler.WithAttrs(attrs)}
}
func (d debugOnly) WithGroup(name string) slog.Handler { return debugOnly{d.Handler.WithGroup(name)} }
