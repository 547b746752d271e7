package pcap

import (
	"bytes"
	"context"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"
)

func TestRepeatedFailuresAreLoggedOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		cfg := testConfig
		cfg.Interfaces, cfg.When, cfg.IdleAfter, cfg.Ring, cfg.Lanes = []string{"lo"}, Idle, time.Second, 1, 1 // too small a ring
		s := &Source{config: cfg, senders: NewSenders(), log: slog.New(slog.NewTextHandler(&out, nil))}
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		if err := s.Run(ctx); err != nil {
			t.Error(err)
		}
		if got := bytes.Count(out.Bytes(), []byte("\n")); got != 1 || !bytes.Contains(out.Bytes(), []byte("too small")) {
			t.Errorf("%d lines in an hour, want one:\n%.400s", got, out.Bytes())
		}
	})
}
