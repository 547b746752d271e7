package main

import (
	"bufio"
	"cmp"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"time"
)

// A queried resolver gets queries for so many names, all different, at these rates.
const (
	queriedNames  = 300_000
	queriedTime   = 5 * time.Second
	steadyQueries = 10_000 // a second, a third of what two cores reach
)

// queried is what clients got from a resolver.
type queried struct {
	perSecond float64
	lost      int
	latency   float64 // average, seconds
	cpu       time.Duration
	completed int
	read      uint64 // frames that the sensor has read
}

// A listener is what the resolver sends dnstap to.
type listener struct {
	name string
	run  func(b *run, ctx context.Context, work func(socket string) error) (measurement, error)
}

var listeners = []listener{
	{"no dnstap", func(_ *run, _ context.Context, work func(string) error) (measurement, error) {
		return measurement{}, work("")
	}},
	{"fstrm_capture", func(b *run, ctx context.Context, work func(string) error) (measurement, error) {
		cmd, socket := b.captureCommand(ctx)
		return measure(cmd, socket, func() error { return work(socket) })
	}},
	{"sensor", func(b *run, ctx context.Context, work func(string) error) (m measurement, err error) {
		err = b.withSensor(ctx, func(cmd *exec.Cmd, socket string) (err error) {
			m, err = measure(cmd, socket, func() error { return work(socket) })
			return err
		})
		return m, err
	}},
}

// resolver measures what dnstap costs the clients of a resolver: without dnstap, into fstrm_capture and
// into the sensor in turn.
func (b *run) resolver(ctx context.Context, r *report) error {
	if err := require("unbound", "nsd", "dnsperf"); err != nil {
		return err
	}
	n, err := newNamespace(ctx, "")
	if err != nil {
		return err
	}
	defer n.end()
	if err := b.writeQueries(); err != nil {
		return err
	}
	stop, err := b.startServer(n)
	if err != nil {
		return err
	}
	defer stop()
	r.printf("dnsperf queries Unbound (two threads) for %v, and Unbound queries NSD for each name, in a network namespace. Unbound sends "+
		"RESOLVER_QUERY and RESOLVER_RESPONSE over a Unix socket. Median of %d runs, in turn. Client, server, resolver and receiver share the cores.\n", queriedTime, min(b.runs, lossRuns))
	rows := [][]string{{"queries", "dnstap", "queries per second", "lost", "average latency", "CPU of the receiver for a query", "frames per query"}}
	for _, limit := range []int{topSpeed, steadyQueries} {
		results := make([][]queried, len(listeners))
		for range min(b.runs, lossRuns) {
			for i, l := range listeners {
				got, err := b.query(ctx, n, l, limit)
				if err != nil {
					return fmt.Errorf("%s: %w", l.name, err)
				}
				results[i] = append(results[i], got)
			}
		}
		for i, l := range listeners {
			rows = append(rows, medianQueried(results[i]).row(limit, l))
		}
	}
	r.table(rows...)
	return nil
}

func (b *run) queries() string { return filepath.Join(b.dir, "queries") }

func (b *run) writeQueries() error {
	f, err := os.Create(b.queries())
	if err != nil {
		return err
	}
	defer f.Close()
	w := bufio.NewWriter(f)
	for i := range queriedNames {
		fmt.Fprintf(w, "%d.bench.example A\n", i)
	}
	return w.Flush()
}

// query queries a resolver that sends dnstap to a listener. limit is how many queries a second the client
// sends at most.
func (b *run) query(ctx context.Context, n *namespace, l listener, limit int) (got queried, err error) {
	m, err := l.run(b, ctx, func(socket string) error {
		stop, err := b.startUnbound(n, socket)
		if err != nil {
			return err
		}
		defer stop()
		args := []string{"dnsperf", "-d", b.queries(), "-c", "16", "-l", fmt.Sprint(queriedTime.Seconds())}
		if limit != topSpeed {
			args = append(args, "-Q", strconv.Itoa(limit))
		}
		output, err := n.command(args...).CombinedOutput()
		if err == nil {
			got, err = readQueried(string(output))
		}
		if err != nil {
			return fmt.Errorf("dnsperf: %w\n%s", err, output)
		}
		time.Sleep(sendDelay)
		return nil
	})
	if err != nil {
		return got, err
	}
	got.cpu, got.read = m.cpu(), uint64(m.read)
	return got, nil
}

// sendDelay is longer than Unbound keeps dnstap messages, which it loses when it stops.
const sendDelay = 1500 * time.Millisecond

// readQueried reads the output of dnsperf.
func readQueried(output string) (q queried, err error) {
	if q.completed, err = strconv.Atoi(submatch(`Queries completed: +(\d+)`, output)); err != nil {
		return q, err
	}
	if q.lost, err = strconv.Atoi(submatch(`Queries lost: +(\d+)`, output)); err != nil {
		return q, err
	}
	if q.perSecond, err = strconv.ParseFloat(submatch(`Queries per second: +([\d.]+)`, output), 64); err != nil {
		return q, err
	}
	q.latency, err = strconv.ParseFloat(submatch(`Average Latency \(s\): +([\d.]+)`, output), 64)
	return q, err
}

// medianQueried returns the result with the median latency.
func medianQueried(all []queried) queried {
	slices.SortFunc(all, func(a, b queried) int { return cmp.Compare(a.latency, b.latency) })
	return all[len(all)/2]
}

func (q queried) row(limit int, l listener) []string {
	rate, cpu, frames := "as fast as possible", "", ""
	if limit != topSpeed {
		rate = thousands(limit) + " a second"
	}
	if q.cpu > 0 {
		cpu = each(q.cpu, int64(q.completed))
	}
	if q.read > 0 {
		frames = fmt.Sprintf("%.3f", float64(q.read)/float64(q.completed))
	}
	return []string{rate, l.name, thousands(int(q.perSecond)), thousands(q.lost), fmt.Sprintf("%.0f µs", 1e6*q.latency), cpu, frames}
}
