package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestReplayStopsWhileOnRotateRuns: a signal ends what a replay waits for, and leaves
// nothing running.
func TestReplayStopsWhileOnRotateRuns(t *testing.T) {
	dir := t.TempDir()
	config, pid := filepath.Join(dir, "c.hcl"), filepath.Join(dir, "pid")
	hcl := fmt.Sprintf(`
sink "nmsg" "files" {
  to        = "file://%s/out.nmsg"
  rotate    = "0s"
  on_rotate = ["/bin/sh", "-c", "echo $$ >%s.new; mv %s.new %s; sleep 1000"]
}
`, dir, pid, pid, pid)
	if err := os.WriteFile(config, []byte(hcl), 0o600); err != nil {
		t.Fatal(err)
	}
	ctx, interrupt := context.WithCancel(t.Context())
	done := make(chan error, 1)
	var said bytes.Buffer
	go func() { done <- replay(ctx, []string{"-c", config, "demo.fstrm"}, stdio{out: io.Discard, err: &said}) }()
	var number []byte
	await(t, "on_rotate runs", func() bool {
		var err error
		number, err = os.ReadFile(pid)
		return err == nil
	})
	interrupt()
	select {
	case err := <-done:
		if !strings.Contains(said.String(), "delivered") {
			t.Errorf("got %v, and no ledger:\n%s", err, &said)
		}
	case <-time.After(2 * patience):
		t.Fatal("it goes on after the signal")
	}
	await(t, "the command is dead", func() bool {
		stat, err := os.ReadFile("/proc/" + strings.TrimSpace(string(number)) + "/stat")
		return err != nil || bytes.Contains(stat, []byte(") Z "))
	})
}
