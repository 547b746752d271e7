package ring

import (
	"encoding/binary"
	"errors"
	"os"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// A waiter lets one goroutine wait for the sockets of rings. It waits as package net does and not
// in poll(2): the Go scheduler's monitor thread watches a goroutine in a system call, for which it
// wakes up every 20 us at first.
//
// A wait ends when a ring may have a block. The memory of the rings shows whether it has.
type waiter struct {
	sockets int      // epoll(7) instance that watches sockets and event
	file    *os.File // of sockets, which the Go runtime watches
	raw     syscall.RawConn
	event   int // eventfd(2) by which wake ends a wait

	woken   atomic.Bool // wake was called, and no wait has ended since
	ready   func() bool // reports whether there is a block already; makes no system call
	attempt func(fd uintptr) bool
	waited  bool // of the current wait
}

func newWaiter(ready func() bool) (*waiter, error) {
	event, err := unix.Eventfd(0, unix.EFD_NONBLOCK|unix.EFD_CLOEXEC)
	if err != nil {
		return nil, opError("make an event descriptor", err)
	}
	sockets, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		unix.Close(event)
		return nil, opError("make an epoll instance", err)
	}
	w := &waiter{sockets: sockets, event: event, ready: ready}
	w.attempt = w.proceed
	if err = unix.SetNonblock(sockets, true); err == nil { // else NewFile does not make the runtime watch it
		err = w.watch(event)
	}
	w.file = os.NewFile(uintptr(sockets), "epoll")
	if err == nil {
		w.raw, err = w.file.SyscallConn()
	}
	if err == nil {
		err = w.file.SetReadDeadline(time.Time{}) // fails if the runtime does not watch the file
	}
	if err != nil {
		return nil, errors.Join(opError("watch an event descriptor", err), w.close())
	}
	return w, nil
}

// watch adds a socket, until that is closed. It may be called from any goroutine.
func (w *waiter) watch(socket int) error {
	return unix.EpollCtl(w.sockets, unix.EPOLL_CTL_ADD, socket, &unix.EpollEvent{Events: unix.EPOLLIN})
}

// wait waits until a ring may have a block, until wake is called, or until timeout. A negative timeout
// means no limit.
func (w *waiter) wait(timeout time.Duration) {
	var deadline time.Time
	if timeout >= 0 {
		deadline = time.Now().Add(timeout)
	}
	w.file.SetReadDeadline(deadline)
	w.waited = false
	w.raw.Read(w.attempt) // an error states that the deadline has passed
}

// proceed reports whether the wait is over. The runtime calls it again after an event.
func (w *waiter) proceed(uintptr) bool {
	if w.woken.Swap(false) || w.waited || w.ready() {
		return true
	}
	w.waited = true
	return false
}

// wake ends a wait, or the next one. It may be called from any goroutine.
func (w *waiter) wake() {
	w.woken.Store(true)
	// Nothing reads the counter. It fails only when it is full, after 2^64 calls.
	unix.Write(w.event, binary.NativeEndian.AppendUint64(nil, 1))
}

func (w *waiter) close() error {
	return errors.Join(w.file.Close(), opError("close an event descriptor", unix.Close(w.event)))
}
