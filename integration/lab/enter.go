package lab

import (
	"os"
	"runtime"
	"testing"

	"golang.org/x/sys/unix"
)

// Enter runs call inside the namespace, on a thread of its own, and returns when it
// has ended. Unlike what the namespace's own thread does, it may take its time.
func (n *Namespace) Enter(t testing.TB, call func()) {
	t.Helper()
	var door *os.File
	err := n.do(func() (err error) {
		door, err = os.Open("/proc/thread-self/ns/net")
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	defer door.Close()
	entered := make(chan error, 1)
	left := make(chan struct{})
	go func() {
		defer close(left)
		runtime.LockOSThread() // for good: the thread ends with this goroutine
		err := unix.Setns(int(door.Fd()), unix.CLONE_NEWNET)
		entered <- err
		if err == nil {
			call()
		}
	}()
	<-left
	if err := <-entered; err != nil {
		t.Fatalf("enter the namespace: %v", err)
	}
}

// IP runs ip(8) commands inside the namespace, one a line.
func (n *Namespace) IP(t testing.TB, commands string) {
	t.Helper()
	n.configure(t, commands)
}
