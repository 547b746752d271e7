package sensor

import (
	"bytes"
	"flag"
	"runtime"
	"slices"
	"testing"
	"time"

	"github.com/dnstap-pdns/dnstap-pdns/collector"
	"github.com/dnstap-pdns/dnstap-pdns/conf"
	"github.com/dnstap-pdns/dnstap-pdns/forward"
	"github.com/dnstap-pdns/dnstap-pdns/forward/nmsg"
	"github.com/dnstap-pdns/dnstap-pdns/transform"
	"github.com/dnstap-pdns/dnstap-pdns/transform/dnswire"
)

var stageFrames = flag.Int("stage-frames", 60_000, "frames or packets of each load of BenchmarkStages")

// A stage is the path from frames or packets up to a stage, which ignores what it makes. run
// processes a load.
type stage struct {
	name string
	run  func()
}

// BenchmarkStages measures the path from frames or packets to datagrams by ablation. Its metrics are
// the CPU time of a frame or packet from the beginning of the path up to each stage.
func BenchmarkStages(b *testing.B) {
	for name, load := range frameLoads {
		b.Run(name, func(b *testing.B) {
			l := load(b, *stageFrames)
			replay := func(maxFrame int, lane transform.Lane) {
				c := conf.SourceDefaults()
				c.MaxFrame = maxFrame
				if err := collector.Replay(b.Context(), bytes.NewReader(l.frames), c, lane); err != nil {
					b.Fatal(err)
				}
			}
			framing := stage{"framing", func() { replay(1, ignoring) }} // longer frames are not decoded
			maxFrame := conf.SourceDefaults().MaxFrame
			measureStages(b, l.n, append([]stage{framing}, stagesOf(b, func(lane transform.Lane) { replay(maxFrame, lane) })...))
		})
	}
	for name, produce := range packetLoads {
		b.Run(name+"Packets", func(b *testing.B) {
			file, packets := captureOf(b, produce, *stageFrames)
			measureStages(b, packets, stagesOf(b, func(lane transform.Lane) { replayCapture(b, file, lane) }))
		})
	}
}

// measureStages runs every stage in each iteration, so that other load on the machine affects all
// alike, and reports medians.
func measureStages(b *testing.B, units int, stages []stage) {
	times := make([][]time.Duration, len(stages))
	for b.Loop() {
		for i, s := range stages {
			runtime.GC() // else a stage pays for the garbage of the one before
			began := cpuTime()
			s.run()
			times[i] = append(times[i], cpuTime()-began)
		}
	}
	for i, s := range stages {
		slices.Sort(times[i])
		b.ReportMetric(float64(times[i][len(times[i])/2])/float64(units), s.name+"-ns")
	}
}

// stagesOf returns the stages after a source. read passes a load to a lane.
func stagesOf(b *testing.B, read func(transform.Lane)) []stage {
	config := benchConfig(b)
	policy := policyOf(b, config.Policy)
	none := config.Policy
	none.Rcodes = nil // so that no response is searched, and none becomes a record
	pairsOnly := policyOf(b, none)
	format := conf.SinkFor("bench", forward.Target{Scheme: forward.UDP}).Format.(forward.RecordFormat)

	pair := func(policy *transform.Policy, emit func(*transform.Record)) {
		p := transform.NewPairer(transform.NewBudget(config.MaxQueries))
		read(lane(func(m *transform.Message) transform.Reason { return p.Take(m, policy, emit) }))
		p.Finish(policy, emit)
	}
	return []stage{
		{"decoding", func() { read(ignoring) }},
		{"parsing", func() {
			var w dnswire.Walker
			read(lane(func(m *transform.Message) transform.Reason {
				w.Walk(m.Wire)
				return transform.Kept
			}))
		}},
		{"pairing", func() { pair(pairsOnly, func(*transform.Record) { b.Error("a record") }) }},
		{"scrubbing", func() { pair(policy, func(*transform.Record) {}) }},
		{"encoding", func() {
			var encoded []byte
			pair(policy, func(r *transform.Record) {
				var err error
				if encoded, err = format.Append(encoded[:0], r, nmsg.IDs{}); err != nil {
					b.Error(err)
				}
			})
		}},
		{"sending", func() {
			f, stop := newForwarder(b)
			read(f.Lane("bench"))
			stop()
			if l := f.Ledger(); l.Total.Records == 0 {
				b.Error("no records")
			}
		}},
	}
}

// A lane passes messages to a function.
type lane func(*transform.Message) transform.Reason

func (lane) Begin()                                       {}
func (l lane) Take(m *transform.Message) transform.Reason { return l(m) }
func (lane) Drop(transform.Reason)                        {}
func (lane) End()                                         {}
func (lane) Close()                                       {}

// ignoring ignores messages.
var ignoring = lane(func(*transform.Message) transform.Reason { return transform.Kept })
