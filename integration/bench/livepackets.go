package main

import (
	"context"
	"errors"
	"fmt"
	"time"
)

var livePacketRates = []int{0, 1_000, 10_000, 100_000}

// livePackets measures the share of a core and the wake-ups of tcpdump and of the sensor while packets
// arrive at a rate.
func (b *run) livePackets(ctx context.Context, r *report) error {
	if err := require("tcpreplay", "tcpdump"); err != nil {
		return err
	}
	n, err := newNamespace(ctx, line)
	if err != nil {
		return err
	}
	defer n.end()
	r.printf("The busy load as packets, which tcpreplay sends over a pair of virtual interfaces: `tcpdump -w /dev/null` and the sensor, which sends to "+
		"its standard output, in turn, for %v after %v.\n", b.window, b.warmUp)
	rows := [][]string{{"packets a second", "tcpdump", "sensor", "wake-ups of tcpdump", "wake-ups of the sensor"}}
	for _, rate := range livePacketRates {
		share, wakeUps := map[string]string{}, map[string]string{} // by capturer
		for _, of := range capturers {
			if of.name == "dnscap" {
				continue
			}
			a, err := b.captureLive(ctx, n, of, rate)
			if err != nil {
				return fmt.Errorf("%s at %d packets/s: %w", of.name, rate, err)
			}
			share[of.name], wakeUps[of.name] = percent(a.share), thousands(int(a.wakeUps))
		}
		rows = append(rows, []string{thousands(rate), share["tcpdump"], share["sensor"], wakeUps["tcpdump"], wakeUps["sensor"]})
	}
	r.table(rows...)
	return nil
}

// captureLive sends packets to a capturer for the time of a window.
func (b *run) captureLive(ctx context.Context, n *namespace, of capturer, rate int) (a activity, err error) {
	cmd, err := of.command(b, n)
	if err != nil {
		return a, err
	}
	var output lockedBuffer
	cmd.Stderr = &output
	if err := cmd.Start(); err != nil {
		return a, err
	}
	defer (&receiver{cmd}).stop()
	if err := n.awaitCapture(); err != nil {
		return a, fmt.Errorf("%w\n%s", err, output.String())
	}
	if rate > 0 {
		file, units, err := b.load(pacedPackets(rate))
		if err != nil {
			return a, err
		}
		sender := &receiver{n.command("tcpreplay", "--intf1=span", fmt.Sprintf("--pps=%d", rate), fmt.Sprintf("--limit=%d", units), file)}
		if err := sender.cmd.Start(); err != nil {
			return a, err
		}
		defer sender.stop()
	}
	time.Sleep(b.warmUp)
	before, err := readUsage(cmd.Process.Pid)
	if err != nil {
		return a, err
	}
	time.Sleep(b.window)
	after, err := readUsage(cmd.Process.Pid)
	return after.since(before), errors.Join(err, ctx.Err())
}
