package sensor

import (
	"io"
	"log/slog"
	"sync/atomic"
	"testing"

	"github.com/dnstap-pdns/dnstap-pdns/transform"
)

var decoy = []byte("\x01x\x08ipv4only\x04arpa\x00")

func TestNamesAreJudgedByThePolicyInForce(t *testing.T) {
	with := sourceBlock("a", "a.sock") + sinkBlock("x")
	without := with + "scrub { special_names = false }\n"
	h := start(t, with)
	expect := func(when string, want transform.Reason) {
		t.Helper()
		if got := h.JudgeName(decoy); got != want {
			t.Errorf("%s: got %v, want %v", when, got, want)
		}
	}
	expect("at the start", transform.SpecialName)
	h.reload(t, without)
	expect("after a reload", transform.Kept)
	if err := h.Reload(h.config(t, with+sourceBlock("b", "none/b.sock"))); err == nil {
		t.Error("a reload with a socket that cannot be made succeeded")
	}
	expect("after a reload that failed", transform.Kept)
}

// A counter counts the calls of a trace and of an observer.
type counter struct{ verdicts, containers atomic.Int64 }

func (c *counter) Verdict(*transform.Verdict) { c.verdicts.Add(1) }
func (c *counter) Sent(string, []byte, bool)  { c.containers.Add(1) }

func TestTraceAndObserverSeeLanesAndSinks(t *testing.T) {
	h := newTestSensor(t)
	var c counter
	h.run(t, sourceBlock("a", "a.sock")+sinkBlock("x"), Options{Log: slog.New(slog.DiscardHandler), Stdout: io.Discard, Observer: &c})
	h.Trace(func(string) transform.Trace { return &c })
	r := h.connect(t, "a.sock")
	r.play(t)
	r.close(t)
	eventually(t, "a container is sent", func() bool { return c.containers.Load() > 0 })
	h.Trace(nil)
	before := c.verdicts.Load()
	if before < captureFrames {
		t.Errorf("%d verdicts of %d messages", before, captureFrames)
	}
	other := h.connect(t, "a.sock")
	other.play(t)
	other.close(t)
	if c.verdicts.Load() != before {
		t.Error("verdicts are reported after the trace ended")
	}
}
