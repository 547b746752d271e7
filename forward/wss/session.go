package wss

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gorilla/websocket"

	"github.com/dnstap-pdns/dnstap-pdns/conf/certs"
	"github.com/dnstap-pdns/dnstap-pdns/forward"
)

// timings are the intervals and limits of a session.
type timings struct {
	heartbeat time.Duration // between two heartbeats of the sensor
	connect   time.Duration // from the lookup of a server's address to its first message
	write     time.Duration // for one message
	pong      time.Duration // from a ping to its pong
	finish    time.Duration // for the server to close the connection, or to report why it did
}

var defaultTimings = timings{
	heartbeat: 30 * time.Second,
	connect:   20 * time.Second,
	write:     time.Minute,
	pong:      time.Minute,
	finish:    2 * time.Second,
}

const (
	// maxRead limits a message of the server, which sends only small ones.
	maxRead = 64 << 10

	// writeBuffer holds the largest message: only a container with a single record exceeds a
	// batch. A message that fits is one frame: some servers do not join fragments.
	writeBuffer = 4 * forward.BatchSize

	// The sensor accepts deadlines for the server's heartbeats in this range.
	shortestDeadline = time.Second
	longestDeadline  = 10 * time.Minute

	nonceLen = 8
)

// A session is a connection to a server after the first messages of both sides. One goroutine
// reads, another sends heartbeats. Any failure ends the session.
type session struct {
	ws      *websocket.Conn
	conn    net.Conn // that of ws, below TLS: closing it never blocks
	timings timings
	alerts  func(alert) string // logs an alert and returns its text; called by the goroutine that reads
	nonce   [nonceLen]byte
	head    []byte // scratch space for what precedes a container
	tail    []byte // and for what follows it

	// writing holds an element while a message is written. Those that wait for it get it in
	// turn, so that a heartbeat waits for one container at most.
	writing chan struct{}

	pinged atomic.Uint64 // number of the latest ping
	ponged atomic.Uint64 // number of the latest ping that was answered
	pong   chan struct{} // receives an element when ponged increases

	peerPing chan []byte   // payload of the server's latest ping that was not answered
	leave    chan struct{} // closed after Shutdown
	stop     chan struct{} // closed to end the heartbeats
	done     chan struct{} // closed when the reader has ended
	beating  sync.WaitGroup

	mu    sync.Mutex
	cause error // why the session ended; nil: it has not
}

func newSession(ws *websocket.Conn, conn net.Conn, t timings, alerts func(alert) string) *session {
	s := &session{
		ws: ws, conn: conn, timings: t, alerts: alerts,
		writing:  make(chan struct{}, 1),
		pong:     make(chan struct{}, 1),
		peerPing: make(chan []byte, 1),
		leave:    make(chan struct{}),
		stop:     make(chan struct{}),
		done:     make(chan struct{}),
	}
	rand.Read(s.nonce[:])
	ws.SetReadLimit(maxRead)
	ws.SetPongHandler(s.takePong)
	ws.SetPingHandler(s.takePing)
	return s
}

// start starts the goroutines. first is the server's first message.
func (s *session) start(first message) {
	s.extend(first.heartbeat)
	go s.read()
	s.beating.Go(s.beat)
}

// fail ends the session because of err, unless it has already ended.
func (s *session) fail(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.cause == nil {
		s.cause = err
		s.conn.Close()
	}
}

// err returns why the session ended; nil: it has not.
func (s *session) err() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.cause
}

// close ends the session at once and waits for its goroutines.
func (s *session) close() {
	s.fail(net.ErrClosed)
	close(s.stop)
	<-s.done
	s.beating.Wait()
}

// failWrite ends the session after a failed write, and returns the reason. The server may have
// sent a better one before it closed the connection.
func (s *session) failWrite(err error) error {
	t := time.NewTimer(s.timings.finish)
	defer t.Stop()
	select {
	case <-s.done:
	case <-t.C:
	}
	if isTimeout(err) {
		err = fmt.Errorf("it accepted no data within %v", s.timings.write)
	}
	s.fail(fmt.Errorf("sending to the server: %w", certs.Reason(err)))
	return s.err()
}

// writeMessage writes the parts of a message.
func (s *session) writeMessage(parts ...[]byte) error {
	s.writing <- struct{}{}
	defer func() { <-s.writing }()
	return s.writeParts(parts...)
}

func (s *session) writeParts(parts ...[]byte) error {
	s.ws.SetWriteDeadline(time.Now().Add(s.timings.write))
	w, err := s.ws.NextWriter(websocket.BinaryMessage)
	if err != nil {
		return err
	}
	for _, p := range parts {
		if _, err := w.Write(p); err != nil {
			return err
		}
	}
	return w.Close()
}

// writeContainer writes a Data message.
func (s *session) writeContainer(channel uint32, container []byte, loss forward.Dropped) error {
	s.head = appendDataHead(s.head[:0], channel, len(container), loss)
	s.tail = appendLinkLoss(s.tail[:0], loss)
	if err := s.writeMessage(s.head, container, s.tail); err != nil {
		return s.failWrite(err)
	}
	return nil
}

