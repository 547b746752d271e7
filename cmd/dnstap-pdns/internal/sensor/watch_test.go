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
		t.Error("a reload with a socket that cannot be made went well")
	}
	expect("after a reload that failed", transform.Kept)
}

// seen counts what whoever watches is told.
type seen struct{ verdicts, containers atomic.Int64 }

func (s *seen) Verdict(*transform.Verdict) { s.verdicts.Add(1) }
func (s *seen) Sent(string, []byte)        { s.containers.Add(1) }

func TestWhoWatchesSeesLanesAndSinks(t *testing.T) {
	h := newHouse(t)
	var s seen
	h.run(t, sourceBlock("a", "a.sock")+sinkBlock("x"), Options{Log: slog.New(slog.DiscardHandler), Stdout: io.Discard, Observer: &s})
	h.Trace(func(string) transform.Trace { return &s })
	r := h.connect(t, "a.sock")
	r.play(t)
	r.close(t)
	eventually(t, "a container is sent", func() bool { return s.containers.Load() > 0 })
	h.Trace(nil)
	told := s.verdicts.Load()
	if told < captureFrames {
		t.Errorf("%d verdicts of %d messages", told, captureFrames)
	}
	other := h.connect(t, "a.sock")
	other.play(t)
	other.close(t)
	if s.verdicts.Load() != told {
		t.Error("verdicts are told after the end")
	}
}
