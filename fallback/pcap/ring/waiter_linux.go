package ring

import (
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
// It only says that something may have happened. The memory of the rings states what.
type waiter struct {
	sockets int      // epoll(7) instance that watches sockets and event
	file    *os.File // of sockets, which the Go runtime watches
	raw     syscall.RawConn
	event   int // eventfd(2) by which wake ends a wait

	woken   atomic.Bool // wake was called after the latest wait
	ready   func() bool // reports whether there is nothing to wait for; makes no system call
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
	if err != nil {
		return nil, errors.Join(opError("watch an event descriptor", err), w.close())
	}
	return w, nil
}

// watch adds a socket, until that is closed. It may be called from any goroutine.
func (w *waiter) watch(socket int) error {
	return opError("watch a packet socket", unix.EpollCtl(w.sockets, unix.EPOLL_CTL_ADD, socket, &unix.EpollEvent{Events: unix.EPOLLIN}))
}

// wait waits until something may have happened at a socket, until wake is called, or until timeout. A
// negative timeout means no limit.
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
	if w.waited || w.woken.Swap(false) || w.ready() {
		return true
	}
	w.waited = true
	return false
}

// wake ends a wait, or the next one. It may be called from any goroutine.
func (w *waiter) wake() {
	w.woken.Store(true)
	unix.Write(w.event, []byte{1, 0, 0, 0, 0, 0, 0, 0}) // a full counter, the only possible error, wakes too
}

func (w *waiter) close() error {
	return errors.Join(w.file.Close(), opError("close an event descriptor", unix.Close(w.event)))
}
