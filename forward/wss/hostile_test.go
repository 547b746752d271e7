package wss

import (
	"bytes"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dnstap-pdns/dnstap-pdns/forward"
	"github.com/dnstap-pdns/dnstap-pdns/forward/wss/wsstest"
)

func TestHandshakesThatFail(t *testing.T) {
	tests := []struct {
		name  string
		rules wsstest.Rules
		want  string
	}{
		{"wrong key", wsstest.Rules{Key: "another"}, "the server answered 403 Forbidden: check api_key"},
		{"401", wsstest.Rules{Status: 401}, "the server answered 401 Unauthorized: check api_key"},
		{"404", wsstest.Rules{Status: 404}, "the server answered 404 Not Found: check the path of the URL"},
		{"429", wsstest.Rules{Status: 429}, "the server answered 429 Too Many Requests: it is overloaded or out of order"},
		{"503", wsstest.Rules{Status: 503}, "the server answered 503 Service Unavailable: it is overloaded or out of order"},
		{"302", wsstest.Rules{Status: 302, Header: "Location: http://elsewhere.example/\r\n"}, "the server answered 302 Found: redirects are not followed"},
		{"200", wsstest.Rules{Status: 200}, "the server answered 200 OK, not with an upgrade to websocket: is this a submission server?"},
		{"nothing", wsstest.Rules{Raw: []byte{}}, "the server did not answer in time"},
		{"part of a response", wsstest.Rules{Raw: []byte("HTTP/1.1 101 Switching")}, "the server did not answer in time"},
		{"junk", wsstest.Rules{Raw: []byte("\x00\x01\x02\n")}, "the answer is not HTTP, or does not open a websocket: is this the right host and port?"},
		{"long junk with the key", wsstest.Rules{Raw: []byte(strings.Repeat(testKey+" ", 1000) + "\n")}, "the answer is not HTTP"},
		{"endless line", wsstest.Rules{Raw: bytes.Repeat([]byte("HTTP"), 1<<20)}, errTooLong.Error()},
		{"endless header", wsstest.Rules{Raw: []byte("HTTP/1.1 101 Switching Protocols\r\n" + strings.Repeat("A: b\r\n", 1<<18))}, errTooLong.Error()},
		{"end of the connection", wsstest.Rules{Raw: []byte{}, Ends: true}, "the server closed the connection"},
		{"101 alone", wsstest.Rules{Raw: []byte("HTTP/1.1 101 Switching Protocols\r\n\r\n")}, "the answer is not HTTP, or does not open a websocket"},
		{"compression", wsstest.Rules{Header: "Sec-WebSocket-Extensions: permessage-deflate; server_no_context_takeover; client_no_context_takeover\r\n"},
			"the server uses a websocket extension that was not requested"},
		{"no first message", wsstest.Rules{Silent: true}, "the server did not answer in time"},
		{"junk as the first message", wsstest.Rules{First: []byte("junk")}, "the server sent a malformed message: "},
		{"empty first message", wsstest.Rules{First: []byte{}}, "the server's first message is wrong: type 0, want Topology, Heartbeat or Alert"},
		{"Finished as the first message", wsstest.Rules{First: wsstest.Finished()}, "type 5, want Topology, Heartbeat or Alert"},
		{"other version", wsstest.Rules{First: []byte{0x08, 2, 0x10, 1}}, "the server's first message is wrong: it has another protocol version than 1"},
		{"no version", wsstest.Rules{First: []byte{0x10, 1}}, "it has another protocol version than 1"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := newClient(t, wsstest.New(t, tt.rules))
				start := time.Now()
				_, err := c.Send(t.Context(), []*forward.Batch{batch(0, 1, 20)}, 0)
				checkError(t, err, tt.want)
				if took := time.Since(start); took > defaultTimings.connect {
					t.Errorf("it took %v", took)
				}
				if next, idle := c.Idle(t.Context()); idle != err || next != c.backoff.ends {
					t.Errorf("while it waits, Idle returns %v, %v", next, idle)
				}
			})
		})
	}
}

// TestAWrongFirstMessageIsAnswered checks that the server gets a fatal alert.
func TestAWrongFirstMessageIsAnswered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var got wsstest.Message
		s := wsstest.New(t, wsstest.Rules{First: wsstest.Shutdown(), OnMessage: func(_ *wsstest.Conn, m wsstest.Message) bool {
			got = m
			return true
		}})
		c := newClient(t, s)
		c.Idle(t.Context())
		s.Close()
		if got.Type != wsstest.AlertType || got.AlertLevel != 3 || got.AlertText != "type 4, want Topology, Heartbeat or Alert" {
			t.Errorf("the server got %+v", got)
		}
	})
}

