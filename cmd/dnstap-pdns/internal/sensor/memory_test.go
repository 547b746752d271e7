package sensor

import (
	"encoding/binary"
	"fmt"
	"net"
	"net/netip"
	"os"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	dnstap "github.com/dnstap/golang-dnstap"
	"github.com/miekg/dns"

	"github.com/dnstap-pdns/dnstap-pdns/forward"
)

const (
	maxFrame = 256 << 10 // max_frame by default
	largest  = 65500     // octets of a response that fits in dnsqr
)

// heaviest returns responses of length octets that need the most memory: one of many records,
// one of many names, and one of many names that is rebuilt. query is their header and question.
func heaviest(query []byte, length int) [][]byte {
	record := func(typ uint16, rdata []byte) []byte {
		b := append([]byte{0}, byte(typ>>8), byte(typ), 0, dns.ClassINET, 0, 0, 0, 0)
		return append(binary.BigEndian.AppendUint16(b, uint16(len(rdata))), rdata...)
	}
	message := func(answers, additional int, records ...[]byte) []byte {
		b := slices.Concat(append([][]byte{query}, records...)...)
		b[2], b[3] = 0x84, 0
		binary.BigEndian.PutUint16(b[6:], uint16(answers))
		binary.BigEndian.PutUint16(b[10:], uint16(additional))
		return b
	}
	empty, opt := record(65280, nil), record(dns.TypeOPT, nil)
	hip := func(length int) []byte { // HIP rdata holds any number of names
		return record(dns.TypeHIP, append(make([]byte, 4), strings.Repeat("\x01a\x00", (length-len(empty)-4)/3)...))
	}
	room := length - len(query)
	n := room / len(empty)
	return [][]byte{
		message(n, 0, slices.Repeat(empty, n)),
		message(1, 0, hip(room)),
		message(0, 2, opt, hip(room-len(opt))),
	}
}

// liveHeap returns the size of the heap after garbage and sync.Pools were collected.
func liveHeap() int {
	var m runtime.MemStats
	runtime.GC()
	runtime.GC()
	runtime.ReadMemStats(&m)
	return int(m.HeapAlloc)
}

// begin sends a frame of the largest size, without its last octet. When it returns, the sensor
// has read all except the content of a small socket buffer.
func (r *resolver) begin(t *testing.T) {
	t.Helper()
	if err := r.conn.(*net.UnixConn).SetWriteBuffer(1); err != nil { // the kernel uses its minimum
		t.Fatal(err)
	}
	if err := r.conn.SetWriteDeadline(time.Time{}); err != nil { // r.w has set one
		t.Fatal(err)
	}
	frame := append(binary.BigEndian.AppendUint32(nil, maxFrame), make([]byte, maxFrame-1)...)
	if _, err := r.conn.Write(frame); err != nil {
		t.Fatal(err)
	}
}

// exhaust makes the sensor use as much memory as possible for the connection, and returns the
// number of records that result.
func (r *resolver) exhaust(t *testing.T, number int) (records int) {
	t.Helper()
	name := fmt.Sprintf("n%d.%sexample.com.", number, strings.Repeat("long.", 30))
	query := pack(t, new(dns.Msg).SetQuestion(name, dns.TypeHIP))
	query[2] = 0 // RD would mark a query of a client
	a := answer{name: name, server: netip.MustParseAddr("198.51.100.53"), protocol: dnstap.SocketProtocol_TCP}
	for _, length := range []int{4 << 10, largest} {
		for _, response := range heaviest(query, length) {
			r.send(t, &a, query, response)
			records++
		}
	}
	return records
}

// checkDocumented fails the test unless docs/resolvers.md has the text.
func checkDocumented(t *testing.T, text string) {
	t.Helper()
	page, err := os.ReadFile("../../../../docs/resolvers.md")
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(page), text) {
		t.Errorf("docs/resolvers.md does not have: %s", text)
	}
}

// checkHeap compares the memory of each connection with the documented figure, which may be up
// to half as much again.
func checkHeap(t *testing.T, what string, each, most int) {
	t.Helper()
	t.Logf("%s: a connection holds %d KiB, documented are %d", what, each>>10, most>>10)
	if each > most || each < most*2/3 {
		t.Errorf("%s: a connection holds %d KiB, documented are %d", what, each>>10, most>>10)
	}
}

func TestMemoryOfIdleConnections(t *testing.T) {
	checkDocumented(t, "An idle connection takes 80 KiB")
	const idle, most = 300, 80 << 10
	h := start(t, fmt.Sprintf(`source "dnstap" "a" {
		listen          = "unix://DIR/a.sock"
		max_connections = %d
	}
	`, idle)+sinkBlock("s"))
	before := liveHeap()
	for range idle {
		h.connect(t, "a.sock")
	}
	checkHeap(t, "idle", (liveHeap()-before)/idle, most)
}

func TestMemoryOfConnections(t *testing.T) {
	checkDocumented(t, "max_connections x (224 KiB + max_frame + 88 KiB for each sink)")
	const (
		connections = 64 // max_connections by default
		sinks       = 2
		most        = 224<<10 + sinks*88<<10
	)
	config := sourceBlock("a", "a.sock")
	for i := range sinks {
		config += fmt.Sprintf(`sink "nmsg" "s%d" {
			to     = "file://DIR/s%[1]d.nmsg"
			rotate = "0s"
			flush  = "10m" # so that each connection has a batch open
		}
		`, i)
	}
	h := start(t, config)
	before := liveHeap()
	var resolvers []*resolver
	records := 0
	for i := range connections {
		r := h.connect(t, "a.sock")
		records += r.exhaust(t, i)
		eventually(t, "the sensor has read this connection before the next one", func() bool {
			return h.Ledger().Total.Read == uint64(2*records)
		})
		r.w = nil // its buffer does not belong to the sensor
		resolvers = append(resolvers, r)
	}
	eventually(t, "all records but those in open batches are in the files", func() bool {
		return !slices.ContainsFunc(h.Ledger().Sinks, func(s forward.SinkLedger) bool {
			return s.Delivered+s.Written != uint64(records-connections)
		})
	})
	checkHeap(t, "after the largest messages", (liveHeap()-before)/connections, most)
	for _, r := range resolvers {
		r.begin(t)
	}
	checkHeap(t, "within a frame", (liveHeap()-before)/connections, most+maxFrame)
}
