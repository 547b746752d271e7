package main

import (
	"context"
	"fmt"
	"os/exec"
	"strconv"
	"strings"
)

// A stage is a row of the table of stages, and the metric of BenchmarkStages from which it is made.
type stage struct{ metric, does string }

var (
	frameStages = []stage{
		{"framing-ns", "frames of the stream"},
		{"decoding-ns", "+ decoding dnstap"},
		{"parsing-ns", "+ parsing DNS"},
		{"pairing-ns", "+ pairing"},
		{"judging-ns", "+ judging: local names, addresses"},
		{"scrubbing-ns", "+ scrubbing: making the record"},
		{"encoding-ns", "+ encoding as dnsqr"},
		{"sending-ns", "+ batches, sending over UDP"},
	}
	packetStages = []stage{
		{"decoding-ns", "reading the file, IP, UDP"},
		{"parsing-ns", "+ parsing DNS"},
		{"pairing-ns", "+ pairing"},
		{"scrubbing-ns", "+ judging, scrubbing"},
		{"encoding-ns", "+ encoding as dnsqr"},
		{"sending-ns", "+ batches, sending over UDP"},
	}
)

// The packages with a BenchmarkStages. The second one measures only what the first cannot separate:
// judging without scrubbing.
const (
	pathStages      = "./cmd/dnstap-pdns/internal/sensor"
	transformStages = "./transform"
)

// A round is short and there are many, because the differences of stages are small.
const (
	stageFrames  = 200_000 // at most
	roundsPerRun = 5
)

// stages measures the cost of each stage by ablation.
func (b *run) stages(ctx context.Context, r *report) error {
	path, err := b.benchStages(ctx, pathStages)
	if err != nil {
		return err
	}
	inTransform, err := b.benchStages(ctx, transformStages)
	if err != nil {
		return err
	}
	for load, in := range inTransform {
		if path[load] == nil || in["judging-ns"] == 0 || in["scrubbing-ns"] == 0 {
			return fmt.Errorf("BenchmarkStages does not report the load %s, or judging and scrubbing", load)
		}
		path[load]["judging-ns"] = path[load]["scrubbing-ns"] - (in["scrubbing-ns"] - in["judging-ns"])
	}
	r.printf("%d frames or packets of each load, in memory, in one process. Every round runs the path up to each stage; the times are CPU time of the process for a frame or packet, medians of %d rounds.\n", min(b.frames, stageFrames), roundsPerRun*b.runs)
	for _, t := range []struct {
		unit, suffix string
		stages       []stage
	}{{"frame", "", frameStages}, {"packet", "Packets", packetStages}} {
		rows := [][]string{{"a " + t.unit, "simple: up to here", "this stage", "share", "busy: up to here", "this stage", "share"}}
		for i, s := range t.stages {
			row := []string{s.does}
			for _, load := range []string{"simple", "busy"} {
				cells, err := stageCells(path[load+t.suffix], t.stages, i)
				if err != nil {
					return fmt.Errorf("%s%s: %w", load, t.suffix, err)
				}
				row = append(row, cells...)
			}
			rows = append(rows, row)
		}
		r.table(rows...)
	}
	return nil
}

// stageCells returns the time up to a stage, that of the stage, and its share of the whole path.
func stageCells(times map[string]float64, stages []stage, i int) ([]string, error) {
	for _, s := range stages {
		if times[s.metric] == 0 {
			return nil, fmt.Errorf("BenchmarkStages does not report %s", s.metric)
		}
	}
	upTo, before := times[stages[i].metric], 0.0
	if i > 0 {
		before = times[stages[i-1].metric]
	}
	whole := times[stages[len(stages)-1].metric]
	return []string{fmt.Sprintf("%.0f ns", upTo), fmt.Sprintf("%.0f ns", upTo-before), fmt.Sprintf("%.0f %%", 100*(upTo-before)/whole)}, nil
}

// benchStages runs the BenchmarkStages of a package, compiled with the profile of the command, and
// returns its metrics by load.
func (b *run) benchStages(ctx context.Context, pkg string) (byLoad map[string]map[string]float64, err error) {
	cmd := exec.CommandContext(ctx, "go", "test", "-pgo", "cmd/dnstap-pdns/default.pgo", "-run", "^$", "-bench", "^BenchmarkStages$",
		"-benchtime", fmt.Sprintf("%dx", roundsPerRun*b.runs), pkg, "-stage-frames", fmt.Sprint(min(b.frames, stageFrames)))
	out, err := cmd.CombinedOutput()
	if err != nil {
		return nil, fmt.Errorf("%s: %w\n%s", cmd, err, out)
	}
	return parseBench(string(out))
}

// parseBench returns the metrics in the output of go test -bench, by sub-benchmark. Names of
// sub-benchmarks contain no hyphen: the number of processors may follow one.
func parseBench(out string) (map[string]map[string]float64, error) {
	by := map[string]map[string]float64{}
	for line := range strings.Lines(out) {
		fields := strings.Fields(line)
		if !strings.HasPrefix(line, "BenchmarkStages/") || len(fields) < 4 {
			continue
		}
		name, _, _ := strings.Cut(strings.TrimPrefix(fields[0], "BenchmarkStages/"), "-")
		by[name] = map[string]float64{}
		for i := 2; i+1 < len(fields); i += 2 {
			v, err := strconv.ParseFloat(fields[i], 64)
			if err != nil {
				return nil, fmt.Errorf("%q: %w", line, err)
			}
			by[name][fields[i+1]] = v
		}
	}
	return by, nil
}
