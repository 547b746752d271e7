package observers

import (
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
)

// A recorder is an observer that records its calls.
type recorder struct{ calls *[]string }

func (r recorder) Sent(sink string, container []byte, _ bool) {
	*r.calls = append(*r.calls, fmt.Sprintf("%s: %s", sink, container))
}

func TestObserversGetContainersUntilTheyStop(t *testing.T) {
	var set Set
	var first, second []string
	set.Sent("out", []byte("before"), false)
	stopFirst := set.Subscribe(recorder{&first})
	set.Sent("out", []byte("one"), false)
	stopSecond := set.Subscribe(recorder{&second})
	set.Sent("files", []byte("two"), false)
	stopFirst()
	stopFirst()
	set.Sent("out", []byte("three"), false)
	stopSecond()
	set.Sent("out", []byte("after"), false)
	if want := []string{"out: one", "files: two"}; !slices.Equal(first, want) {
		t.Errorf("the first got %q, want %q", first, want)
	}
	if want := []string{"files: two", "out: three"}; !slices.Equal(second, want) {
		t.Errorf("the second got %q, want %q", second, want)
	}
}

func TestObserverMaySubscribeTwice(t *testing.T) {
	var set Set
	var calls []string
	stop := set.Subscribe(recorder{&calls})
	defer set.Subscribe(recorder{&calls})()
	set.Sent("out", []byte("one"), false)
	stop()
	set.Sent("out", []byte("two"), false)
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

func (c *stopChecker) Sent(string, []byte, bool) {
	if c.stopped.Load() {
		c.t.Error("called after stop had returned")
	}
	c.calls.Add(1)
}

// TestNoCallAfterStopHasReturned stops while several sinks send.
func TestNoCallAfterStopHasReturned(t *testing.T) {
	var set Set
	var sinks sync.WaitGroup
	defer sinks.Wait()
	var done atomic.Bool
	defer done.Store(true)
	for range 2 {
		sinks.Go(func() {
			for !done.Load() {
				set.Sent("out", nil, false)
			}
		})
	}
	for range 20 {
		c := &stopChecker{t: t}
		stop := set.Subscribe(c)
		for c.calls.Load() < 3 {
		}
		stop()
		c.stopped.Store(true)
	}
}

func TestTapAllocatesNothing(t *testing.T) {
	var set Set
	container := make([]byte, 1000)
	if n := testing.AllocsPerRun(100, func() { set.Sent("out", container, false) }); n != 0 {
		t.Errorf("%v allocations without observers", n)
	}
	defer set.Subscribe(&stopChecker{t: t})()
	if n := testing.AllocsPerRun(100, func() { set.Sent("out", container, false) }); n != 0 {
		t.Errorf("%v allocations with an observer", n)
	}
}

func BenchmarkSentWithoutObservers(b *testing.B) {
	var set Set
	for b.Loop() {
		set.Sent("out", nil, false)
	}
}
