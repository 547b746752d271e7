package leaving

import (
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
)

// A recorder is an observer that records its calls.
type recorder struct{ calls *[]string }

func (r recorder) Sent(sink string, container []byte) {
	*r.calls = append(*r.calls, fmt.Sprintf("%s: %s", sink, container))
}

func TestObserversGetContainersUntilTheyStop(t *testing.T) {
	var tap Tap
	var first, second []string
	tap.Sent("out", []byte("before"))
	stopFirst := tap.Watch(recorder{&first})
	tap.Sent("out", []byte("one"))
	stopSecond := tap.Watch(recorder{&second})
	tap.Sent("files", []byte("two"))
	stopFirst()
	stopFirst()
	tap.Sent("out", []byte("three"))
	stopSecond()
	tap.Sent("out", []byte("after"))
	if want := []string{"out: one", "files: two"}; !slices.Equal(first, want) {
		t.Errorf("the first got %q, want %q", first, want)
	}
	if want := []string{"files: two", "out: three"}; !slices.Equal(second, want) {
		t.Errorf("the second got %q, want %q", second, want)
	}
}

func TestObserverMaySubscribeTwice(t *testing.T) {
	var tap Tap
	var calls []string
	stop := tap.Watch(recorder{&calls})
	defer tap.Watch(recorder{&calls})()
	tap.Sent("out", []byte("one"))
	stop()
	tap.Sent("out", []byte("two"))
	if want := []string{"out: one", "out: one", "out: two"}; !slices.Equal(calls, want) {
		t.Errorf("got %q, want %q", calls, want)
	}
}

// A stopChecker is an observer that fails the test if it is called after stop returned.
type stopChecker struct {
	t       *testing.T
	calls   atomic.Int64
	stopped atomic.Bool
}

func (c *stopChecker) Sent(string, []byte) {
	if c.stopped.Load() {
		c.t.Error("called after stop had returned")
	}
	c.calls.Add(1)
}

// TestNoCallAfterStopHasReturned stops while several sinks send.
func TestNoCallAfterStopHasReturned(t *testing.T) {
	var tap Tap
	var sinks sync.WaitGroup
	defer sinks.Wait()
	var done atomic.Bool
	defer done.Store(true)
	for range 2 {
		sinks.Go(func() {
			for !done.Load() {
				tap.Sent("out", nil)
			}
		})
	}
	for range 20 {
		c := &stopChecker{t: t}
		stop := tap.Watch(c)
		for c.calls.Load() < 3 {
		}
		stop()
		c.stopped.Store(true)
	}
}

func TestTapAllocatesNothing(t *testing.T) {
	var tap Tap
	container := make([]byte, 1000)
	if n := testing.AllocsPerRun(100, func() { tap.Sent("out", container) }); n != 0 {
		t.Errorf("%v allocations without observers", n)
	}
	defer tap.Watch(&stopChecker{t: t})()
	if n := testing.AllocsPerRun(100, func() { tap.Sent("out", container) }); n != 0 {
		t.Errorf("%v allocations with an observer", n)
	}
}

func BenchmarkSentWithoutObservers(b *testing.B) {
	var tap Tap
	for b.Loop() {
		tap.Sent("out", nil)
	}
}