// TestHostileFrames has the server send frames after the handshake.
func TestHostileFrames(t *testing.T) {
	frames := func(do func(c *wsstest.Conn)) wsstest.Rules {
		return wsstest.Rules{OnPing: func(c *wsstest.Conn, _ []byte) bool {
			do(c)
			return true
		}}
	}
	big := bytes.Repeat([]byte{0}, maxRead+1)
	heartbeat := wsstest.Heartbeat(time.Hour)
	tests := []struct {
		name string
		do   func(c *wsstest.Conn)
		want string // empty: the session continues
	}{
		{"junk", func(c *wsstest.Conn) { c.Send([]byte("junk")) }, "the server sent a malformed message"},
		{"text", func(c *wsstest.Conn) { c.Frame(wsstest.OpText, true, heartbeat) }, "the server sent a text message: this is no sielink server"},
		{"large message", func(c *wsstest.Conn) { c.Send(big) }, "the server sent a message of more than 65536 bytes"},
		{"large message in fragments", func(c *wsstest.Conn) {
			c.Frame(wsstest.OpBinary, false, nil)
			for range 100 {
				c.Frame(wsstest.OpContinuation, false, big[:1000])
			}
		}, "the server sent a message of more than 65536 bytes"},
		{"huge length", func(c *wsstest.Conn) { c.Write([]byte{0x82, 127, 0x7f, 255, 255, 255, 255, 255, 255, 255}) }, "the server sent a message of more than 65536 bytes"},
		{"endless message", func(c *wsstest.Conn) {
			c.Frame(wsstest.OpBinary, false, nil)
			for !isClosed(c.Hung()) && c.Write([]byte{0, 0}) == nil {
				c.Pause(time.Millisecond)
			}
		}, "no heartbeat came from the server in time"},
		{"reserved bits", func(c *wsstest.Conn) { c.Write([]byte{0xc2, 0}) }, "websocket: "},
		{"unknown opcode", func(c *wsstest.Conn) { c.Frame(3, true, nil) }, "websocket: "},
		{"masked", func(c *wsstest.Conn) { c.Write([]byte{0x82, 0x80, 0, 0, 0, 0}) }, "websocket: "},
		{"long ping", func(c *wsstest.Conn) { c.Frame(wsstest.OpPing, true, big[:126]) }, "websocket: "},
		{"close", func(c *wsstest.Conn) { c.Frame(wsstest.OpClose, true, []byte("\x03\xe9bye\x1b")) }, "the server closed the connection (code 1001)"},
		{"close with junk", func(c *wsstest.Conn) { c.Frame(wsstest.OpClose, true, []byte{0}) }, "the server closed the connection (code 1005)"},
		{"close with a wrong code", func(c *wsstest.Conn) { c.Frame(wsstest.OpClose, true, []byte{0, 1}) }, "websocket: "},
		{"Finished", func(c *wsstest.Conn) { c.Send(wsstest.Finished()) }, "the server ended the session"},
		{"end of the connection", func(c *wsstest.Conn) { c.Drop() }, "the server closed the connection"},

		{"heartbeat in fragments", func(c *wsstest.Conn) {
			c.Frame(wsstest.OpBinary, false, heartbeat[:3])
			c.Frame(wsstest.OpPing, true, []byte("between"))
			c.Frame(wsstest.OpContinuation, false, nil)
			c.Frame(wsstest.OpContinuation, true, heartbeat[3:])
		}, ""},
		{"pings", func(c *wsstest.Conn) {
			for range 1000 {
				c.Frame(wsstest.OpPing, true, []byte("many"))
			}
		}, ""},
		{"many messages", func(c *wsstest.Conn) {
			for range 2 * maxHandshake / maxRead {
				c.Send(append([]byte{0x08, 1, 0x10, 1, 0x22, 0x80, 0x80, 3}, big[:48<<10]...))
			}
		}, ""},
		{"data", func(c *wsstest.Conn) { c.Send([]byte{0x08, 1, 0x10, 0, 0x1a, 0}) }, ""},
		{"type of a later version", func(c *wsstest.Conn) { c.Send([]byte{0x08, 1, 0x10, 99, 0x78, 1}) }, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				rules := frames(tt.do)
				rules.NoHeartbeats, rules.NoDeadline = true, true
				s := wsstest.New(t, rules)
				c := newClient(t, s)
				_, err := c.Send(t.Context(), []*forward.Batch{batch(0, 1, 20)}, 0)
				checkError(t, err, tt.want)
			})
		})
	}
}

// TestAServersPingsAreAnswered checks that the latest of them is answered at least.
func TestAServersPingsAreAnswered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var pongs [][]byte
		s := wsstest.New(t, wsstest.Rules{
			OnPong: func(payload []byte) { pongs = append(pongs, payload) },
			OnPing: func(c *wsstest.Conn, _ []byte) bool {
				for _, payload := range []string{"first", "latest"} {
					c.Frame(wsstest.OpPing, true, []byte(payload))
				}
				return true
			},
		})
		c := newClient(t, s)
		c.mustSend(t, batch(0, 1, 20))
		synctest.Wait()
		s.Close()
		if len(pongs) == 0 || string(pongs[len(pongs)-1]) != "latest" {
			t.Errorf("got the pongs %q", pongs)
		}
	})
}
