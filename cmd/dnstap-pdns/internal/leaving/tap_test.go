package leaving

import (
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
)

// seen notes what it is told.
type seen struct{ told *[]string }

func (s seen) Sent(sink string, container []byte) {
	*s.told = append(*s.told, fmt.Sprintf("%s: %s", sink, container))
}

func TestThoseWhoWatchAreToldUntilTheyStop(t *testing.T) {
	var tap Tap
	var first, second []string
	tap.Sent("out", []byte("before"))
	stopFirst := tap.Watch(seen{&first})
	tap.Sent("out", []byte("one"))
	stopSecond := tap.Watch(seen{&second})
	tap.Sent("files", []byte("two"))
	stopFirst()
	stopFirst()
	tap.Sent("out", []byte("three"))
	stopSecond()
	tap.Sent("out", []byte("after"))
	if want := []string{"out: one", "files: two"}; !slices.Equal(first, want) {
		t.Errorf("the first was told %q, want %q", first, want)
	}
	if want := []string{"files: two", "out: three"}; !slices.Equal(second, want) {
		t.Errorf("the second was told %q, want %q", second, want)
	}
}

func TestOneWhoWatchesTwiceIsToldTwiceAndStopsOnce(t *testing.T) {
	var tap Tap
	var told []string
	stop := tap.Watch(seen{&told})
	defer tap.Watch(seen{&told})()
	tap.Sent("out", []byte("one"))
	stop()
	tap.Sent("out", []byte("two"))
	if want := []string{"out: one", "out: one", "out: two"}; !slices.Equal(told, want) {
		t.Errorf("got %q, want %q", told, want)
	}
}

// a latch fails the test when it is told something after it was closed.
type latch struct {
	t      *testing.T
	told   atomic.Int64
	closed atomic.Bool
}

func (l *latch) Sent(string, []byte) {
	if l.closed.Load() {
		l.t.Error("told after it had stopped")
	}
	l.told.Add(1)
}

// TestNothingIsToldOnceStopHasReturned while several sinks send.
func TestNothingIsToldOnceStopHasReturned(t *testing.T) {
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
		l := &latch{t: t}
		stop := tap.Watch(l)
		for l.told.Load() < 3 {
		}
		stop()
		l.closed.Store(true)
	}
}

func TestTapAllocatesNothing(t *testing.T) {
	var tap Tap
	container := make([]byte, 1000)
	if n := testing.AllocsPerRun(100, func() { tap.Sent("out", container) }); n != 0 {
		t.Errorf("%v allocations where nobody watches", n)
	}
	defer tap.Watch(&latch{t: t})()
	if n := testing.AllocsPerRun(100, func() { tap.Sent("out", container) }); n != 0 {
		t.Errorf("%v allocations where somebody does", n)
	}
}

func BenchmarkSentWhereNobodyWatches(b *testing.B) {
	var tap Tap
	for b.Loop() {
		tap.Sent("out", nil)
	}
}
