package ring

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"
)

func TestLossIsToldOfWhenItBeginsAndWhenItIsOver(t *testing.T) {
	var said bytes.Buffer
	c := &Capture{log: slog.New(slog.NewTextHandler(&said, nil))}
	l := &link{name: "eth7"}
	look := func(drops uint64, times int) int {
		said.Reset()
		for range times {
			l.drops.Add(drops)
			c.watchLoss(l)
		}
		return strings.Count(said.String(), "\n")
	}
	for i, step := range []struct {
		drops uint64
		times int
		lines int
		says  string
	}{
		{0, 100, 0, ""},
		{5, 1, 1, "packets are lost"},
		{5, 50, 0, ""},
		{0, lossOver - 1, 0, ""},
		{1, 1, 0, ""}, // begins the wait anew
		{0, lossOver - 1, 0, ""},
		{0, 1, 1, "lost=256"},
		{0, 100, 0, ""},
		{7, 1, 1, "lost=7"},
	} {
		if n := look(step.drops, step.times); n != step.lines || !strings.Contains(said.String(), step.says) {
			t.Errorf("step %d: %d lines, want %d with %q: %s", i, n, step.lines, step.says, &said)
		}
	}
}
