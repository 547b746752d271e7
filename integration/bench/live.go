package main

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"

	"github.com/dnstap-pdns/dnstap-pdns/integration/plot"
	"github.com/dnstap-pdns/dnstap-pdns/integration/workload"
)

// A liveLoad is a rate in frames a second, as a resolver writes it.
type liveLoad struct {
	rate int
	as   writing
	aim  string // the sensor's share of a core
}

func liveLoads() (all []liveLoad) {
	all = append(all, liveLoad{as: writing{name: "none, connected"}})
	for _, as := range writings {
		all = append(all, liveLoad{1_000, as, "0.5 %"}, liveLoad{10_000, as, ""}, liveLoad{100_000, as, "15 %"})
	}
	return all
}

// activity is what a receiver does under a load.
type activity struct{ rate, share, wakeUps float64 } // frames a second, CPU seconds a second, a second

// live measures the share of a core and the wake-ups of fstrm_capture and of the sensor while frames
// arrive at a rate.
func (b *run) live(ctx context.Context, r *report) error {
	r.printf("The busy load over one Unix socket at a rate, and with as many pending queries as a resolver has at that rate (%s at 100,000 frames a second), for %v after %v of it. "+
		"Share of one core (user and system) and wake-ups (voluntary context switches of all threads) a second: "+
		"`fstrm_capture -w /dev/null` and the sensor (dnsqr over UDP to loopback, mtu 8192) in turn. "+
		"As Unbound: 32 frames in a row, each by its own write. As BIND: about 8 KiB by one write.\n",
		thousands(workload.Pending(100_000)), b.window, b.warmUp)
	rows := [][]string{{"frames a second", "written as", "fstrm_capture", "sensor", "aim", "wake-ups of fstrm_capture", "wake-ups of the sensor"}}
	var late []string
	share, wakeUps := newLivePanel("share of one core, %"), newLivePanel("wake-ups a second")
	for _, l := range liveLoads() {
		capture, sensor, err := b.paceBoth(ctx, l)
		if err != nil {
			return err
		}
		rows = append(rows, []string{thousands(l.rate), l.as.name, percent(capture.share), percent(sensor.share), l.aim,
			thousands(int(capture.wakeUps)), thousands(int(sensor.wakeUps))})
		if l.rate > 0 { // a logarithmic axis has no 0
			share.add(l, 100*sensor.share, 100*capture.share)
			wakeUps.add(l, sensor.wakeUps, capture.wakeUps)
		}
		if least := min(capture.rate, sensor.rate); least < 0.99*float64(l.rate) {
			late = append(late, fmt.Sprintf("As %s, only %s of %s frames a second were written.", l.as.name, thousands(int(least)), thousands(l.rate)))
		}
	}
	r.table(rows...)
	for _, line := range late {
		r.printf("%s\n", line)
	}
	return r.plot("share of one core and wake-ups at a rate", share.Panel, wakeUps.Panel)
}

// A livePanel has two lines for each writing.
type livePanel struct{ plot.Panel }

func newLivePanel(title string) *livePanel {
	return &livePanel{plot.Panel{Title: title, X: plot.Axis{Name: "frames a second", Log: true}, Y: plot.Axis{Log: true}}}
}

// add adds a point to both lines of a load's writing.
func (p *livePanel) add(l liveLoad, sensor, capture float64) {
	const least = 0.01 // a logarithmic axis has no 0
	p.point("sensor, as "+l.as.name, plot.Point{X: float64(l.rate), Y: max(sensor, least)})
	p.point("fstrm_capture, as "+l.as.name, plot.Point{X: float64(l.rate), Y: max(capture, least)})
}

func (p *livePanel) point(name string, at plot.Point) {
	for i := range p.Lines {
		if p.Lines[i].Name == name {
			p.Lines[i].Points = append(p.Lines[i].Points, at)
			return
		}
	}
	p.Lines = append(p.Lines, plot.Line{Name: name, Points: []plot.Point{at}})
}

// paceBoth sends a load to fstrm_capture and to the sensor.
func (b *run) paceBoth(ctx context.Context, l liveLoad) (capture, sensor activity, err error) {
	cmd, socket := b.captureCommand(ctx)
	if capture, err = b.pace(ctx, cmd, socket, l); err != nil {
		return capture, sensor, err
	}
	err = b.withSensor(ctx, func(cmd *exec.Cmd, socket string) (err error) {
		sensor, err = b.pace(ctx, cmd, socket, l)
		return err
	})
	return capture, sensor, err
}

// pace sends a load to a receiver. It first sends the queries that are pending, as fast as possible.
func (b *run) pace(ctx context.Context, cmd *exec.Cmd, socket string, l liveLoad) (a activity, err error) {
	file, _, err := b.load(paced(max(l.rate, 1)))
	if err != nil {
		return a, err
	}
	f, err := os.Open(file)
	if err != nil {
		return a, err
	}
	defer f.Close()
	_, err = measure(cmd, socket, func() error {
		c, err := connect(ctx, socket)
		if err != nil {
			return err
		}
		defer c.conn.Close()
		p := pacer{writing: l.as, from: bufio.NewReaderSize(f, 1<<20), to: c.conn}
		if l.rate > 0 {
			if err := p.skip(workload.Pending(l.rate)); err != nil {
				return err
			}
		}
		if _, err := p.send(l.rate, b.warmUp); err != nil {
			return err
		}
		before, err := readUsage(cmd.Process.Pid)
		if err != nil {
			return err
		}
		frames, err := p.send(l.rate, b.window)
		if err != nil {
			return err
		}
		after, err := readUsage(cmd.Process.Pid)
		if err != nil {
			return err
		}
		a = after.since(before)
		a.rate = float64(frames) / after.at.Sub(before.at).Seconds()
		return c.w.Close()
	})
	return a, err
}
