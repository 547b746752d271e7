package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
	"time"
)

// quotaPeriod is shorter than the default of systemd, 100 ms: a process that has used its share stops
// until the period ends, and what arrives until then must fit into buffers.
const quotaPeriod = 10 * time.Millisecond

// A quota is a cgroup whose processes together get a share of one core.
type quota struct{ dir string }

// newQuota makes a cgroup, of version 2 or 1. It needs root and the controller cpu.
func newQuota(percent int) (*quota, error) {
	period := int(quotaPeriod.Microseconds())
	share := period * percent / 100
	const v1, v2 = "/sys/fs/cgroup/cpu", "/sys/fs/cgroup"
	root, values := v2, map[string]string{"cpu.max": fmt.Sprintf("%d %d", share, period)}
	if _, err := os.Stat(filepath.Join(v1, "cpu.cfs_quota_us")); err == nil {
		root, values = v1, map[string]string{"cpu.cfs_period_us": strconv.Itoa(period), "cpu.cfs_quota_us": strconv.Itoa(share)}
	}
	q := &quota{filepath.Join(root, fmt.Sprintf("bench-%d", os.Getpid()))}
	if err := os.Mkdir(q.dir, 0o755); err != nil {
		return nil, fmt.Errorf("make a cgroup: %w", err)
	}
	for name, value := range values {
		if err := os.WriteFile(filepath.Join(q.dir, name), []byte(value), 0); err != nil {
			return nil, errors.Join(fmt.Errorf("set a quota: %w: the cgroup needs the controller cpu", err), q.remove())
		}
	}
	return q, nil
}

// hold moves a process into the cgroup. A nil quota holds nothing.
func (q *quota) hold(p *os.Process) error {
	if q == nil {
		return nil
	}
	return os.WriteFile(filepath.Join(q.dir, "cgroup.procs"), []byte(strconv.Itoa(p.Pid)), 0)
}

// remove removes the cgroup. It waits until the kernel has removed the processes that ended.
func (q *quota) remove() error {
	for deadline := time.Now().Add(stopTime); ; time.Sleep(10 * time.Millisecond) {
		err := os.Remove(q.dir)
		if !errors.Is(err, syscall.EBUSY) || time.Now().After(deadline) {
			return err
		}
	}
}
