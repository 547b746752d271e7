package main

import (
	"bytes"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// A blockingWriter blocks until unblock is closed.
type blockingWriter struct {
	unblock chan struct{}
	mu      sync.Mutex
	got     bytes.Buffer
}

func (w *blockingWriter) Write(b []byte) (int, error) {
	<-w.unblock
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.got.Write(b)
}

func TestLogQueueWritesAllInOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &blockingWriter{unblock: make(chan struct{})}
		close(w.unblock)
		q := newLogQueue(w, func(n uint64) { t.Errorf("%d lines lost", n) })
		want := ""
		for i := range maxLogLines {
			line := fmt.Sprintf("line %d\n", i)
			want += line
			fmt.Fprint(q, line)
			if got := w.got.String(); got != want {
				t.Fatalf("got %q when %q was logged", got, line)
			}
		}
		q.Close()
		if got := w.got.String(); got != want {
			t.Errorf("got %q", got)
		}
	})
}

func TestFullLogQueueDropsAndCountsLines(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &blockingWriter{unblock: make(chan struct{})}
		var lost uint64
		q := newLogQueue(w, func(n uint64) { lost += n })
		began := time.Now()
		fmt.Fprintln(q, "first")
		for range maxLogLines + 5 {
			fmt.Fprintln(q, "more")
		}
		if took := time.Since(began); took > 2*logWait {
			t.Errorf("logging took %v", took)
		}
		close(w.unblock)
		synctest.Wait()
		if lost != 5 {
			t.Errorf("%d lines are reported lost, want 5", lost)
		}
		if n := bytes.Count(w.got.Bytes(), []byte("\n")); n != 1+maxLogLines {
			t.Errorf("%d lines were written", n)
		}
		q.Close()
	})
}

func TestLogQueueClosesAlthoughTheWriterBlocks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &blockingWriter{unblock: make(chan struct{})}
		q := newLogQueue(w, func(uint64) {})
		fmt.Fprintln(q, "never read")
		began := time.Now()
		q.Close()
		if took := time.Since(began); took != closeWait {
			t.Errorf("Close took %v, want %v", took, closeWait)
		}
		close(w.unblock)
	})
}
