// Package wsstest is a server of SIE submission for tests of package wss. It was written from the
// description of the protocol and shares no code with that package. It checks what a client must
// do, records what a client sends, and misbehaves as a test requires. Only tests may import it.
package wsstest

import (
	"bufio"
	"context"
	"crypto/sha1"
	"crypto/tls"
	"encoding/base64"
	"fmt"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// Rules are what a server requires, and how it behaves. The zero value is a server without a key
// and without TLS that follows the protocol and sends no heartbeats after the first one.
type Rules struct {
	Key  string      // the X-API-Key of clients; empty: none is required
	Path string      // of the URL; empty: any
	Host string      // the Host header; empty: any
	TLS  *tls.Config // nil: no TLS

	Status int    // of the HTTP response, in place of the upgrade; 0: upgrade
	Header string // additional lines of the HTTP response
	Raw    []byte // is sent in place of an HTTP response; then the server sends nothing more
	Ends   bool   // the connection ends after Raw

	First        []byte        // the first message; nil: a Topology
	Silent       bool          // there is no first message
	Heartbeat    time.Duration // interval of heartbeats; 0: an hour
	NoHeartbeats bool          // there are none

	Forgets    bool // containers are not recorded
	NoDeadline bool // clients need not send heartbeats: for a server that does not read them in time

	// OnMessage is called for each message of a client, before it is recorded, by the
	// goroutine that reads. It returns false if the message must not be recorded, because the
	// connection broke before it was read.
	OnMessage func(c *Conn, m Message) bool

	// OnPing is called for each ping, and reports whether the server answers. Nil: it does.
	OnPing func(c *Conn, payload []byte) bool

	OnPong func(payload []byte) // is called for each pong; nil: they are ignored
}

// A Server is a submission server.
type Server struct {
	rules Rules

	mu         sync.Mutex
	conns      []*Conn
	containers []Message
	faults     []string
	closed     bool
	closing    chan struct{} // closed with the server
	serving    sync.WaitGroup
}

// New returns a server. When the test ends, it closes all connections and reports what clients
// did wrong.
func New(tb testing.TB, r Rules) *Server {
	s := &Server{rules: r, closing: make(chan struct{})}
	tb.Cleanup(func() {
		s.Close()
		for _, f := range s.Faults() {
			tb.Error("client: " + f)
		}
	})
	return s
}

// Close closes all connections, and waits until the server does nothing more. In a synctest
// bubble the test must call it.
func (s *Server) Close() {
	s.mu.Lock()
	if !s.closed {
		s.closed = true
		close(s.closing)
	}
	conns := slices.Clone(s.conns)
	s.mu.Unlock()
	for _, c := range conns {
		c.Drop()
	}
	s.serving.Wait()
}

// Dial returns a new connection to the server, without a network.
func (s *Server) Dial() net.Conn {
	client, server := net.Pipe()
	buffered := newBufferedConn(server)
	s.serving.Go(buffered.run)
	s.Serve(buffered)
	return client
}

// Serve serves a connection in a goroutine.
func (s *Server) Serve(conn net.Conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	c := &Conn{Number: len(s.conns), server: s, raw: conn, conn: conn, ended: make(chan struct{})}
	if s.closed {
		conn.Close()
		return
	}
	s.conns = append(s.conns, c)
	s.serving.Go(c.serve)
}

// Listen makes the server listen on loopback until the test ends, and returns its address.
func (s *Server) Listen(tb testing.TB) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	var accepting sync.WaitGroup
	accepting.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			s.Serve(conn)
		}
	})
	tb.Cleanup(func() {
		l.Close()
		accepting.Wait()
	})
	return l.Addr().String()
}

// Containers returns the Data messages that were read.
func (s *Server) Containers() []Message {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.containers)
}

// Conns returns the connections, in order.
func (s *Server) Conns() []*Conn {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.conns)
}

// Faults returns what clients did wrong, and forgets it.
func (s *Server) Faults() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	f := s.faults
	s.faults = nil
	return f
}

func (s *Server) fault(format string, args ...any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults = append(s.faults, fmt.Sprintf(format, args...))
}

// A Conn is a connection of a client.
type Conn struct {
	Number int // from 0
	server *Server
	raw    net.Conn
	conn   net.Conn // with TLS
	ended  chan struct{}

	writing sync.Mutex

	mu       sync.Mutex
	types    []MessageType
	deadline *time.Timer // of the client's next heartbeat; nil: none was announced
}

// Types returns the types of the messages that the server read from the client, in order.
func (c *Conn) Types() []MessageType {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.types)
}

// Ended is closed when the connection has ended.
func (c *Conn) Ended() <-chan struct{} { return c.ended }

// Pause waits, at most until the server is closed.
func (c *Conn) Pause(d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-c.server.closing:
	}
}

// Hung is closed with the server: a hook that waits for it hangs.
func (c *Conn) Hung() <-chan struct{} { return c.server.closing }

// Drop closes the connection without any message.
func (c *Conn) Drop() { c.raw.Close() }

func (c *Conn) serve() {
	defer close(c.ended)
	defer c.raw.Close()
	ctx, cancel := context.WithCancel(context.Background())
	var beating sync.WaitGroup
	defer beating.Wait()
	defer cancel()
	if c.server.rules.TLS != nil {
		t := tls.Server(c.raw, c.server.rules.TLS)
		if t.Handshake() != nil {
			return
		}
		c.conn = t
	}
	r := bufio.NewReader(c.conn)
	if !c.upgrade(r) {
		return
	}
	rules := &c.server.rules
	switch {
	case rules.Silent:
	case rules.First != nil:
		c.Send(rules.First)
	default:
		c.Send(Topology(0))
	}
	beating.Go(func() { c.beat(ctx) })
	c.read(r)
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.deadline != nil {
		c.deadline.Stop()
	}
}

