package ring

import (
	"encoding/binary"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func newTestWaiter(t *testing.T, ready func() bool) *waiter {
	t.Helper()
	w, err := newWaiter(ready)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := w.close(); err != nil {
			t.Error(err)
		}
	})
	return w
}

func never() bool { return false }

// tooLong is a wait that only a lost event makes end.
const tooLong = 10 * time.Second

func checkSoon(t *testing.T, what string, wait func()) {
	t.Helper()
	began := time.Now()
	if wait(); time.Since(began) >= tooLong {
		t.Errorf("%s does not end a wait", what)
	}
}

func TestWaiterDoesNotWaitIfThereIsSomething(t *testing.T) {
	w := newTestWaiter(t, func() bool { return true })
	checkSoon(t, "a block", func() { w.wait(tooLong) })
}

func TestWaiterEndsAtItsTimeout(t *testing.T) {
	w := newTestWaiter(t, never)
	for range 2 {
		began := time.Now()
		if w.wait(time.Millisecond); time.Since(began) < time.Millisecond {
			t.Errorf("it waited %v", time.Since(began))
		}
	}
}

func TestWaiterDoesNotWaitAfterAWake(t *testing.T) {
	w := newTestWaiter(t, never)
	w.wake()
	checkSoon(t, "an earlier wake", func() { w.wait(tooLong) })
}

// TestWaiterLosesNoEvent signals a socket, and calls wake, at any moment of a wait.
func TestWaiterLosesNoEvent(t *testing.T) {
	const rounds = 2000
	var signalled atomic.Int64
	var taken int64
	w := newTestWaiter(t, func() bool { return signalled.Load() > taken })
	socket, err := unix.Eventfd(0, unix.EFD_NONBLOCK|unix.EFD_CLOEXEC)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(socket)
	if err := w.watch(socket); err != nil {
		t.Fatal(err)
	}
	next := make(chan struct{})
	go func() {
		for i := range rounds {
			signalled.Add(1)
			if i%3 == 0 {
				w.wake()
			} else {
				unix.Write(socket, binary.NativeEndian.AppendUint64(nil, 1))
			}
			<-next
		}
	}()
	for taken < rounds {
		for signalled.Load() == taken {
			began := time.Now()
			if w.wait(tooLong); time.Since(began) >= tooLong {
				t.Fatalf("event %d was lost", taken+1)
			}
		}
		taken++
		next <- struct{}{}
	}
}

func TestWaiterRefusesWhatIsNotASocket(t *testing.T) {
	w := newTestWaiter(t, never)
	if err := w.watch(-1); err == nil {
		t.Error("no error")
	}
}
