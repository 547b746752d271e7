package lab

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"testing"

	"golang.org/x/sys/unix"
)

// keepOrder pins all threads of these namespaces, present and future, to one processor, so
// that packets arrive in the order in which they were sent, as from a switch. With two
// processors, a query on the busier one may be seen after its response.
func keepOrder(t testing.TB, namespaces ...*Namespace) {
	t.Helper()
	var one unix.CPUSet
	for _, n := range namespaces {
		err := n.do(func() error {
			here, err := os.Readlink("/proc/thread-self/ns/net")
			if err != nil {
				return err
			}
			if one.Count() == 0 {
				if one, err = choose(unix.Gettid()); err != nil {
					return err
				}
			}
			if err := unix.SchedSetaffinity(0, &one); err != nil {
				return err
			}
			return pin(here, &one)
		})
		if err != nil {
			t.Fatalf("pin the namespace to one processor: %v", err)
		}
	}
}

// choose returns one of the available processors: the one at index number, modulo their count.
func choose(number int) (one unix.CPUSet, err error) {
	var all unix.CPUSet
	if err := unix.SchedGetaffinity(0, &all); err != nil {
		return one, err
	}
	skip := number % all.Count()
	for cpu := 0; ; cpu++ {
		if all.IsSet(cpu) {
			if skip == 0 {
				one.Set(cpu)
				return one, nil
			}
			skip--
		}
	}
}

// pin sets the processor of all threads in a namespace, for which namespace is the target of their
// link in /proc. It does not affect the threads of the test process that are in other namespaces.
func pin(namespace string, to *unix.CPUSet) error {
	spaces, err := filepath.Glob("/proc/[0-9]*/task/[0-9]*/ns/net")
	if err != nil {
		return err
	}
	for _, path := range spaces {
		if in, err := os.Readlink(path); err != nil || in != namespace {
			continue // the thread has ended, or is in another namespace
		}
		thread, err := strconv.Atoi(filepath.Base(filepath.Dir(filepath.Dir(path))))
		if err != nil {
			return err
		}
		if err := unix.SchedSetaffinity(thread, to); err != nil && !errors.Is(err, unix.ESRCH) {
			return fmt.Errorf("thread %d: %w", thread, err)
		}
	}
	return nil
}
