package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/dnstap-pdns/dnstap-pdns/integration/workload"
)

// packetRates are the rates of tcpreplay in packets a second. 0: as fast as it can.
var packetRates = []int{50_000, 100_000, 200_000, 400_000, 0}

// A capturer is a program that captures the packets at tap.
type capturer struct {
	name    string
	command func(b *run, n *namespace) (*exec.Cmd, error)
	taken   string // pattern of the packets that it has processed, in its output when it ends
}

var capturers = []capturer{
	{"sensor", (*run).ringSensor, ` packets=(\d+)`},
	{"tcpdump", func(_ *run, n *namespace) (*exec.Cmd, error) {
		return n.command("tcpdump", "-i", "tap", "-w", os.DevNull, "port", "53"), nil
	}, `(\d+) packets captured`},
	{"dnscap", func(_ *run, n *namespace) (*exec.Cmd, error) {
		return n.command("dnscap", "-N", "-i", "tap", "-w", "-", "-S"), nil
	}, `tap: (\d+) recv`},
}

// ringSensor returns the command of a sensor that captures, scrubs, and sends to its standard output.
func (b *run) ringSensor(n *namespace) (*exec.Cmd, error) {
	config := filepath.Join(b.dir, "ringloss.hcl")
	text := fmt.Sprintf(`
source "pcap" "bench" {
  interface   = "tap"
  resolvers   = ["%s", "%s"]
  promiscuous = true
}
scrub {
  local_names = [%q]
}
admin {
  listen = ""
}
sink "nmsg" "discard" {
  to = "stdout:"
}
`, workload.Resolver4, workload.Resolver6, workload.LocalName)
	return n.command(b.sensor, "run", "-c", config), os.WriteFile(config, []byte(text), 0o644)
}

// ringloss measures how many packets a capture loses, at rising rates.
func (b *run) ringloss(ctx context.Context, r *report) error {
	if err := require("tcpreplay", "tcpdump"); err != nil {
		return err
	}
	n, err := newNamespace(ctx, line)
	if err != nil {
		return err
	}
	defer n.end()
	r.printf("The busy load as packets, at a rate, for at most %v: `tcpreplay --preload-pcap` sends them over a pair of virtual interfaces to a "+
		"program that captures them and writes to /dev/null, with the ring of its defaults (sensor 32 MiB, the others 2 MiB). The sensor pairs and scrubs. "+
		"Lost is what the program had not processed when it was idle again. The last rate is what tcpreplay reached.\n", lossTime)
	measured := capturers
	if err := require("dnscap"); err != nil {
		r.printf("Without dnscap: %v.\n", err)
		measured = slices.DeleteFunc(slices.Clone(capturers), func(c capturer) bool { return c.name == "dnscap" })
	}
	var curves []curve
	err = eachLimit(r, func(q *quota) error {
		for _, of := range measured {
			c := curve{receiver: of.name, held: q != nil}
			for _, rate := range packetRates {
				o, err := b.captureAt(ctx, n, of, q, rate)
				if err != nil {
					return fmt.Errorf("%s at %d packets/s: %w", of.name, rate, err)
				}
				c.outcomes = append(c.outcomes, o)
			}
			curves = append(curves, c)
		}
		return nil
	})
	if err != nil {
		return err
	}
	rates := []string{}
	for i, rate := range packetRates {
		text := strconv.Itoa(rate)
		if rate == 0 {
			text = reached(curves, i)
		}
		rates = append(rates, text)
	}
	return writeCurves(r, "Loss of captured packets against their rate", "packets/s", rates, curves)
}

// reached returns the lowest and the highest rate of a row.
func reached(curves []curve, row int) string {
	low, high := math.Inf(1), 0.0
	for _, c := range curves {
		low, high = min(low, c.outcomes[row].rate), max(high, c.outcomes[row].rate)
	}
	return fmt.Sprintf("%.0f to %.0f", low, high)
}

// captureAt replays the load to a capturer, which it holds to a quota.
func (b *run) captureAt(ctx context.Context, n *namespace, of capturer, q *quota, rate int) (o outcome, err error) {
	file, units, err := b.load(busyPackets)
	if err != nil {
		return o, err
	}
	cmd, err := of.command(b, n)
	if err != nil {
		return o, err
	}
	var output lockedBuffer
	cmd.Stderr = &output
	p := &receiver{cmd}
	if err := cmd.Start(); err != nil {
		return o, err
	}
	defer p.stop()
	if err := errors.Join(n.awaitCapture(), q.hold(cmd.Process)); err != nil {
		return o, fmt.Errorf("%w\n%s", err, output.String())
	}
	speed := "--topspeed"
	if rate > 0 {
		speed, units = fmt.Sprintf("--pps=%d", rate), min(units, rate*int(lossTime/time.Second))
	}
	replayed, err := n.command("tcpreplay", "--preload-pcap", "--intf1=span", speed, fmt.Sprintf("--limit=%d", units), file).CombinedOutput()
	if err != nil {
		return o, fmt.Errorf("tcpreplay: %w\n%s", err, replayed)
	}
	if err := awaitIdle(ctx, cmd.Process.Pid); err != nil {
		return o, err
	}
	cmd.Process.Signal(syscall.SIGTERM)
	if err := cmd.Wait(); err != nil {
		return o, fmt.Errorf("%w\n%s", err, output.String())
	}
	if o.rate, err = strconv.ParseFloat(submatch(`([\d.]+) pps`, string(replayed)), 64); err != nil {
		return o, err
	}
	taken, err := strconv.Atoi(submatch(of.taken, output.String()))
	if err != nil {
		return o, fmt.Errorf("%w\n%s", err, output.String())
	}
	if o.inside, err = countLost(output.String()); err != nil {
		return o, err
	}
	lost := max(0, units-taken) + 2*int(o.inside)
	o.percent = 100 * float64(lost) / float64(units)
	return o, nil
}

// awaitIdle returns when a process has used no CPU time for a while.
func awaitIdle(ctx context.Context, pid int) error {
	const quiet = 300 * time.Millisecond
	used := -1
	for deadline := time.Now().Add(stopTime); time.Now().Before(deadline) && ctx.Err() == nil; time.Sleep(quiet) {
		now, err := cpuTicks(pid)
		if err != nil {
			return err
		}
		if now <= used+1 { // a sensor that is idle still looks at its counters
			return nil
		}
		used = now
	}
	return errors.Join(ctx.Err(), fmt.Errorf("process %d was not idle within %v", pid, stopTime))
}

// cpuTicks returns the CPU time of a process in ticks of 10 ms (proc_pid_stat(5): utime, stime).
func cpuTicks(pid int) (int, error) {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, err
	}
	fields := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:]))
	user, err := strconv.Atoi(fields[11])
	if err != nil {
		return 0, err
	}
	system, err := strconv.Atoi(fields[12])
	return user + system, err
}
