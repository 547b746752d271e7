package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestReplayStopsWhileItsInputStalls: a pipe that brings nothing holds up no stop.
func TestReplayStopsWhileItsInputStalls(t *testing.T) {
	in, feed, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	defer feed.Close()
	for name, begun := range map[string]string{
		"before a byte":    "",
		"within the magic": "\x00\x00",
		"within a frame":   "\x00\x00\x00\x00\x00\x00",
		"within a capture": "\xd4\xc3\xb2\xa1\x02\x00",
		"within gzip":      "\x1f\x8b\x08\x00\x00\x00",
	} {
		if _, err := io.WriteString(feed, begun); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		start := time.Now()
		err := replay(ctx, []string{"--resolvers", "192.0.2.53", "--to", "stdout:", "-"}, stdio{in, io.Discard, io.Discard})
		cancel()
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%s: got %v", name, err)
		}
		if took := time.Since(start); took > 2*time.Second {
			t.Errorf("%s: stopped after %v", name, took)
		}
	}
}

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
	go func() { done <- replay(ctx, []string{"-c", config, "demo.fstrm"}, stdio{nil, io.Discard, &said}) }()
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