// acknowledge sends a ping, and waits for its pong or the end of the session.
func (s *session) acknowledge() error {
	n := s.pinged.Add(1)
	payload := binary.BigEndian.AppendUint64(s.nonce[:nonceLen:nonceLen], n)
	if err := s.ws.WriteControl(websocket.PingMessage, payload, time.Now().Add(s.timings.write)); err != nil {
		return s.failWrite(err)
	}
	t := time.NewTimer(s.timings.pong)
	defer t.Stop()
	for s.ponged.Load() < n {
		select {
		case <-s.pong:
		case <-s.done:
			if s.ponged.Load() < n { // the pong may have been the last frame
				return s.err()
			}
		case <-t.C:
			s.fail(fmt.Errorf("the server did not acknowledge containers within %v", s.timings.pong))
			return s.err()
		}
	}
	return nil
}

// leaving reports whether the server has sent Shutdown.
func (s *session) leaving() bool {
	select {
	case <-s.leave:
		return true
	default:
		return false
	}
}

// finish ends the session in order, within a limit: Finished, then the close of the websocket,
// which the server answers. Every container must be acknowledged.
func (s *session) finish() {
	limit := time.AfterFunc(s.timings.finish, func() { s.fail(errClosed) })
	defer limit.Stop()
	if s.writeFinished() == nil {
		<-s.done
	}
	s.close()
}

// writeFinished writes Finished and closes the websocket. No heartbeat comes between.
func (s *session) writeFinished() error {
	s.writing <- struct{}{}
	defer func() { <-s.writing }()
	if err := s.writeParts(appendMessage(nil, finishedMessage)); err != nil {
		return err
	}
	return s.ws.WriteControl(websocket.CloseMessage, websocket.FormatCloseMessage(websocket.CloseNormalClosure, ""),
		time.Now().Add(s.timings.finish))
}

// endWith ends the session when ctx ends, until the returned function is called.
func (s *session) endWith(ctx context.Context) (release func() bool) {
	return context.AfterFunc(ctx, func() { s.fail(ctx.Err()) })
}

// writeHeartbeat sends a heartbeat, which announces the next one.
func (s *session) writeHeartbeat() error {
	return s.writeMessage(appendHeartbeat(nil, s.timings.heartbeat))
}

// beat sends heartbeats, and answers the server's pings: the reader must not wait for a write.
func (s *session) beat() {
	t := time.NewTicker(s.timings.heartbeat)
	defer t.Stop()
	var err error
	for err == nil {
		select {
		case <-t.C:
			err = s.writeHeartbeat()
		case payload := <-s.peerPing:
			err = s.ws.WriteControl(websocket.PongMessage, payload, time.Now().Add(s.timings.write))
		case <-s.done:
			return
		case <-s.stop:
			return
		}
	}
	if !errors.Is(err, websocket.ErrCloseSent) {
		s.failWrite(err)
	}
}

// read reads until the session ends.
func (s *session) read() {
	defer close(s.done)
	for {
		m, err := readMessage(s.ws)
		if err == nil {
			err = s.take(m)
		}
		if err != nil {
			s.fail(err)
			return
		}
	}
}

// readMessage reads one message.
func readMessage(ws *websocket.Conn) (message, error) {
	kind, b, err := ws.ReadMessage()
	switch {
	case err != nil:
		return message{}, readFailure(err)
	case kind != websocket.BinaryMessage:
		return message{}, errors.New("the server sent a text message: this is no sielink server")
	}
	m, err := parseMessage(b)
	if err != nil {
		return message{}, fmt.Errorf("the server sent a malformed message: %w", err)
	}
	return m, nil
}

// take handles a message. An error ends the session.
func (s *session) take(m message) error {
	switch m.kind {
	case heartbeatMessage:
		s.extend(m.heartbeat)
	case alertMessage:
		text := s.alerts(m.alert)
		if m.alert.level >= fatal {
			return fmt.Errorf("the server reported a fatal error (alert): %q (code %d)", text, m.alert.code)
		}
	case shutdownMessage:
		if !s.leaving() {
			close(s.leave)
		}
	case finishedMessage:
		return errors.New("the server ended the session")
	}
	return nil
}

// extend extends the deadline of the server's next heartbeat, which is due after next; 0: the
// server did not announce it.
func (s *session) extend(next time.Duration) {
	if next == 0 {
		next = s.timings.heartbeat
	}
	s.ws.SetReadDeadline(time.Now().Add(min(max(next+next/2, shortestDeadline), longestDeadline)))
}

// takePong notes which pings are answered. A pong answers earlier pings too. Others are ignored.
func (s *session) takePong(payload string) error {
	number, ok := bytes.CutPrefix([]byte(payload), s.nonce[:])
	if !ok || len(number) != 8 {
		return nil
	}
	if n := binary.BigEndian.Uint64(number); n > s.ponged.Load() && n <= s.pinged.Load() {
		s.ponged.Store(n)
		select {
		case s.pong <- struct{}{}:
		default:
		}
	}
	return nil
}

// takePing has the goroutine of the heartbeats answer the server's latest ping.
func (s *session) takePing(payload string) error {
	select {
	case <-s.peerPing:
	default:
	}
	s.peerPing <- []byte(payload)
	return nil
}
