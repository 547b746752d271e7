package spool

import (
	"os"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// A clock measures the age of containers. It is the kernel's time since the boot, which no
// change of the wall clock affects and which continues while the machine sleeps.
type clock struct {
	boot string // identifies the boot; empty: unknown
	now  func() time.Duration
}

// A moment is a time of a clock, and of the wall clock.
type moment struct {
	Boot  string
	Clock time.Duration
	Wall  time.Time
}

func bootClock() clock {
	boot, _ := os.ReadFile("/proc/sys/kernel/random/boot_id") // without it, after returns what the wall clock measures
	return clock{strings.TrimSpace(string(boot)), sinceBoot}
}

func sinceBoot() time.Duration {
	var t unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_BOOTTIME, &t); err != nil {
		return 0 // impossible: Linux has it since 2.6.39
	}
	return time.Duration(t.Nano())
}

func (c clock) moment() moment { return moment{c.boot, c.now(), time.Now()} }

// offset returns what must be added to the times of m's clock to get those of c. After
// another boot only the wall clock knows how long the machine was off; if it was set back
// meanwhile, no time has passed.
func (c clock) offset(m *moment) time.Duration {
	if c.boot != "" && c.boot == m.Boot {
		return 0
	}
	off := max(time.Since(m.Wall), 0)
	return c.now() - m.Clock - off
}
