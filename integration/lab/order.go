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

// keepOrder has all that sends in these namespaces, now and later, do so from one
// processor. What one processor sends arrives in that order, as behind a switch; of
// two, the one that is busy shows a query after the response that the other sends.
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
			t.Fatalf("keep to one processor: %v", err)
		}
	}
}

// choose takes one of the processors there are, by a number.
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

// pin moves the threads of all processes that are in a namespace. The test's own is in
// none of them, but for a few threads.
func pin(namespace string, to *unix.CPUSet) error {
	spaces, err := filepath.Glob("/proc/[0-9]*/task/[0-9]*/ns/net")
	if err != nil {
		return err
	}
	for _, path := range spaces {
		if in, err := os.Readlink(path); err != nil || in != namespace {
			continue // it has ended, or is elsewhere
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