// beat sends heartbeats, the first one at once.
func (c *Conn) beat(ctx context.Context) {
	if c.server.rules.Silent || c.server.rules.NoHeartbeats {
		return
	}
	interval := c.server.rules.Heartbeat
	if interval == 0 {
		interval = time.Hour
	}
	t := time.NewTicker(interval)
	defer t.Stop()
	for {
		c.Send(Heartbeat(interval))
		select {
		case <-t.C:
		case <-ctx.Done():
			return
		}
	}
}

// upgrade reads the request of a client, and answers it.
func (c *Conn) upgrade(r *bufio.Reader) bool {
	request, err := http.ReadRequest(r)
	if err != nil {
		return false
	}
	rules := &c.server.rules
	if rules.Raw != nil {
		c.Write(rules.Raw)
		if !rules.Ends {
			r.ReadByte() // until the client closes the connection
		}
		return false
	}
	h := request.Header
	status := rules.Status
	switch {
	case status != 0:
	case h.Get("Origin") == "", rules.Key != "" && h.Get("X-API-Key") != rules.Key:
		status = http.StatusForbidden
	case rules.Path != "" && request.URL.Path != rules.Path:
		status = http.StatusNotFound
	}
	if status != 0 {
		c.Write(fmt.Appendf(nil, "HTTP/1.1 %d %s\r\nContent-Length: 0\r\n%s\r\n", status, http.StatusText(status), rules.Header))
		return false
	}
	if rules.Host != "" && request.Host != rules.Host {
		c.server.fault("Host is %q, want %q", request.Host, rules.Host)
	}
	if !strings.EqualFold(h.Get("Upgrade"), "websocket") || h.Get("Sec-WebSocket-Version") != "13" {
		c.server.fault("it did not request a websocket: %v", h)
	}
	for _, unwanted := range []string{"Sec-WebSocket-Extensions", "Sec-WebSocket-Protocol"} {
		if h.Get(unwanted) != "" {
			c.server.fault("it sent %s", unwanted)
		}
	}
	sum := sha1.Sum([]byte(h.Get("Sec-WebSocket-Key") + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"))
	return c.Write(fmt.Appendf(nil, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: %s\r\n%s\r\n",
		base64.StdEncoding.EncodeToString(sum[:]), rules.Header)) == nil
}

// read reads until the connection ends.
func (c *Conn) read(r *bufio.Reader) {
	for {
		f, err := readFrame(r)
		if err != nil {
			return
		}
		if f.problem != "" {
			c.server.fault("%s", f.problem)
		}
		switch f.opcode {
		case OpPing:
			if on := c.server.rules.OnPing; on == nil || on(c, f.payload) {
				c.Frame(OpPong, true, f.payload)
			}
		case OpClose:
			c.Frame(OpClose, true, f.payload)
			return
		case OpBinary:
			m, err := parse(f.payload)
			if err != nil {
				c.server.fault("malformed message %x: %v", f.payload, err)
				return
			}
			if !c.take(m) {
				return
			}
		case OpPong:
			if on := c.server.rules.OnPong; on != nil {
				on(f.payload)
			}
		default:
			c.server.fault("frame with opcode %d", f.opcode)
			return
		}
	}
}

// take checks and records a message, and returns false if the connection must end.
func (c *Conn) take(m Message) bool {
	c.check(m)
	m.Conn = c.Number
	if on := c.server.rules.OnMessage; on != nil && !on(c, m) {
		return false
	}
	if m.Type == DataType && !c.server.rules.Forgets {
		c.server.mu.Lock()
		c.server.containers = append(c.server.containers, m)
		c.server.mu.Unlock()
	}
	return true
}

// check checks a message against the rules of the protocol, and sets the client's deadline.
func (c *Conn) check(m Message) {
	c.mu.Lock()
	defer c.mu.Unlock()
	first := len(c.types) == 0
	switch {
	case !slices.Equal(m.Version, []uint64{1}):
		c.server.fault("protocolVersion is %v", m.Version)
	case first && m.Type != TopologyType:
		c.server.fault("the first message is %v", m.Type)
	case len(c.types) > 0 && c.types[len(c.types)-1] == FinishedType:
		c.server.fault("%v after Finished", m.Type)
	case m.Type == HeartbeatType && m.Heartbeat == 0:
		c.server.fault("a heartbeat announces no interval")
	case m.Type == DataType && m.PayloadType != 1:
		c.server.fault("payloadType is %d", m.PayloadType)
	}
	if m.Type != DataType || !c.server.rules.Forgets {
		c.types = append(c.types, m.Type)
	}
	if m.Heartbeat == 0 || c.server.rules.NoDeadline {
		return
	}
	wait := m.Heartbeat * 3 / 2
	if first {
		wait = m.Heartbeat
	}
	if c.deadline != nil {
		c.deadline.Stop()
	}
	c.deadline = time.AfterFunc(wait, func() {
		c.server.fault("no heartbeat within %v", wait)
		c.Send(Alert(3, "no heartbeat", 0))
		c.Drop()
	})
}

// Send sends a message.
func (c *Conn) Send(message []byte) { c.Frame(OpBinary, true, message) }

// Frame sends a frame.
func (c *Conn) Frame(opcode byte, final bool, payload []byte) {
	c.Write(appendFrame(nil, opcode, final, payload))
}

// Write sends octets.
func (c *Conn) Write(b []byte) error {
	c.writing.Lock()
	defer c.writing.Unlock()
	_, err := c.conn.Write(b)
	return err
}
