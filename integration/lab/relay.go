package lab

import (
	"crypto/tls"
	"errors"
	"net"
	"net/netip"
	"path/filepath"
	"sync"
	"testing"
	"time"
)

// LinkFault is what is wrong with the link of a [Relay].
type LinkFault int

const (
	NoFault LinkFault = iota
	Refuse            // nothing listens
	Reset             // each connection is reset after its client has sent some bytes
	Stall             // connections are accepted, but nothing passes
)

const relayChunk = 4 << 10 // bytes that are passed at once

// A Relay passes connections on to a server and can have the faults of a bad link. With
// certificates it terminates TLS, so that the server needs none.
type Relay struct {
	namespace      *Namespace
	listen, server string // addresses
	outside        bool   // the server is outside the namespace
	running        sync.WaitGroup

	mu       sync.Mutex
	changed  *sync.Cond // fault or closed has changed
	fault    LinkFault
	rate     int // bytes of a client per second; 0: no limit
	passes   int // bytes of a client before a reset
	closed   bool
	tls      *tls.Config // nil: none
	listener net.Listener
	clients  map[net.Conn]bool
}

// StartRelay starts a relay from an address to that of a server. Each is HOST:PORT or the path of a
// Unix socket. The relay ends with the test.
func (n *Namespace) StartRelay(t testing.TB, listen, server string) *Relay {
	t.Helper()
	return startRelay(t, &Relay{namespace: n, listen: listen, server: server})
}

// StartPassage starts a relay from an IP address and port in the namespace, which gets the address,
// to the same address outside.
func (n *Namespace) StartPassage(t testing.TB, at netip.AddrPort) *Relay {
	t.Helper()
	if !at.Addr().IsLoopback() {
		n.configure(t, "address add "+at.Addr().String()+" dev lo")
	}
	return startRelay(t, &Relay{namespace: n, listen: at.String(), server: at.String(), outside: true})
}

func startRelay(t testing.TB, r *Relay) *Relay {
	t.Helper()
	r.clients = map[net.Conn]bool{}
	r.changed = sync.NewCond(&r.mu)
	r.start(t)
	t.Cleanup(r.close)
	return r
}

func networkOf(address string) string {
	if filepath.IsAbs(address) {
		return "unix"
	}
	return "tcp"
}

// Secure has later connections use TLS.
func (r *Relay) Secure(c *tls.Config) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.tls = c
}

// Set sets the fault, and resets the connections that a link with it has not.
func (r *Relay) Set(t testing.TB, f LinkFault) {
	t.Helper()
	r.mu.Lock()
	before := r.fault
	r.fault = f
	r.changed.Broadcast()
	r.mu.Unlock()
	if f == Refuse || f == Reset {
		r.Drop()
	}
	switch {
	case f == Refuse && before != Refuse:
		r.listener.Close()
	case f != Refuse && before == Refuse:
		r.start(t)
	}
}

// SetRate limits the bytes per second that pass from each client to the server; 0: no limit.
func (r *Relay) SetRate(rate int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.rate = rate
}

// SetPasses sets the bytes of a client that pass before a Reset.
func (r *Relay) SetPasses(bytes int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.passes = bytes
}

// Drop resets every connection.
func (r *Relay) Drop() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for c := range r.clients {
		reset(c)
	}
}

// reset closes a connection at once: what was not sent is lost.
func reset(c net.Conn) {
	if tcp, ok := c.(*net.TCPConn); ok {
		tcp.SetLinger(0)
	}
	c.Close()
}

func (r *Relay) start(t testing.TB) {
	t.Helper()
	var l net.Listener
	r.namespace.Do(t, func() (err error) {
		l, err = net.Listen(networkOf(r.listen), r.listen)
		return err
	})
	r.mu.Lock()
	defer r.mu.Unlock()
	r.listener = l
	r.running.Go(func() { r.accept(l) })
}

func (r *Relay) close() {
	r.mu.Lock()
	r.closed = true
	r.changed.Broadcast()
	l := r.listener
	r.mu.Unlock()
	l.Close()
	r.Drop()
	r.running.Wait()
}

func (r *Relay) accept(l net.Listener) {
	for {
		client, err := l.Accept()
		if err != nil {
			return
		}
		r.running.Go(func() { r.serve(client) })
	}
}

// serve passes bytes in both directions until one of them ends.
func (r *Relay) serve(client net.Conn) {
	defer client.Close()
	dial := r.namespace.Dial
	if r.outside {
		dial = net.Dial
	}
	server, err := dial(networkOf(r.server), r.server)
	if err != nil {
		return // a server that does not run is a fault of the test
	}
	defer server.Close()
	secured, open := r.register(client)
	if !open {
		return
	}
	defer r.unregister(client)
	var back sync.WaitGroup
	back.Go(func() {
		r.pass(secured, server, func(int) bool { return true })
		client.Close()
	})
	passed := 0
	r.pass(server, secured, func(n int) bool {
		passed += n
		r.delay(n)
		return !r.resets(passed)
	})
	if r.resets(passed) {
		reset(client)
	}
	server.Close()
	back.Wait()
}

// register returns the connection to a client as the relay reads it.
func (r *Relay) register(client net.Conn) (secured net.Conn, open bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.clients[client] = true
	if r.tls != nil {
		return tls.Server(client, r.tls), !r.closed
	}
	return client, !r.closed
}

func (r *Relay) unregister(client net.Conn) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.clients, client)
}

// resets reports whether a connection is reset after that many bytes of its client.
func (r *Relay) resets(passed int) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.fault == Reset && passed > r.passes
}

// pass copies bytes while the link lets them pass.
func (r *Relay) pass(to, from net.Conn, passes func(n int) bool) {
	buf := make([]byte, relayChunk)
	for r.awaitStall() {
		n, err := from.Read(buf)
		if n > 0 && !(r.awaitStall() && passes(n)) {
			return
		}
		if _, failed := to.Write(buf[:n]); errors.Join(err, failed) != nil {
			return
		}
	}
}

// awaitStall waits for the end of a stall. It returns false when the relay is closed.
func (r *Relay) awaitStall() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	for r.fault == Stall && !r.closed {
		r.changed.Wait()
	}
	return !r.closed
}

// delay waits as long as the rate demands for n bytes.
func (r *Relay) delay(n int) {
	r.mu.Lock()
	rate := r.rate
	r.mu.Unlock()
	if rate > 0 {
		time.Sleep(time.Duration(n) * time.Second / time.Duration(rate))
	}
}
