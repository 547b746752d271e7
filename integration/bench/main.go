// Bench measures the sensor: its CPU time per frame compared with fstrm_capture writing to
// /dev/null, with the same file over a Unix socket in the same run; its memory with eight
// connections and a full pairing table; the CPU time per record and the throughput of each type of
// sink; the rates and the memory of a spool; packets, from a file and from an interface; and a collection that
// reads from a fake broker of Kafka. All traffic stays on loopback and in a network namespace.
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

	dnstap "github.com/dnstap/golang-dnstap"

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

func bench(ctx context.Context, args []string) error {
	fs := flag.NewFlagSet("bench", flag.ContinueOnError)
	frames := fs.Int("frames", 1_000_000, "frames, half queries and half responses")
	runs := fs.Int("runs", 3, "runs of each receiver; the median is printed")
	captures := fs.String("captures", "transform/testdata/captures/*-[23].fstrm", "captures from which the frames are made")
	sensor := fs.String("sensor", "", "path of dnstap-pdns; empty: builds ./cmd/dnstap-pdns")
	parts := fs.String("parts", "speed,memory,sinks,spool,packets,collection", "what is measured")
	names := fs.String("sinks", "", "the sinks that are measured, as the table names them; empty: all")
	if err := fs.Parse(args); err != nil {
		return err
	}
	selected, err := selectSinks(*names)
	if err != nil {
		return err
	}
	if _, err := exec.LookPath("fstrm_capture"); err != nil {
		return fmt.Errorf("%w: apt-get install fstrm-bin", err)
	}
	dir, err := os.MkdirTemp("", "bench")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	if *sensor == "" {
		*sensor = filepath.Join(dir, "dnstap-pdns")
		if out, err := exec.CommandContext(ctx, "go", "build", "-o", *sensor, "./cmd/dnstap-pdns").CombinedOutput(); err != nil {
			return fmt.Errorf("build the sensor: %w\n%s", err, out)
		}
	}
	b := &run{dir: dir, sensor: *sensor, file: filepath.Join(dir, "frames"), frames: *frames}
	files, err := filepath.Glob(*captures)
	if err != nil {
		return err
	}
	if b.pairs, err = workload.Pairs(files...); err != nil {
		return err
	}
	if err := b.writeSimple(b.file, *frames); err != nil {
		return err
	}
	for part := range strings.SplitSeq(*parts, ",") {
		measure, ok := map[string]func() error{
			"speed":   func() error { return b.speed(ctx, *runs) },
			"memory":  func() error { return b.memory(ctx) },
			"sinks":   func() error { return b.sinks(ctx, selected, *runs) },
			"spool":   func() error { return b.spool(ctx) },
			"packets": func() error { return b.packets(ctx, *runs) },

			"collection": func() error { return b.collection(ctx) },
		}[part]
		if !ok {
			return fmt.Errorf("%q is not a part", part)
		}
		if err := measure(); err != nil {
			return err
		}
	}
	return nil
}

// run is a set of measurements.
type run struct {
	dir    string
	sensor string
	server string // the submission server; empty: it was not built yet
	pairs  []workload.Pair
	file   string // the frames, each after its length
	frames int
}

// writeSimple writes frames of the simple load, each after its length.
func (b *run) writeSimple(file string, frames int) error {
	return workload.WriteFrames(file, func(emit func(*dnstap.Dnstap) error) error {
		return workload.Simple(b.pairs, frames, emit)
	})
}

// speed measures the receivers in turn, so that other load on the machine affects all of them,
// and prints the median of each.
func (b *run) speed(ctx context.Context, runs int) error {
	var capture, wide, narrow []measurement
	for range runs {
		for _, r := range []struct {
			into    *[]measurement
			measure func() (measurement, error)
		}{
			{&capture, func() (measurement, error) { return b.feedCapture(ctx) }},
			{&wide, func() (measurement, error) { return b.feedSensor(ctx, 8192) }},
			{&narrow, func() (measurement, error) { return b.feedSensor(ctx, 1280) }},
		} {
			m, err := r.measure()
			if err != nil {
				return err
			}
			*r.into = append(*r.into, m)
		}
	}
	info, err := os.Stat(b.file)
	if err != nil {
		return err
	}
	base, last := median(capture), median(narrow)
	fmt.Printf("%d frames, %d bytes each on average, median of %d runs (aim: 2.5 times at mtu 8192)\n\n", b.frames, info.Size()/int64(b.frames), runs)
	printHeading()
	base.print("fstrm_capture", base, b.frames)
	median(wide).print("sensor, mtu 8192", base, b.frames)
	last.print("sensor, mtu 1280", base, b.frames)
	fmt.Printf("\n%s", last.ledger)
	return nil
}

func median(all []measurement) measurement {
	slices.SortFunc(all, func(a, b measurement) int { return int(a.cpu() - b.cpu()) })
	return all[len(all)/2]
}
