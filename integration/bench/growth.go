package main

import (
	"cmp"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"time"

	"github.com/dnstap-pdns/dnstap-pdns/integration/plot"
)

// A growth is an attribute of a sensor or of its load, whose effect is measured.
type growth struct {
	name   string // of the attribute
	log    bool   // axis
	points func(b *run) ([]point, error)
}

// A point is a value of the attribute: a sensor, and what is sent to it.
type point struct {
	line           string // of the plot; empty: there is one
	at             int
	names          string   // scrub.local_names_file; empty: none
	room           int      // pairing.max_queries
	sinks          []string // attributes of the format of each
	before, during []string // files for each connection; only during is measured
	frames         int      // in during
}

// A cost is what a point costs.
type cost struct {
	start time.Duration // CPU time until the sensor listens
	each  time.Duration // CPU time of a frame
	rss   int64
}

// growth measures the CPU time of a frame of the busy load, and the memory, against each attribute.
func (b *run) growth(ctx context.Context, r *report) error {
	r.printf("CPU time of the whole process for a frame of the busy load over a Unix socket, after the queries that are pending, until the sensor is idle. %d frames, median of %d runs.\n", b.frames, b.runs)
	var panels []plot.Panel
	for _, g := range growths {
		points, err := g.points(b)
		if err != nil {
			return fmt.Errorf("%s: %w", g.name, err)
		}
		costs := make([][]cost, len(points))
		for range b.runs {
			for i, p := range points {
				c, err := b.cost(ctx, p)
				if err != nil {
					return fmt.Errorf("%d %s: %w", p.at, g.name, err)
				}
				costs[i] = append(costs[i], c)
			}
		}
		panels = append(panels, g.report(r, points, costs))
	}
	return r.plot("CPU time of a frame against connections, pending queries, local names and sinks", panels...)
}

// report adds a table, and returns a panel.
func (g *growth) report(r *report, points []point, costs [][]cost) plot.Panel {
	panel := plot.Panel{Title: "CPU time of a frame, ns", X: plot.Axis{Name: g.name, Log: g.log}}
	rows := [][]string{{g.name, "CPU of a frame", "times the first", "CPU of the start", "peak RSS"}}
	var first cost
	for i, p := range points {
		slices.SortFunc(costs[i], func(a, b cost) int { return cmp.Compare(a.each, b.each) })
		c := costs[i][len(costs[i])/2]
		if i == 0 {
			first = c
		}
		name := fmt.Sprint(p.at)
		if p.line != "" {
			name += ", " + p.line
		}
		rows = append(rows, []string{name, each(c.each, 1),
			times(c.each, first.each), fmt.Sprintf("%.2f s", c.start.Seconds()), inMiB(c.rss)})
		line, n := cmp.Or(p.line, "busy load"), len(panel.Lines)
		if n == 0 || panel.Lines[n-1].Name != line {
			panel.Lines = append(panel.Lines, plot.Line{Name: line})
			n++
		}
		l := &panel.Lines[n-1]
		l.Points = append(l.Points, plot.Point{X: float64(p.at), Y: float64(c.each.Nanoseconds())})
	}
	r.table(rows...)
	return panel
}

// cost measures a point once.
func (b *run) cost(ctx context.Context, p point) (c cost, err error) {
	config, socket, stop, err := b.configurePoint(p)
	if err != nil {
		return c, err
	}
	defer stop()
	cmd := exec.CommandContext(ctx, b.sensor, "run", "-c", config)
	m, err := measure(cmd, socket, func() error {
		open, err := connectAll(ctx, socket, len(p.during))
		defer closeAll(open)
		if err != nil {
			return err
		}
		pid := cmd.Process.Pid
		if c.start, err = idleCPU(pid); err != nil {
			return err
		}
		if err := together(open, func(i int, c *connection) error { return c.send(p.before[i]) }); err != nil {
			return err
		}
		before, err := idleCPU(pid)
		if err != nil {
			return err
		}
		if err := together(open, func(i int, c *connection) error { return c.send(p.during[i]) }); err != nil {
			return err
		}
		after, err := idleCPU(pid)
		if err != nil {
			return err
		}
		c.each = (after - before) / time.Duration(p.frames)
		return together(open, func(_ int, c *connection) error { return c.w.Close() })
	})
	c.rss = m.rss
	return c, err
}

// configurePoint writes the configuration of a point, and starts a receiver for each of its sinks.
func (b *run) configurePoint(p point) (config, socket string, stop func(), err error) {
	var receivers []*discard
	stop = func() {
		for _, d := range receivers {
			d.close()
		}
	}
	socket, config = filepath.Join(b.dir, "sensor.sock"), filepath.Join(b.dir, "growth.hcl")
	text := fmt.Sprintf(`
source "dnstap" "bench" {
  listen = "unix://%s"
}
scrub {
  local_names      = []
  local_names_file = %q
}
pairing {
  max_queries = %d
}
admin {
  listen = ""
}
`, socket, p.names, p.room)
	for i, format := range p.sinks {
		d, err := newDiscard()
		if err != nil {
			stop()
			return "", "", nil, err
		}
		receivers = append(receivers, d)
		text += fmt.Sprintf("sink \"nmsg\" \"bench-%d\" {\nto = \"udp://%s\"\nmtu = 8192\n%s\n}\n", i, d.addr(), format)
	}
	return config, socket, stop, os.WriteFile(config, []byte(text), 0o644)
}

// idleCPU waits until a process is idle, and returns the CPU time that it has used. Idle is less than
// 1 % of a core, which timers need.
func idleCPU(pid int) (used time.Duration, err error) {
	const look = 100 * time.Millisecond
	for deadline := time.Now().Add(feedTime); time.Now().Before(deadline); time.Sleep(look) {
		before := used
		if used, err = cpuTime(pid); err != nil || used-before < look/100 {
			return used, err
		}
	}
	return 0, fmt.Errorf("process %d is busy for more than %v", pid, feedTime)
}
