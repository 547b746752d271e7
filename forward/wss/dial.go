package wss

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"math"
	"net"
	"net/http"
	"net/url"

	"github.com/gorilla/websocket"
	"golang.org/x/sys/unix"

	"github.com/dnstap-pdns/dnstap-pdns/conf/certs"
)

// maxHandshake limits the bytes that a server or a proxy sends before the websocket is open.
const maxHandshake = 256 << 10

var errTooLong = fmt.Errorf("the server sent more than %d bytes before the websocket was open", maxHandshake)

// A handshakeConn is a connection that limits what is read until the websocket is open.
type handshakeConn struct {
	net.Conn
	left int64 // bytes that may be read
}

// Read reads like the connection, up to the limit.
func (c *handshakeConn) Read(p []byte) (int, error) {
	if c.left <= 0 {
		return 0, errTooLong
	}
	n, err := c.Conn.Read(p[:min(int64(len(p)), c.left)])
	c.left -= int64(n)
	return n, err
}

// A dialer opens sessions with the servers of one host.
type dialer struct {
	endpoint endpoint
	proxy    func(*url.URL) (*url.URL, error) // returns the proxy for a URL; nil: none
	dial     func(ctx context.Context, network, address string) (net.Conn, error)
	timings  timings
	alerts   func(alert) string
}

// An access is what the configuration's files contained when the sensor connected.
type access struct {
	key string // empty: none
	tls *tls.Config
}

// open connects to a server (HOST:PORT) and opens a session.
func (d *dialer) open(ctx context.Context, server string, a access) (*session, error) {
	limited, cancel := context.WithTimeout(ctx, d.timings.connect)
	defer cancel()
	conn, err := d.connect(limited, server)
	if err != nil {
		return nil, connectFailure(ctx, limited, err)
	}
	release := context.AfterFunc(limited, func() { conn.Close() })
	defer release()
	s, first, err := d.begin(conn, server, a)
	if err != nil || !release() {
		conn.Close()
		return nil, connectFailure(ctx, limited, err)
	}
	conn.left = math.MaxInt64
	s.start(first)
	return s, nil
}

// connect connects to the server, or to it through the proxy.
func (d *dialer) connect(ctx context.Context, server string) (*handshakeConn, error) {
	proxy, err := d.proxy(&url.URL{Scheme: d.endpoint.httpScheme(), Host: d.endpoint.authority})
	if err != nil {
		return nil, err
	}
	if proxy == nil {
		return d.dialTCP(ctx, server)
	}
	conn, err := d.connectProxy(ctx, proxy, server)
	if err != nil {
		return nil, fmt.Errorf("proxy %s: %w", proxy.Host, certs.Reason(err))
	}
	return conn, nil
}

func (d *dialer) dialTCP(ctx context.Context, address string) (*handshakeConn, error) {
	conn, err := d.dial(ctx, "tcp", address)
	if err != nil {
		return nil, err
	}
	return &handshakeConn{Conn: conn, left: maxHandshake}, nil
}

// begin performs the handshakes of TLS and websocket, exchanges the first messages with the
// server, and writes the first heartbeat. Closing conn ends it.
func (d *dialer) begin(conn *handshakeConn, server string, a access) (*session, message, error) {
	ws, err := d.upgrade(conn, server, a)
	if err != nil {
		return nil, message{}, err
	}
	s := newSession(ws, conn, d.timings, d.alerts)
	if err := s.writeMessage(appendTopology(nil)); err != nil {
		return nil, message{}, err
	}
	first, err := readMessage(ws)
	if err != nil {
		return nil, message{}, err
	}
	if err := checkFirst(first); err != nil {
		s.writeMessage(appendAlert(nil, fatal, err.Error())) // err is the failure, whether or not the server reads it
		return nil, message{}, fmt.Errorf("the server's first message is wrong: %w", err)
	}
	if first.kind == alertMessage {
		if err := s.take(first); err != nil {
			return nil, message{}, err
		}
	}
	// Not earlier: for an interval in the very first message the server allows no delay.
	if err := s.writeHeartbeat(); err != nil {
		return nil, message{}, err
	}
	return s, first, nil
}

// upgrade opens a websocket on a connection.
func (d *dialer) upgrade(conn net.Conn, server string, a access) (*websocket.Conn, error) {
	if d.endpoint.tls {
		secured := tls.Client(conn, a.tls)
		if err := secured.Handshake(); err != nil {
			return nil, err
		}
		conn = secured
	}
	dial := func(context.Context, string, string) (net.Conn, error) { return conn, nil }
	w := websocket.Dialer{
		NetDialContext:    dial,
		NetDialTLSContext: dial,
		ReadBufferSize:    4 << 10,
		WriteBufferSize:   writeBuffer,
	}
	ws, response, err := w.Dial(d.endpoint.scheme()+"://"+server+"/"+d.endpoint.path, d.header(a))
	switch {
	case errors.Is(err, websocket.ErrBadHandshake) && response.StatusCode != http.StatusSwitchingProtocols:
		return nil, refusal(response.StatusCode)
	case errors.Is(err, unix.EPIPE), errors.Is(err, unix.ECONNRESET):
		// The server has closed the connection, possibly after an alert of TLS.
		return nil, errors.Join(readAlert(conn), err)
	case err != nil:
		return nil, responseFailure(err)
	case response.Header.Get("Sec-WebSocket-Extensions") != "":
		return nil, errors.New("the server uses a websocket extension that was not requested")
	}
	return ws, nil
}

// header returns the header of the request that opens the websocket.
func (d *dialer) header(a access) http.Header {
	h := http.Header{
		"Host":   {d.endpoint.authority},
		"Origin": {d.endpoint.httpScheme() + "://" + d.endpoint.authority},
	}
	if a.key != "" {
		h["X-API-Key"] = []string{a.key}
	}
	return h
}

// readAlert returns the alert of TLS that a server sent before it closed the connection; nil:
// there is none.
func readAlert(conn net.Conn) error {
	if _, err := conn.Read(make([]byte, 1)); certs.IsAlert(err) {
		return err
	}
	return nil
}

// checkFirst checks the first message of a server.
func checkFirst(m message) error {
	switch m.kind {
	case topologyMessage, heartbeatMessage, alertMessage:
	default:
		return fmt.Errorf("type %d, want Topology, Heartbeat or Alert", m.kind)
	}
	if !m.version {
		return errors.New("it has another protocol version than 1")
	}
	return nil
}
