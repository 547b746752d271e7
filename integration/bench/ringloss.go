package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"syscall"
	"time"

	"github.com/dnstap-pdns/dnstap-pdns/integration/workload"
)

// ringTime is how long one rate lasts, unless the load is shorter: the sensor's ring takes the packets
// of half a second.
const ringTime = 4 * time.Second

var packetRates = []int{50_000, 100_000, 200_000, 400_000, topSpeed}

// A capturer is a program that captures the packets at tap.
type capturer struct {
	name    string
	command func(b *run, n *namespace) (*exec.Cmd, error)
	// Its output, when it ends, contains the packets that it has processed or that were dropped.
	taken, dropped string // patterns; one is empty
}

var capturers = []capturer{
	{name: "sensor", command: (*run).ringSensor, taken: ` packets=(\d+)`},
	{name: "tcpdump", command: func(_ *run, n *namespace) (*exec.Cmd, error) {
		return n.command("tcpdump", "-Z", "root", "-i", "tap", "-w", os.DevNull, "port", "53"), nil
	}, taken: `(\d+) packets captured`}, // -Z root: else tcpdump changes the owner of /dev/null
	{name: "dnscap", command: func(_ *run, n *namespace) (*exec.Cmd, error) {
		return n.command("dnscap", "-N", "-i", "tap", "-w", "-", "-S"), nil
	}, dropped: `tap: \d+ recv (\d+) drop`}, // it counts dropped packets as received, too
}

// newCaptureLine returns a namespace in which tcpreplay sends to capturers.
func newCaptureLine(ctx context.Context) (*namespace, error) {
	if err := require("tcpreplay", "tcpdump"); err != nil {
		return nil, err
	}
	return newNamespace(ctx, line)
}

// start starts the capturer, holds it to a quota, and returns when it captures. Its errors go to output.
func (c *capturer) start(b *run, n *namespace, q *quota, output *lockedBuffer) (*receiver, error) {
	cmd, err := c.command(b, n)
	if err != nil {
		return nil, err
	}
	cmd.Stderr = output
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	p := &receiver{cmd}
	if err := errors.Join(n.awaitCapture(), q.hold(cmd.Process)); err != nil {
		p.stop()
		return nil, fmt.Errorf("%w\n%s", err, output.String())
	}
	return p, nil
}

// ringSensor returns the command of a sensor that captures, scrubs, and sends to its standard output.
func (b *run) ringSensor(n *namespace) (*exec.Cmd, error) {
	config := filepath.Join(b.dir, "ringloss.hcl")
	text := tapSource + fmt.Sprintf(`
scrub {
  local_names = [%q]
}
sink "nmsg" "discard" {
  to = "stdout:"
}
`, workload.LocalName)
	return n.command(b.sensor, "run", "-c", config), os.WriteFile(config, []byte(text), 0o644)
}

// ringloss measures how many packets a capture loses, at rising rates.
func (b *run) ringloss(ctx context.Context, r *report) error {
	n, err := newCaptureLine(ctx)
	if err != nil {
		return err
	}
	defer n.end()
	r.printf("The busy load as packets, at a rate, for at most %v: `tcpreplay --preload-pcap` sends them over a pair of virtual interfaces to a "+
		"program that captures them and writes to /dev/null, with the ring of its defaults (sensor 32 MiB, the others 2 MiB). The sensor pairs and scrubs. "+
		"Lost is what the program had not processed when it was idle again.\n", ringTime)
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
	return writeCurves(r, "Loss of captured packets against their rate", "packets/s", packetRates, curves)
}

// captureAt replays the load to a capturer, which it holds to a quota.
func (b *run) captureAt(ctx context.Context, n *namespace, of capturer, q *quota, rate int) (o outcome, err error) {
	file, units, err := b.load(busyPackets)
	if err != nil {
		return o, err
	}
	var output lockedBuffer
	p, err := of.start(b, n, q, &output)
	if err != nil {
		return o, err
	}
	defer p.stop()
	cmd := p.cmd
	speed := "--topspeed"
	if rate != topSpeed {
		speed, units = fmt.Sprintf("--pps=%d", rate), min(units, rate*int(ringTime/time.Second))
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
	sent, err := strconv.Atoi(submatch(`Successful packets:\s+(\d+)`, string(replayed))) // others are longer than the MTU
	if err != nil {
		return o, err
	}
	lost, err := of.lost(sent, output.String())
	if err != nil {
		return o, err
	}
	o.inside = uint64(lostRecords(output.String()))
	o.percent = 100 * float64(lost+2*int(o.inside)) / float64(sent)
	return o, nil
}

// lost returns how many of the packets that were sent are missing in the output of the capturer.
func (c *capturer) lost(sent int, output string) (int, error) {
	n, err := strconv.Atoi(submatch(c.taken+c.dropped, output))
	if err != nil {
		return 0, fmt.Errorf("%w\n%s", err, output)
	}
	if c.dropped != "" {
		return n, nil
	}
	return max(0, sent-n), nil // other packets of the interface are captured, too
}

// awaitIdle returns when a process has used hardly any CPU time for a while.
func awaitIdle(ctx context.Context, pid int) error {
	const quiet = 300 * time.Millisecond
	used := time.Duration(-1)
	for deadline := time.Now().Add(stopTime); time.Now().Before(deadline) && ctx.Err() == nil; time.Sleep(quiet) {
		now, err := cpuTime(pid)
		if err != nil {
			return err
		}
		if used >= 0 && now-used < quiet/50 {
			return nil
		}
		used = now
	}
	return errors.Join(ctx.Err(), fmt.Errorf("process %d was not idle within %v", pid, stopTime))
}
