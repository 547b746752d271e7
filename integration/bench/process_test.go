package main

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"syscall"
	"testing"
	"time"
)

// TestCPUTimeIsThatOfGetrusage reads the CPU time of this process before and after work, also with
// getrusage. The work ends by CPU time, so that the duration does not matter.
func TestCPUTimeIsThatOfGetrusage(t *testing.T) {
	const work, tick = 50 * time.Millisecond, 10 * time.Millisecond // getrusage may count other threads late
	low := ownTime(t)
	before, err := readUsage(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	if high := ownTime(t); before.cpu < low-tick || before.cpu > high+tick {
		t.Errorf("CPU time %v, getrusage says %v before and %v after", before.cpu, low, high)
	}
	for ownTime(t)-low < work {
	}
	after, err := readUsage(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	if used := after.cpu - before.cpu; used < work/2 {
		t.Errorf("%v used by a process that worked for %v", used, work)
	}
}

func ownTime(t *testing.T) time.Duration {
	t.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		t.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// awaitSleep returns when a process waits.
func awaitSleep(t *testing.T, pid int) {
	t.Helper()
	for {
		stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
		if err != nil {
			t.Fatal(err)
		}
		if bytes.Contains(stat, []byte(") S ")) {
			return
		}
		runtime.Gosched()
	}
}

// TestWakeUpsAreCounted lets another process wait, and wakes it.
func TestWakeUpsAreCounted(t *testing.T) {
	cmd := exec.Command("cat")
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	wake := func() {
		awaitSleep(t, cmd.Process.Pid)
		if _, err := in.Write([]byte("x")); err != nil {
			t.Fatal(err)
		}
		if _, err := out.Read(make([]byte, 1)); err != nil {
			t.Fatal(err)
		}
	}
	wake()
	before, err := readUsage(cmd.Process.Pid)
	if err != nil {
		t.Fatal(err)
	}
	const wakes = 20
	for range wakes {
		wake()
	}
	after, err := readUsage(cmd.Process.Pid)
	if err != nil {
		t.Fatal(err)
	}
	// The kernel may count the last wait later, and cat may wait for its output too.
	if n := after.wakeUps - before.wakeUps; n < wakes-1 || n > 3*wakes {
		t.Errorf("%d wake-ups by %d writes", n, wakes)
	}
	if rss := peakRSS(cmd.Process.Pid); rss < 100<<10 || rss > 100<<20 {
		t.Errorf("peak RSS of cat: %d bytes", rss)
	}
	in.Close()
	if err := cmd.Wait(); err != nil {
		t.Fatal(err)
	}
	if _, err := readUsage(cmd.Process.Pid); err == nil {
		t.Error("no error for a process that has ended")
	}
}
