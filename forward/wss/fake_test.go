package wss

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"strings"
	"testing"

	"github.com/dnstap-pdns/dnstap-pdns/conf/secret"
	"github.com/dnstap-pdns/dnstap-pdns/forward"
	"github.com/dnstap-pdns/dnstap-pdns/forward/forwardtest"
	"github.com/dnstap-pdns/dnstap-pdns/forward/wss/wsstest"
)

const testKey = "correct-horse"

func noProxy(*url.URL) (*url.URL, error) { return nil, nil }

// A client is a transport for a test, with its log.
type client struct {
	*transport
	log  forwardtest.Log
	stop chan struct{}
}

// newClient returns a transport to these servers, which have the names a.example:443,
// b.example:443 and so on, in SRV records of sie.example. With one server there are no records.
func newClient(tb testing.TB, servers ...*wsstest.Server) *client {
	tb.Helper()
	c := &client{stop: make(chan struct{})}
	target := forward.Target{Scheme: forward.WS, Address: "sie.example/session/test"}
	sink := forwardtest.Sink("sie", target, nil)
	c.transport = newTransport(Config{Channel: 202, APIKey: secret.Text(testKey)}, &sink,
		forward.Env{Log: slog.New(slog.NewTextHandler(&c.log, nil)), Stop: c.stop})
	c.dialer.proxy = noProxy
	names := map[string]*wsstest.Server{"sie.example:80": servers[0]}
	var records []*net.SRV
	for i, s := range servers {
		host := string(rune('a'+i)) + ".example"
		names[host+":443"] = s
		records = append(records, &net.SRV{Target: host + ".", Port: 443})
	}
	c.lookup = func(context.Context, string, string, string) (string, []*net.SRV, error) {
		if len(servers) == 1 {
			return "", nil, &net.DNSError{IsNotFound: true}
		}
		return "", records, nil
	}
	c.dialer.dial = func(_ context.Context, _, address string) (net.Conn, error) {
		s, ok := names[address]
		if !ok {
			return nil, &net.OpError{Op: "dial", Err: &net.DNSError{IsNotFound: true}}
		}
		return s.Dial(), nil
	}
	tb.Cleanup(func() {
		if err := c.Close(context.Background()); err != nil {
			tb.Error(err)
		}
		if strings.Contains(c.log.String(), testKey) {
			tb.Errorf("the log has the key:\n%s", &c.log)
		}
	})
	return c
}

// batch returns a batch with n containers, numbered from first, of size octets.
func batch(first, n, size int) *forward.Batch {
	b := &forward.Batch{}
	for i := range n {
		b.Buf = append(b.Buf, container(first+i, size)...)
		b.Units = append(b.Units, forward.Unit{End: len(b.Buf), Records: 1})
	}
	return b
}

// container returns container number i. The transport does not look into it.
func container(i, size int) []byte {
	b := make([]byte, size)
	copy(b, fmt.Sprintf("container %d", i))
	return b
}

// numberOf returns the number of a container, or -1 if its octets are wrong.
func numberOf(b []byte) int {
	var n int
	if _, err := fmt.Sscanf(string(b), "container %d", &n); err != nil || string(b) != string(container(n, len(b))) {
		return -1
	}
	return n
}

// mustSend sends all units of bs.
func (c *client) mustSend(tb testing.TB, bs ...*forward.Batch) {
	tb.Helper()
	for len(bs) > 0 {
		var r forward.Result
		for from := 0; from < len(bs[0].Units); from += r.Units {
			var err error
			if r, err = c.Send(tb.Context(), bs[:1], from); err != nil {
				tb.Fatal(err)
			}
		}
		bs = bs[1:]
	}
}
