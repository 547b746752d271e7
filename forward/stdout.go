package forward

import (
	"context"
	"fmt"
	"io"
	"sync"
	"time"
)

// stdout writes containers to the command's standard output. What fails there
// fails for good: the reader has gone, or would find half a container.
type stdout struct{ w *sharedWriter }

// A sharedWriter keeps batches whole when a reload replaces the sink that writes
// to standard output while the old one still drains.
type sharedWriter struct {
	mu sync.Mutex
	w  io.Writer
}

func (s *sharedWriter) Write(p []byte) (n int, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for n < len(p) && err == nil {
		var m int
		m, err = s.w.Write(p[n:])
		n += m
		if m == 0 && err == nil {
			err = io.ErrShortWrite
		}
	}
	return n, err
}

func (s *stdout) Send(_ context.Context, b *batch, from int) (outcome, error) {
	n, err := s.w.Write(b.buf[b.start(from):])
	o := b.written(from, n)
	if err != nil {
		return o, brokenError{fmt.Errorf("standard output cannot be written to any more: %w", err)}
	}
	return o, nil
}

func (s *stdout) Rest(context.Context) (time.Time, error) { return time.Time{}, nil }

func (s *stdout) Close(context.Context) error { return nil }
