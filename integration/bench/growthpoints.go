package main

import (
	"bufio"
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"

	dnstap "github.com/dnstap/golang-dnstap"

	"github.com/dnstap-pdns/dnstap-pdns/integration/workload"
)

// growths are all growths, each with its points. The points of a line of the plot are adjacent.
var growths = []growth{
	{"connections", true, (*run).connectionPoints},
	{"pending queries", true, (*run).pendingPoints},
	{"local names", true, (*run).namePoints},
	{"sinks", false, (*run).sinkPoints},
}

const usuallyPending = 30_000 // as in the busy load

// connectionPoints have the same load, a share of it over each connection.
func (b *run) connectionPoints() (points []point, err error) {
	for _, n := range []int{1, 4, 16, 64} {
		p, err := b.pointOf(usuallyPending, n)
		if err != nil {
			return nil, err
		}
		p.at = n
		points = append(points, p)
	}
	return points, nil
}

func (b *run) pendingPoints() (points []point, err error) {
	for _, n := range []int{1_000, 10_000, 100_000, 1_000_000} {
		p, err := b.pointOf(n, 1)
		if err != nil {
			return nil, err
		}
		p.at, p.room = n, max(p.room, 2*n)
		points = append(points, p)
	}
	return points, nil
}

func (b *run) namePoints() (points []point, err error) {
	for _, n := range []int{10, 1_000, 100_000, 1_000_000} {
		p, err := b.pointOf(usuallyPending, 1)
		if err != nil {
			return nil, err
		}
		p.at, p.names = n, filepath.Join(b.dir, fmt.Sprintf("names-%d", n))
		if err := writeNames(p.names, n); err != nil {
			return nil, err
		}
		points = append(points, p)
	}
	return points, nil
}

// sinkPoints have sinks with one format, and with formats that all differ.
func (b *run) sinkPoints() (points []point, err error) {
	for _, line := range []string{"one format", "all different"} {
		for _, n := range []int{1, 2, 4, 8} {
			p, err := b.pointOf(usuallyPending, 1)
			if err != nil {
				return nil, err
			}
			p.at, p.line, p.sinks = n, line, nil
			for i := range n {
				if line == "one format" {
					i = 0
				}
				p.sinks = append(p.sinks, format(i))
			}
			points = append(points, p)
		}
	}
	return points, nil
}

// format returns the attributes of the format with a number.
func format(i int) string {
	messages := []string{"dnsqr", "dnsobs", "dnstap"}
	return fmt.Sprintf("message = %q\npolicy {\ntime_resolution = \"%ds\"\n}", messages[i%len(messages)], 1+i/len(messages))
}

// pointOf returns a point with a number of pending queries and connections, with the local name of
// the load and one sink. Its files are written at first use.
func (b *run) pointOf(pending, connections int) (point, error) {
	p := point{room: tableDefault, sinks: []string{format(0)}, frames: b.frames, names: filepath.Join(b.dir, "names")}
	if err := writeNames(p.names, 1); err != nil {
		return p, err
	}
	for i := range connections {
		during := filepath.Join(b.dir, fmt.Sprintf("growth-%d-%d", connections, i))
		p.before, p.during = append(p.before, fmt.Sprintf("%s-%d", during, pending)), append(p.during, during)
	}
	if _, err := os.Stat(p.before[0]); err == nil {
		return p, nil
	}
	l, err := workload.NewPending(b.pairs, pending, b.frames)
	if err != nil {
		return p, err
	}
	return p, writeEach(slices.Concat(p.before, p.during), nil, func(emit []emitter) error {
		n := 0
		return l.Frames(func(d *dnstap.Dnstap) error {
			to := connectionOf(d, connections)
			if n++; n > pending {
				to += connections
			}
			return emit[to](d)
		})
	})
}

type emitter func(*dnstap.Dnstap) error

// writeEach opens all files before it calls produce with the emitters of those.
func writeEach(files []string, opened []emitter, produce func([]emitter) error) error {
	if len(files) == 0 {
		return produce(opened)
	}
	return workload.WriteFrames(files[0], func(emit func(*dnstap.Dnstap) error) error {
		return writeEach(files[1:], append(opened, emit), produce)
	})
}

// connectionOf returns the connection of a frame: one for both frames of a transaction.
func connectionOf(d *dnstap.Dnstap, connections int) int {
	wire := d.Message.QueryMessage
	if wire == nil {
		wire = d.Message.ResponseMessage
	}
	h := fnv.New32a()
	h.Write(d.Message.ResponseAddress)
	h.Write(wire[:2]) // the DNS ID
	return int(h.Sum32() % uint32(connections))
}

// writeNames writes a file of n local names: that of the load, and others that do not occur in it.
func writeNames(file string, n int) error {
	f, err := os.Create(file)
	if err != nil {
		return err
	}
	defer f.Close()
	w := bufio.NewWriter(f)
	fmt.Fprintln(w, workload.LocalName)
	random := rand.New(rand.NewPCG(1, 1))
	for range n - 1 {
		label := make([]byte, 6+random.IntN(9))
		for i := range label {
			label[i] = 'a' + byte(random.IntN(26))
		}
		fmt.Fprintf(w, "%s.test\n", label)
	}
	if err := w.Flush(); err != nil {
		return err
	}
	return f.Close()
}
