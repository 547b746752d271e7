package lab

import (
	"os"
	"runtime"
	"testing"

	"golang.org/x/sys/unix"
)

// Enter runs call inside the namespace on a new thread and returns when call has returned.
// Unlike a function for do, call may block.
func (n *Namespace) Enter(t testing.TB, call func()) {
	t.Helper()
	var netns *os.File
	err := n.do(func() (err error) {
		netns, err = os.Open("/proc/thread-self/ns/net")
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	defer netns.Close()
	entered := make(chan error, 1)
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread() // never unlocked: the thread ends with this goroutine
		err := unix.Setns(int(netns.Fd()), unix.CLONE_NEWNET)
		entered <- err
		if err == nil {
			call()
		}
	}()
	<-done
	if err := <-entered; err != nil {
		t.Fatalf("enter the namespace: %v", err)
	}
}

// IP runs ip(8) commands, one per line, inside the namespace.
func (n *Namespace) IP(t testing.TB, commands string) {
	t.Helper()
	n.configure(t, commands)
}
