package admin

import (
	"context"
	"net"
	"net/http"
	"slices"
	"sync"
)

// maxConnections bounds the open connections of a server.
const maxConnections = 64

// A connLimit bounds the open connections of a server. A new connection is always served: if there
// are too many, it displaces one that waits for a request, or else the oldest one.
type connLimit struct {
	mu   sync.Mutex
	open []*openConn // the oldest first
}

type openConn struct {
	net.Conn
	busy bool // a request is being served
}

// connKey is the context key of the openConn of a request.
type connKey struct{}

// limit makes a server bound its connections.
func (l *connLimit) limit(h *http.Server) {
	next := h.Handler
	h.ConnContext = func(ctx context.Context, c net.Conn) context.Context {
		return context.WithValue(ctx, connKey{}, l.add(c))
	}
	h.ConnState = func(c net.Conn, state http.ConnState) {
		if state == http.StateClosed || state == http.StateHijacked {
			l.remove(c)
		}
	}
	h.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c := r.Context().Value(connKey{}).(*openConn)
		l.setBusy(c, true)
		defer l.setBusy(c, false)
		next.ServeHTTP(w, r)
	})
}

// add adds an accepted connection, and closes another one if there are too many.
func (l *connLimit) add(c net.Conn) *openConn {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.open) >= maxConnections {
		i := max(0, slices.IndexFunc(l.open, func(o *openConn) bool { return !o.busy }))
		l.open[i].Close()
		l.open = slices.Delete(l.open, i, i+1)
	}
	added := &openConn{Conn: c}
	l.open = append(l.open, added)
	return added
}

func (l *connLimit) remove(c net.Conn) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.open = slices.DeleteFunc(l.open, func(o *openConn) bool { return o.Conn == c })
}

func (l *connLimit) setBusy(c *openConn, busy bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	c.busy = busy
}
