package admin

import (
	"bufio"
	"fmt"
	"net"
	"net/http"
	"testing"

	"github.com/dnstap-pdns/dnstap-pdns/conf"
)

// dial connects n times, and sends a text over each connection.
func dial(t *testing.T, address, text string, n int) (all []net.Conn) {
	t.Helper()
	for range n {
		c, err := net.Dial("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		if _, err := c.Write([]byte(text)); err != nil {
			t.Fatal(err)
		}
		all = append(all, c)
	}
	return all
}

// TestIdleConnectionsDoNotDelayOthers: the oldest idle connections are closed, and not the one
// that waits for the end of a selftest.
func TestIdleConnectionsDoNotDelayOthers(t *testing.T) {
	at := freeAddress(t)
	r := serve(t, conf.Admin{Listen: at})
	selftest, err := r.client.Post("http://"+at+"/selftest", "application/json", nil)
	if err != nil || selftest.StatusCode != http.StatusOK {
		t.Fatal(selftest, err)
	}
	defer selftest.Body.Close()
	for _, text := range []string{"", "GET /ledger HTTP/1.1\r\nHost: lo"} { // silent, and in the middle of a header
		idle := dial(t, at, text, 500)
		for _, path := range []string{"/healthz", "/readyz", "/ledger"} {
			if status, text := r.get(at, path); status != http.StatusOK {
				t.Errorf("%s after %d connections with %q: got %d %q", path, len(idle), text, status, text)
			}
		}
		if _, err := idle[0].Read(make([]byte, 1)); err == nil {
			t.Error("the oldest connection is open still")
		}
	}
	if n := r.ended.Load(); n != 0 {
		t.Error("the selftest was displaced by idle connections")
	}
}

// TestBusyConnectionsDoNotDelayOthers fills the server with requests that take long.
func TestBusyConnectionsDoNotDelayOthers(t *testing.T) {
	at := freeAddress(t)
	r := serve(t, conf.Admin{Listen: at})
	busy := dial(t, at, fmt.Sprintf("POST /selftest HTTP/1.1\r\nHost: %s\r\nContent-Length: 0\r\n\r\n", at), maxConnections)
	for _, c := range busy {
		if line, err := bufio.NewReader(c).ReadString('\n'); line != "HTTP/1.1 200 OK\r\n" {
			t.Fatalf("got %q, %v", line, err)
		}
	}
	if status, text := r.get(at, "/healthz"); status != http.StatusOK {
		t.Errorf("got %d %q", status, text)
	}
}
