package main

import (
	"bytes"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// A stuck writer takes nothing until it is let go.
type stuck struct {
	letGo chan struct{}
	mu    sync.Mutex
	got   bytes.Buffer
}

func (s *stuck) Write(b []byte) (int, error) {
	<-s.letGo
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.got.Write(b)
}

func TestLogQueueWritesAllInOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &stuck{letGo: make(chan struct{})}
		close(s.letGo)
		q := newLogQueue(s, func(n uint64) { t.Errorf("%d lines lost", n) })
		want := ""
		for i := range maxLogLines {
			line := fmt.Sprintf("line %d\n", i)
			want += line
			fmt.Fprint(q, line)
			if got := s.got.String(); got != want {
				t.Fatalf("got %q when %q was logged", got, line)
			}
		}
		q.Close()
		if got := s.got.String(); got != want {
			t.Errorf("got %q", got)
		}
	})
}

func TestLogQueueHoldsNobodyUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &stuck{letGo: make(chan struct{})}
		var lost uint64
		q := newLogQueue(s, func(n uint64) { lost += n })
		began := time.Now()
		fmt.Fprintln(q, "in hand")
		for range maxLogLines + 5 {
			fmt.Fprintln(q, "more")
		}
		if took := time.Since(began); took > 2*logPatience {
			t.Errorf("logging took %v", took)
		}
		close(s.letGo)
		synctest.Wait()
		if lost != 5 {
			t.Errorf("%d lines are said to be lost, want 5", lost)
		}
		if n := bytes.Count(s.got.Bytes(), []byte("\n")); n != 1+maxLogLines {
			t.Errorf("%d lines were written", n)
		}
		q.Close()
	})
}

func TestLogQueueEndsThoughNobodyReads(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &stuck{letGo: make(chan struct{})}
		q := newLogQueue(s, func(uint64) {})
		fmt.Fprintln(q, "never read")
		began := time.Now()
		q.Close()
		if took := time.Since(began); took != lastWords {
			t.Errorf("the end took %v, want %v", took, lastWords)
		}
		close(s.letGo)
	})
}
