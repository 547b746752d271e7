// Bench measures the sensor, compared with other programs in the same run, and writes the sections of
// docs/performance.md. All traffic stays on loopback and in network namespaces.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/dnstap-pdns/dnstap-pdns/integration/workload"
)

func main() {
	// The kernel kills receivers when the thread that started them ends (Pdeathsig).
	runtime.LockOSThread()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := bench(ctx, os.Args[1:])
	stop()
	if err != nil {
		fmt.Fprintf(os.Stderr, "bench: %v\n", err)
		os.Exit(1)
	}
}

// A part is what can be measured by itself.
type part struct {
	name    string
	measure func(*run, context.Context, *report) error
}

// parts are all parts, in the order in which they are measured.
var parts = []part{
	{"loads", (*run).loads},
	{"live", (*run).live},
	{"livepackets", (*run).livePackets},
	{"connections", (*run).connections},
	{"stages", (*run).stages},
	{"growth", (*run).growth},
	{"memory", (*run).memory},
	{"sinks", (*run).sinks},
	{"spool", (*run).spool},
	{"ring", (*run).ring},
	{"collection", (*run).collection},
	{"loss", (*run).loss},
	{"ringloss", (*run).ringloss},
	{"resolver", (*run).resolver},
}

func bench(ctx context.Context, args []string) error {
	fs := flag.NewFlagSet("bench", flag.ContinueOnError)
	b := &run{written: map[string]written{}}
	fs.IntVar(&b.frames, "frames", 1_000_000, "frames, half queries and half responses")
	fs.IntVar(&b.runs, "runs", 5, "runs of each receiver; the median is printed")
	fs.StringVar(&b.sensor, "sensor", "", "path of dnstap-pdns; empty: builds ./cmd/dnstap-pdns")
	fs.DurationVar(&b.window, "window", 10*time.Second, "time at each rate of the parts live and livepackets")
	fs.DurationVar(&b.warmUp, "warm-up", time.Second, "time at each rate before it")
	captures := fs.String("captures", "transform/testdata/captures/*-[23].fstrm", "captures from which the frames are made")
	names := fs.String("parts", "", "what is measured, separated by commas; empty: all")
	page := fs.String("write", "", "the page whose sections are replaced; empty: none")
	only := fs.String("sinks", "", "the sinks that the part sinks measures, as the table names them; empty: all")
	if err := fs.Parse(args); err != nil {
		return err
	}
	selected, err := selectNamed(parts, func(p part) string { return p.name }, *names)
	if err != nil {
		return err
	}
	if b.selected, err = selectNamed(sinks, func(s sink) string { return s.name }, *only); err != nil {
		return err
	}
	if err := checkSections(*page, selected); err != nil {
		return err
	}
	if _, err := exec.LookPath("fstrm_capture"); err != nil {
		return fmt.Errorf("%w: apt-get install fstrm-bin", err)
	}
	if b.dir, err = os.MkdirTemp("", "bench"); err != nil {
		return err
	}
	defer os.RemoveAll(b.dir)
	if b.sensor == "" {
		b.sensor = filepath.Join(b.dir, "dnstap-pdns")
		if out, err := exec.CommandContext(ctx, "go", "build", "-o", b.sensor, "./cmd/dnstap-pdns").CombinedOutput(); err != nil {
			return fmt.Errorf("build the sensor: %w\n%s", err, out)
		}
	}
	files, err := filepath.Glob(*captures)
	if err != nil {
		return err
	}
	if b.pairs, err = workload.Pairs(files...); err != nil {
		return err
	}
	for _, p := range selected {
		r := &report{part: p.name, page: *page}
		if err := p.measure(b, ctx, r); err != nil {
			return fmt.Errorf("%s: %w", p.name, err)
		}
		if err := r.finish(); err != nil {
			return err
		}
	}
	return nil
}

// selectNamed returns the elements with these names, which commas separate; empty: all.
func selectNamed[T any](all []T, name func(T) string, names string) (selected []T, err error) {
	if names == "" {
		return all, nil
	}
	for n := range strings.SplitSeq(names, ",") {
		i := slices.IndexFunc(all, func(of T) bool { return name(of) == n })
		if i < 0 {
			return nil, fmt.Errorf("%q is not one of %v", n, all)
		}
		selected = append(selected, all[i])
	}
	return selected, nil
}

// run is a set of measurements.
type run struct {
	dir      string
	sensor   string
	server   string // the submission server; empty: it was not built yet
	pairs    []workload.Pair
	frames   int
	runs     int
	window   time.Duration // at each rate
	warmUp   time.Duration // before it, in which the heap gets its size
	selected []sink
	written  map[string]written // loads, by name
}
