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
	largest  = 65500     // octets of a response, which message = "dnsqr" carries
)

// heaviest returns responses to a query of length octets that take the most memory: by
// records, by names, and by names in a message that is rebuilt.
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
	hip := func(length int) []byte { // which holds any number of names
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

// liveHeap is what the heap holds when garbage and sync.Pools are collected.
func liveHeap() int {
	var m runtime.MemStats
	runtime.GC()
	runtime.GC()
	runtime.ReadMemStats(&m)
	return int(m.HeapAlloc)
}

// begin sends a frame of the largest size, but for its last octet. It returns when the
// sensor has read all but what a small socket buffer holds.
func (r *resolver) begin(t *testing.T) {
	t.Helper()
	if err := r.conn.(*net.UnixConn).SetWriteBuffer(1); err != nil { // the kernel takes its least
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

// exhaust has the sensor hold as much for the connection as can be, and returns how many
// records that makes.
func (r *resolver) exhaust(t *testing.T, number int) (records int) {
	t.Helper()
	name := fmt.Sprintf("n%d.%sexample.com.", number, strings.Repeat("long.", 30))
	query := pack(t, new(dns.Msg).SetQuestion(name, dns.TypeHIP))
	query[2] = 0 // RD is of clients' queries
	a := answer{name: name, server: netip.MustParseAddr("198.51.100.53"), protocol: dnstap.SocketProtocol_TCP}
	for _, length := range []int{4 << 10, largest} {
		for _, response := range heaviest(query, length) {
			r.say(t, &a, query, response)
			records++
		}
	}
	return records
}

// documented fails the test unless docs/resolvers.md has the text.
func documented(t *testing.T, text string) {
	t.Helper()
	page, err := os.ReadFile("../../../../docs/resolvers.md")
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(page), text) {
		t.Errorf("docs/resolvers.md does not have: %s", text)
	}
}

// checkHeap compares what each connection holds with what is documented, which must not
// be far above that.
func checkHeap(t *testing.T, what string, each, most int) {
	t.Helper()
	t.Logf("%s: a connection holds %d KiB, documented are %d", what, each>>10, most>>10)
	if each > most || each < most*2/3 {
		t.Errorf("%s: a connection holds %d KiB, documented are %d", what, each>>10, most>>10)
	}
}

func TestMemoryOfIdleConnections(t *testing.T) {
	documented(t, "An idle connection takes 80 KiB")
	const idle, most = 300, 80 << 10
	h := start(t, fmt.Sprintf(`source "dnstap" "a" {
		listen          = "unix://DIR/a.sock"
		max_connections = %d
	}
	`, idle)+sinkBlock("s"))
	none := liveHeap()
	for range idle {
		h.connect(t, "a.sock")
	}
	checkHeap(t, "idle", (liveHeap()-none)/idle, most)
}

func TestMemoryOfConnections(t *testing.T) {
	documented(t, "max_connections x (224 KiB + max_frame + 88 KiB for each sink)")
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
	none := liveHeap()
	var resolvers []*resolver
	records := 0
	for i := range connections {
		r := h.connect(t, "a.sock")
		records += r.exhaust(t, i)
		eventually(t, "the sensor has read this connection, and reads one at a time", func() bool {
			return h.Ledger().Total.Read == uint64(2*records)
		})
		r.w = nil // its buffer is not the sensor's
		resolvers = append(resolvers, r)
	}
	eventually(t, "all records but those in open batches are in the files", func() bool {
		return !slices.ContainsFunc(h.Ledger().Sinks, func(s forward.SinkLedger) bool {
			return s.Delivered != uint64(records-connections)
		})
	})
	checkHeap(t, "after the largest messages", (liveHeap()-none)/connections, most)
	for _, r := range resolvers {
		r.begin(t)
	}
	checkHeap(t, "within a frame", (liveHeap()-none)/connections, most+maxFrame)
}
