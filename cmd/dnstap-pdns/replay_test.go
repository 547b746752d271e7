package main

import (
	"context"
	"errors"
	"io"
	"os"
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
	} {
		if _, err := io.WriteString(feed, begun); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		start := time.Now()
		err := replay(ctx, []string{"--to", "stdout:", "-"}, stdio{in, io.Discard, io.Discard})
		cancel()
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%s: got %v", name, err)
		}
		if took := time.Since(start); took > 2*time.Second {
			t.Errorf("%s: stopped after %v", name, took)
		}
	}
}
