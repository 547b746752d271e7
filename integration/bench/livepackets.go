package main

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"time"
)

var livePacketRates = []int{0, 1_000, 10_000, 100_000}

// livePackets measures the share of a core and the wake-ups of tcpdump and of the sensor while packets
// arrive at a rate.
func (b *run) livePackets(ctx context.Context, r *report) error {
	n, err := newCaptureLine(ctx)
	if err != nil {
		return err
	}
	defer n.end()
	r.printf("The busy load as packets, which tcpreplay sends over a pair of virtual interfaces: `tcpdump -w /dev/null` and the sensor, which sends to "+
		"its standard output, in turn, for %v after %v. Packets that they lose are not counted here.\n", b.window, b.warmUp)
	rows := [][]string{{"packets a second", "tcpdump", "sensor", "wake-ups of tcpdump", "wake-ups of the sensor"}}
	var late []string
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
			if a.rate < 0.99*float64(rate) {
				late = append(late, fmt.Sprintf("To %s, only %s of %s packets a second were sent.", of.name, thousands(int(a.rate)), thousands(rate)))
			}
		}
		rows = append(rows, []string{thousands(rate), share["tcpdump"], share["sensor"], wakeUps["tcpdump"], wakeUps["sensor"]})
	}
	r.table(rows...)
	for _, line := range late {
		r.printf("%s\n", line)
	}
	return nil
}

// captureLive sends packets to a capturer for the time of a window.
func (b *run) captureLive(ctx context.Context, n *namespace, of capturer, rate int) (a activity, err error) {
	var send *exec.Cmd
	if rate > 0 {
		file, units, err := b.load(pacedPackets(rate))
		if err != nil {
			return a, err
		}
		send = n.command("tcpreplay", "--intf1=span", fmt.Sprintf("--pps=%d", rate), fmt.Sprintf("--limit=%d", units), file)
	}
	var output lockedBuffer
	p, err := of.start(b, n, nil, &output)
	if err != nil {
		return a, err
	}
	defer p.stop()
	pid := p.cmd.Process.Pid
	if send != nil {
		if err := send.Start(); err != nil {
			return a, err
		}
		defer (&receiver{send}).stop()
	}
	time.Sleep(b.warmUp)
	received, err := n.received("tap")
	if err != nil {
		return a, err
	}
	before, err := readUsage(pid)
	if err != nil {
		return a, err
	}
	time.Sleep(b.window)
	after, err := readUsage(pid)
	if err != nil {
		return a, err
	}
	total, err := n.received("tap")
	a = after.since(before)
	a.rate = float64(total-received) / after.at.Sub(before.at).Seconds()
	return a, errors.Join(err, ctx.Err())
}
