package wsstest

import (
	"bufio"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/net/websocket"
)

// connect opens a websocket with the client of golang.org/x/net/websocket.
func connect(t *testing.T, s *Server) *websocket.Conn {
	t.Helper()
	c, err := websocket.NewConfig("ws://sie.example/session/test", "http://sensor.example")
	if err != nil {
		t.Fatal(err)
	}
	c.Header.Set("X-API-Key", "right")
	ws, err := websocket.NewClient(c, s.Dial())
	if err != nil {
		t.Fatal(err)
	}
	return ws
}

// data is a Data message with one container.
var data = message(DataType, 0x1a, 7, 0x08, 1, 0x10, 1, 0x22, 1, 'x')

func TestFaultsOfClientsAreReported(t *testing.T) {
	tests := []struct {
		name     string
		messages [][]byte
		want     string // empty: no fault
	}{
		{"none", [][]byte{Topology(0), Heartbeat(time.Minute), data, Finished()}, ""},
		{"no Topology", [][]byte{Heartbeat(time.Minute)}, "the first message is Heartbeat"},
		{"other version", [][]byte{{0x08, 2, 0x10, 1}}, "protocolVersion is [2]"},
		{"no version", [][]byte{{0x10, 1}}, "protocolVersion is []"},
		{"after Finished", [][]byte{Topology(0), Finished(), data}, "Data after Finished"},
		{"no interval", [][]byte{Topology(0), Heartbeat(0)}, "a heartbeat announces no interval"},
		{"payloadType", [][]byte{Topology(0), message(DataType, 0x1a, 2, 0x10, 2)}, "payloadType is 2"},
		{"compressionType", [][]byte{Topology(0), message(DataType, 0x1a, 2, 0x18, 1)}, "unexpected field /3/3"},
		{"junk", [][]byte{[]byte("junk")}, "malformed message"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := New(t, Rules{Key: "right", Path: "/session/test", Host: "sie.example"})
				ws := connect(t, s)
				for _, m := range tt.messages {
					websocket.Message.Send(ws, m)
				}
				synctest.Wait()
				ws.Close()
				got := strings.Join(s.Faults(), "; ")
				if tt.want == "" && got != "" || !strings.Contains(got, tt.want) {
					t.Errorf("got %q, want %q", got, tt.want)
				}
				if n := len(s.Containers()); tt.want == "" && n != 1 {
					t.Errorf("%d containers", n)
				}
			})
		})
	}
}

func TestClientsWithoutOriginOrKeyAreRefused(t *testing.T) {
	for _, header := range []http.Header{{"X-Api-Key": {"right"}}, {"Origin": {"http://a.example"}}, {"Origin": {"http://a.example"}, "X-Api-Key": {"wrong"}}} {
		conn := New(t, Rules{Key: "right"}).Dial()
		r, _ := http.NewRequest(http.MethodGet, "http://sie.example/session/test", nil)
		r.Header = header
		if err := r.Write(conn); err != nil {
			t.Fatal(err)
		}
		response, err := http.ReadResponse(bufio.NewReader(conn), r)
		if err != nil || response.StatusCode != http.StatusForbidden {
			t.Errorf("%v: %v, %v", header, response, err)
		}
		conn.Close()
	}
}

// TestDeadlinesOfClients checks the two rules: the interval is multiplied with 1.5, but not if it
// was announced in the very first message. Other messages do not extend the deadline.
func TestDeadlinesOfClients(t *testing.T) {
	for _, tt := range []struct {
		messages [][]byte
		want     time.Duration
	}{
		{[][]byte{Topology(10 * time.Second), data}, 10 * time.Second},
		{[][]byte{Topology(0), Heartbeat(10 * time.Second), data}, 15 * time.Second},
		{[][]byte{Topology(time.Second), Heartbeat(10 * time.Second)}, 15 * time.Second},
	} {
		synctest.Test(t, func(t *testing.T) {
			s := New(t, Rules{})
			ws := connect(t, s)
			for _, m := range tt.messages {
				websocket.Message.Send(ws, m)
			}
			start := time.Now()
			var last []byte
			for {
				var m []byte
				if websocket.Message.Receive(ws, &m) != nil {
					break
				}
				last = m
			}
			if took := time.Since(start); took != tt.want || !slices.Equal(last, Alert(3, "no heartbeat", 0)) {
				t.Errorf("it ended after %v with %q, want %v", took, last, tt.want)
			}
			if f := s.Faults(); len(f) != 1 {
				t.Errorf("faults: %q", f)
			}
		})
	}
}
