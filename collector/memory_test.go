package collector

import (
	"net"
	"os"
	"runtime"
	"strings"
	"testing"

	dnstap "github.com/dnstap/golang-dnstap"
	framestream "github.com/farsightsec/golang-framestream"

	"github.com/dnstap-pdns/dnstap-pdns/conf/certs"
	"github.com/dnstap-pdns/dnstap-pdns/conf/certs/certstest"
)

// liveHeap returns the size of the heap in bytes after garbage and sync.Pools were collected.
func liveHeap() int {
	var m runtime.MemStats
	runtime.GC()
	runtime.GC()
	runtime.ReadMemStats(&m)
	return int(m.HeapAlloc)
}

// heapOf returns the bytes that each connection to a source holds while it reads a frame
// of the largest size. For a TLS connection that includes the client's end.
func heapOf(t *testing.T, cfg Config, dial func(*runningSource) net.Conn) int {
	t.Helper()
	const connections, frames = 32, 4
	cfg.MaxConnections, cfg.MaxFrame = connections, 256<<10
	r := startSource(t, cfg)
	none := liveHeap()
	conns := make([]net.Conn, connections)
	whole := frame(make([]byte, cfg.MaxFrame))
	for i := range conns {
		conns[i] = dial(r)
		_, err := framestream.NewWriter(conns[i], &framestream.WriterOptions{
			ContentTypes: [][]byte{dnstap.FSContentType}, Bidirectional: true,
		})
		if err != nil {
			t.Fatal(err)
		}
		for range frames {
			if _, err := conns[i].Write(whole); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := conns[i].Write(whole[:len(whole)-1]); err != nil {
			t.Fatal(err)
		}
	}
	eventually(t, "the whole frames are read", func() bool {
		read := uint64(0)
		for _, c := range r.Connections() {
			read += c.Frames
		}
		return read == connections*frames
	})
	defer runtime.KeepAlive(conns)
	return (liveHeap() - none) / connections
}

// TestMemoryOfTLSConnections measures what TLS adds to a connection. docs/resolvers.md documents
// it.
func TestMemoryOfTLSConnections(t *testing.T) {
	const documented, most = "TLS adds 64 KiB", 64 << 10
	page, err := os.ReadFile("../docs/resolvers.md")
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(page), documented) {
		t.Errorf("docs/resolvers.md does not have: %s", documented)
	}
	ca := certstest.NewCA(t, "CA")
	client := certstest.ClientConfig(t, ca, ca.Issue(t, "resolver.example", nil))
	cfg, _ := tlsConfig(t, ca, ca)
	secure := heapOf(t, cfg, func(r *runningSource) net.Conn { return r.dialTLS(t, client) })
	cfg.TLS = certs.Files{}
	plain := heapOf(t, cfg, func(r *runningSource) net.Conn { return r.dial(t) })
	t.Logf("%d bytes with TLS, %d without", secure, plain)
	if plain < cfg.MaxFrame || secure < plain || secure-plain > most {
		t.Errorf("a connection holds %d bytes with TLS and %d without: %d more are documented", secure, plain, most)
	}
}
