package wss

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"golang.org/x/net/websocket"

	"github.com/dnstap-pdns/dnstap-pdns/conf/secret"
	"github.com/dnstap-pdns/dnstap-pdns/forward"
	"github.com/dnstap-pdns/dnstap-pdns/forward/forwardtest"
	"github.com/dnstap-pdns/dnstap-pdns/forward/wss/wsstest"
)

func TestASinkDelivers(t *testing.T) {
	for _, zlib := range []bool{false, true} {
		s := wsstest.New(t, wsstest.Rules{Key: testKey, Path: "/session/test"})
		sink := forwardtest.Sink("sie", forward.Target{Scheme: forward.WS, Address: s.Listen(t) + "/session/test"},
			Config{Channel: 202, APIKey: secret.Text(testKey)})
		sink.Zlib = zlib
		var log forwardtest.Log
		f := forwardtest.New(t, forward.Live, &log, sink)
		const n = 2000
		err := forwardtest.Run(f, func(l *forward.Lane) {
			for i := range n / 100 {
				forwardtest.Burst(t, l, 100*i, 100, 100)
			}
		})
		if err != nil {
			t.Error(err)
		}
		var all bytes.Buffer
		for _, m := range s.Containers() {
			all.Write(m.Data)
		}
		names, missing, err := forwardtest.Names(all.Bytes())
		if l := forwardtest.CheckLedger(t, f); err != nil || len(names) != n || missing != 0 || l.Delivered != n || l.Error != "" {
			t.Errorf("%d records came, %d containers are missing, %v; ledger %+v\n%s", len(names), missing, err, l, &log)
		}
		types := s.Conns()[0].Types()
		if types[len(types)-1] != wsstest.FinishedType {
			t.Errorf("the last message is %v", types[len(types)-1])
		}
		if strings.Contains(log.String(), testKey) {
			t.Errorf("the log has the key:\n%s", &log)
		}
	}
}

// TestAnotherServer sends to a server of golang.org/x/net/websocket, which like the reference
// refuses clients without an Origin and reads each frame as one message.
func TestAnotherServer(t *testing.T) {
	var mu sync.Mutex
	var got [][]byte
	handler := websocket.Handler(func(ws *websocket.Conn) {
		websocket.Message.Send(ws, wsstest.Topology(0))
		for {
			var b []byte
			if websocket.Message.Receive(ws, &b) != nil {
				return
			}
			mu.Lock()
			got = append(got, b)
			mu.Unlock()
		}
	})
	server := httptest.NewServer(handler)
	defer server.Close()
	c := newClient(t, wsstest.New(t, wsstest.Rules{}))
	c.dialer.dial = func(ctx context.Context, network, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, network, server.Listener.Addr().String())
	}
	b := batch(0, 3, forward.BatchSize/3)
	b.Dropped = forward.Dropped{Units: 1, Bytes: 2}
	c.mustSend(t, b)
	c.Close(t.Context())
	mu.Lock()
	defer mu.Unlock()
	want := [][]byte{appendTopology(nil), appendHeartbeat(nil, defaultTimings.heartbeat)}
	for i := range 3 {
		loss := forward.Dropped{}
		if i == 0 {
			loss = b.Dropped
		}
		want = append(want, data(202, b.Bytes(i), loss))
	}
	if want = append(want, appendMessage(nil, finishedMessage)); len(got) != len(want) {
		t.Fatalf("%d messages, want %d", len(got), len(want))
	}
	for i := range want {
		if !bytes.Equal(got[i], want[i]) {
			t.Errorf("message %d: got %.40x, want %.40x", i, got[i], want[i])
		}
	}
}

// BenchmarkSend sends 512 KiB of containers at a time, as a sink does that has a full queue.
func BenchmarkSend(b *testing.B) {
	for _, size := range []int{8 << 10, 64 << 10} {
		b.Run(fmt.Sprintf("containers of %d KiB", size>>10), func(b *testing.B) {
			s := wsstest.New(b, wsstest.Rules{Forgets: true})
			address := s.Listen(b)
			c := newClient(b, s)
			c.dialer.dial = func(ctx context.Context, network, _ string) (net.Conn, error) {
				return new(net.Dialer).DialContext(ctx, network, address)
			}
			bs := make([]*forward.Batch, 8)
			for i := range bs {
				bs[i] = batch(0, forward.BatchSize/size, size)
			}
			c.mustSend(b, bs[0])
			b.SetBytes(8 * forward.BatchSize)
			b.ReportAllocs()
			for b.Loop() {
				if r, err := c.Send(b.Context(), bs, 0); err != nil || r.Units != 8*len(bs[0].Units) {
					b.Fatalf("%d units: %v", r.Units, err)
				}
			}
		})
	}
}
