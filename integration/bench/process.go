package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// usage contains what a running process has used since its start.
type usage struct {
	at      time.Time
	cpu     time.Duration // user and system
	wakeUps int64         // voluntary context switches of all threads
}

// readUsage reads the usage of a running process.
func readUsage(pid int) (u usage, err error) {
	if u.wakeUps, err = wakeUps(pid); err != nil {
		return u, err
	}
	u.cpu, err = cpuTime(pid)
	u.at = time.Now()
	return u, err
}

// since returns what a process did between two readings, without the rate of frames.
func (u usage) since(before usage) activity {
	seconds := u.at.Sub(before.at).Seconds()
	return activity{share: (u.cpu - before.cpu).Seconds() / seconds, wakeUps: float64(u.wakeUps-before.wakeUps) / seconds}
}

// cpuTime returns the CPU time of a running process, from its CPU clock (clock_getcpuclockid(3)):
// /proc/PID/stat has the same sum, but in steps of 10 ms.
func cpuTime(pid int) (time.Duration, error) {
	const cpuclockSched = 2
	var t unix.Timespec
	if err := unix.ClockGettime(int32(^pid<<3|cpuclockSched), &t); err != nil {
		return 0, fmt.Errorf("read the CPU clock of process %d: %w", pid, err)
	}
	return time.Duration(t.Nano()), nil
}

// wakeUps returns the voluntary context switches of all threads of a running process. A thread makes
// one when it waits, so this is also how often a thread was woken.
func wakeUps(pid int) (n int64, err error) {
	threads, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/status", pid))
	if err != nil {
		return 0, err
	}
	for _, t := range threads {
		status, err := os.ReadFile(t)
		if err != nil {
			continue // the thread has ended
		}
		n += field(string(status), "voluntary_ctxt_switches:")
	}
	if len(threads) == 0 {
		return 0, fmt.Errorf("process %d has ended", pid)
	}
	return n, nil
}

// peakRSS returns VmHWM of a running process in bytes, or 0 if it has ended.
func peakRSS(pid int) int64 {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0
	}
	return field(string(status), "VmHWM:") << 10
}

// field returns the number after a name in a file of /proc.
func field(status, name string) (n int64) {
	for line := range strings.Lines(status) {
		if rest, ok := strings.CutPrefix(line, name); ok {
			fmt.Sscan(rest, &n)
		}
	}
	return n
}
