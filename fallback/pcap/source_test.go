package pcap

import (
	"bytes"
	"context"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"
)

func TestRepeatedFailuresAreShownAndLoggedOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		cfg := testConfig
		cfg.Interfaces, cfg.When, cfg.IdleAfter, cfg.Ring, cfg.Lanes = []string{"lo"}, Idle, time.Second, 1, 1 // too small a ring
		s := &Source{config: cfg, senders: NewSenders(), log: slog.New(slog.NewTextHandler(&out, nil))}
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		check := func(after time.Duration, want bool) {
			time.AfterFunc(after, func() {
				if got := s.Stats().Failing; got != want {
					t.Errorf("after %v: failing: %t, want %t", after, got, want)
				}
			})
		}
		check(0, false)
		check(2*time.Second, true)
		time.AfterFunc(time.Minute, s.senders.OutwardBegins) // no packets are needed
		check(2*time.Minute, false)
		time.AfterFunc(3*time.Minute, s.senders.OutwardEnds)
		check(4*time.Minute, true)
		if err := s.Run(ctx); err != nil {
			t.Error(err)
		}
		if got := bytes.Count(out.Bytes(), []byte("\n")); got != 1 || !bytes.Contains(out.Bytes(), []byte("too small")) {
			t.Errorf("%d lines in an hour, want one:\n%.400s", got, out.Bytes())
		}
	})
}
