package sensor

import (
	"bytes"
	"errors"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"testing"

	"github.com/dnstap-pdns/dnstap-pdns/forward"
	"github.com/dnstap-pdns/dnstap-pdns/forward/nmsg"
	"github.com/dnstap-pdns/dnstap-pdns/transform"
)

// windowConfig returns a configuration with an aggregate, and with attributes of the block scrub.
func windowConfig(aggregate, scrub string) string {
	return sourceBlock("a", "a.sock") + `
	aggregate "rrsets" {
		` + aggregate + `
	}
	sink "nmsg" "out" {
		to      = "file://DIR/out.nmsg"
		message = "dnsdedupe"
		rotate  = "0s"
	}
	scrub {
		local_networks = []
		` + scrub + `
	}
	`
}

// fill makes the sensor count the RRsets of the capture, and returns their number in the window.
func (h *testSensor) fill(t *testing.T) (entries int) {
	t.Helper()
	r := h.connect(t, "a.sock")
	r.play(t)
	r.close(t)
	eventually(t, "all records are counted", func() bool {
		l := h.sink(t, "rrsets")
		entries = l.RRsets.Entries
		return h.Ledger().Total.Read == captureFrames && l.Offered > 0 && l.Delivered == l.Offered
	})
	return entries
}

// sink returns the account of a sink.
func (h *testSensor) sink(t *testing.T, name string) forward.SinkLedger {
	t.Helper()
	for _, l := range h.Ledger().Sinks {
		if l.Name == name {
			return l
		}
	}
	t.Fatalf("there is no sink %q", name)
	return forward.SinkLedger{}
}

// containing returns the number of RRsets in the file of the sink, and of those that have these octets in
// the owner, the bailiwick or rdata.
func (h *testSensor) containing(t *testing.T, octets string) (all, found int) {
	t.Helper()
	file, err := os.ReadFile(filepath.Join(h.dir, "out.nmsg"))
	if err != nil {
		t.Fatal(err)
	}
	for r := nmsg.NewReader(bytes.NewReader(file)); ; all++ {
		m, err := r.Next()
		if errors.Is(err, io.EOF) {
			return all, found
		}
		if err != nil {
			t.Fatal(err)
		}
		if bytes.Contains(m.Data, []byte(octets)) {
			found++
		}
	}
}

const (
	hosterName   = "hoster.net"
	hosterOctets = "\x06hoster\x03net\x00"
)

// TestReloadHoldsBackWhatIsInTheWindow adds a local name while RRsets with it are in the window, as
// owners and in rdata. The stop ends the window.
func TestReloadHoldsBackWhatIsInTheWindow(t *testing.T) {
	before := start(t, windowConfig("", "local_names = []"))
	entries := before.fill(t)
	before.stop()
	all, local := before.containing(t, hosterOctets)
	if all != entries || local < 5 {
		t.Fatalf("without a reload, %d of %d RRsets in the file have the name, %d were in the window", local, all, entries)
	}

	h := start(t, windowConfig("", "local_names = []"))
	h.fill(t)
	h.reload(t, windowConfig("", `local_names = ["`+hosterName+`"]`))
	h.stop()
	if n, found := h.containing(t, hosterOctets); n != all-local || found != 0 {
		t.Errorf("%d RRsets left, %d with the name; want %d, 0", n, found, all-local)
	}
	if r := h.sink(t, "rrsets").RRsets; r.Withheld[transform.LocalName] != uint64(local) || r.Emitted != uint64(all-local) || r.Lost != 0 {
		t.Errorf("the account of the window: %+v", r)
	}
	checkLedger(t, h.Ledger(), captureFrames)
}

// TestRestartHoldsBackWhatTheStateFileContains starts a sensor again, with another configuration.
func TestRestartHoldsBackWhatTheStateFileContains(t *testing.T) {
	const state = `state = "DIR/state"` + "\n"
	h := start(t, windowConfig(state, "local_names = []"))
	entries := h.fill(t)
	h.stop()
	h.run(t, windowConfig(state+`window = "1s"`, `local_names = ["`+hosterName+`"]`), Options{Log: slog.New(slog.DiscardHandler), Stdout: io.Discard})
	var r *forward.RRsets
	eventually(t, "the window ends", func() bool {
		r = h.sink(t, "rrsets").RRsets
		return r.Emitted > 0 && r.Entries == 0
	})
	h.stop()
	n, found := h.containing(t, hosterOctets)
	if withheld := r.Withheld[transform.LocalName]; found != 0 || withheld == 0 || uint64(n) != r.Emitted || r.Emitted+withheld != uint64(entries) {
		t.Errorf("%d of %d RRsets left, %d with the name; the account of the window: %+v", n, entries, found, r)
	}
	checkLedger(t, h.Ledger(), 0)
}
