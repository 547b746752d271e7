package ring

import (
	"encoding/binary"
	"errors"
	"log/slog"
	"os"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/dnstap-pdns/dnstap-pdns/transform"
)

// newTestReader returns a Reader of rings in ordinary memory. Event descriptors replace
// their sockets, because a waiter can watch them.
func newTestReader(t *testing.T, rings int) *Reader {
	t.Helper()
	r, err := newReader(&Capture{log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.waiter.close() })
	for range rings {
		r.enqueue(change{fresh: newTestRing(t, r)})
	}
	r.takeChanges()
	return r
}

func newTestRing(t *testing.T, r *Reader) *ring {
	t.Helper()
	fd, err := unix.Eventfd(0, unix.EFD_NONBLOCK|unix.EFD_CLOEXEC)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(fd) })
	if err := r.waiter.watch(fd); err != nil {
		t.Fatal(err)
	}
	return &ring{lookahead: *newLookahead(2), socket: socket(fd)}
}

// signalBlock wakes the reader as the kernel does when it hands over a block.
func (r *ring) signalBlock(t *testing.T) {
	t.Helper()
	if _, err := unix.Write(int(r.socket), binary.NativeEndian.AppendUint64(nil, 1)); err != nil {
		t.Fatal(err)
	}
}

// takeOne waits for a packet and returns its text, or "" at the end.
func takeOne(r *Reader) string {
	var p Packet
	for r.Wait() {
		if r.Next(&p) {
			return string(p.Data)
		}
	}
	return ""
}

func now() transform.Time { return transform.Time(time.Now().UnixNano()) }

func TestReaderWakesForABlock(t *testing.T) {
	r := newTestReader(t, 1)
	ring, got := r.rings[0], make(chan string)
	go func() { got <- takeOne(r) }()
	fill(ring.blockAt(0), textPacket(now(), "packet"))
	ring.signalBlock(t)
	if text := <-got; text != "packet" {
		t.Errorf("got %q", text)
	}
}

func TestReaderWakesForANewRing(t *testing.T) {
	r := newTestReader(t, 1)
	fresh := newTestRing(t, r)
	fill(fresh.blockAt(0), textPacket(now(), "on the new ring"))
	got := make(chan string)
	go func() { got <- takeOne(r) }()
	r.enqueue(change{fresh: fresh})
	if text := <-got; text != "on the new ring" {
		t.Errorf("got %q", text)
	}
}

func TestReaderWaitsForASilentRing(t *testing.T) {
	r := newTestReader(t, 2)
	began := time.Now()
	fill(r.rings[1].blockAt(0), textPacket(now(), "packet"))
	if text := takeOne(r); text != "packet" {
		t.Errorf("got %q", text)
	}
	if took := time.Since(began); took < orderDelay || took > time.Second {
		t.Errorf("that took %s, want a little over %s", took, orderDelay)
	}
}

func TestReaderEndsAfterTheLastPacket(t *testing.T) {
	r := newTestReader(t, 2)
	at := now()
	fill(r.rings[0].blockAt(0), textPacket(at, "before"), textPacket(at+1, "after"))
	got := make(chan string)
	go func() {
		got <- takeOne(r)
		got <- takeOne(r)
	}()
	r.capture.ending.Store(&ending{at: at, drained: time.Now().Add(10 * time.Millisecond)})
	r.waiter.wake()
	for _, want := range []string{"before", ""} {
		if text := <-got; text != want {
			t.Errorf("got %q, want %q", text, want)
		}
	}
}

func TestReaderDoesNotAlloc(t *testing.T) {
	r := newTestReader(t, 2)
	query := string(ipv4(res4, srv4, 17, 0, 0, ports(4000, 53)))
	packets := []testPacket{{1, IPv4, query}, {2, IPv4, query}, {3, IPv4, query}}
	turn, n := 0, 0
	var p Packet
	if allocs := testing.AllocsPerRun(100, func() {
		for _, ring := range r.rings {
			fill(ring.blockAt(turn%2), packets...)
		}
		turn++
		for range 2 * len(packets) {
			if r.Wait() && r.Next(&p) {
				n++
			}
		}
		r.release()
		r.waiter.wait(0)
	}); allocs != 0 {
		t.Errorf("%v allocations for 6 packets", allocs)
	}
	if n != 101*6 {
		t.Errorf("read %d packets, want %d", n, 101*6)
	}
}

func TestNoCapabilityStatesTheRemedy(t *testing.T) {
	err := noCapability(unix.EPERM)
	binary, pathErr := os.Executable()
	if pathErr != nil {
		t.Fatal(pathErr)
	}
	for _, want := range []string{"setcap cap_net_raw+ep " + binary, "AmbientCapabilities=CAP_NET_RAW"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("got %q, want %q in it", err, want)
		}
	}
	if !errors.Is(err, unix.EPERM) {
		t.Errorf("%v is not EPERM", err)
	}
}
