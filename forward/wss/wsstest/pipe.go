package wsstest

import (
	"net"
	"sync"
	"time"
)

// A bufferedConn is one end of a net.Pipe whose writes do not wait for the reader, as those to a
// socket: both sides of the protocol write first.
type bufferedConn struct {
	net.Conn
	wake chan struct{}

	mu      sync.Mutex
	pending []byte
	closed  bool
}

func newBufferedConn(c net.Conn) *bufferedConn {
	return &bufferedConn{Conn: c, wake: make(chan struct{}, 1)}
}

// Write queues p.
func (b *bufferedConn) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		return 0, net.ErrClosed
	}
	b.pending = append(b.pending, p...)
	b.signal()
	return len(p), nil
}

// Close closes the connection after what is queued was read, at the latest after a second.
func (b *bufferedConn) Close() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.closed = true
	b.signal()
	return b.Conn.SetDeadline(time.Now().Add(time.Second))
}

func (b *bufferedConn) signal() {
	select {
	case b.wake <- struct{}{}:
	default:
	}
}

// run passes on what Write queues, until Close or an error.
func (b *bufferedConn) run() {
	defer b.Conn.Close()
	for range b.wake {
		b.mu.Lock()
		next, closed := b.pending, b.closed
		b.pending = nil
		b.mu.Unlock()
		if _, err := b.Conn.Write(next); err != nil || closed {
			return
		}
	}
}
