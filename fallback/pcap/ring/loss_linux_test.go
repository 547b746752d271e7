package ring

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"
)

func TestLossIsLoggedWhenItBeginsAndEnds(t *testing.T) {
	var logged bytes.Buffer
	c := &Capture{log: slog.New(slog.NewTextHandler(&logged, nil))}
	i := &netInterface{name: "eth7"}
	poll := func(drops uint64, times int) int {
		logged.Reset()
		for range times {
			i.drops.Add(drops)
			c.logLoss(i)
		}
		return strings.Count(logged.String(), "\n")
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
		{0, lossEndPolls - 1, 0, ""},
		{1, 1, 0, ""}, // restarts the wait
		{0, lossEndPolls - 1, 0, ""},
		{0, 1, 1, "lost=256"},
		{0, 100, 0, ""},
		{7, 1, 1, "lost=7"},
	} {
		if n := poll(step.drops, step.times); n != step.lines || !strings.Contains(logged.String(), step.says) {
			t.Errorf("step %d: %d lines, want %d with %q: %s", i, n, step.lines, step.says, &logged)
		}
	}
}
