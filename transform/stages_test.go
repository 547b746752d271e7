package transform

import (
	"flag"
	"path/filepath"
	"runtime"
	"slices"
	"syscall"
	"testing"
	"time"

	dnstap "github.com/dnstap/golang-dnstap"

	"github.com/dnstap-pdns/dnstap-pdns/integration/workload"
)

var stageFrames = flag.Int("stage-frames", 60_000, "messages of each load of BenchmarkStages")

// BenchmarkStages measures Take by ablation, with and without making records. BenchmarkStages of the
// sensor measures everything before and after; it cannot separate these two. The metrics are CPU
// time of a message.
func BenchmarkStages(b *testing.B) {
	policy := testPolicy(b, func(c *Config) { c.LocalNames = []string{workload.LocalName} })
	for name, produce := range map[string]func([]workload.Pair, func(*dnstap.Dnstap) error) error{
		"simple": func(pairs []workload.Pair, emit func(*dnstap.Dnstap) error) error {
			return workload.Simple(pairs, *stageFrames, emit)
		},
		"busy": func(pairs []workload.Pair, emit func(*dnstap.Dnstap) error) error {
			l, err := workload.NewBusy(pairs, *stageFrames, workload.BusyRate)
			if err != nil {
				return err
			}
			return l.Frames(emit)
		},
	} {
		b.Run(name, func(b *testing.B) {
			messages := messagesOf(b, produce)
			var judged, scrubbed []time.Duration
			for b.Loop() {
				judged = append(judged, measureTake(messages, func(p *Pairer, m *Message) { p.judgeOnly(m, policy) }))
				scrubbed = append(scrubbed, measureTake(messages, func(p *Pairer, m *Message) { p.Take(m, policy, func(*Record) {}) }))
			}
			for name, times := range map[string][]time.Duration{"judging-ns": judged, "scrubbing-ns": scrubbed} {
				slices.Sort(times)
				b.ReportMetric(float64(times[len(times)/2])/float64(len(messages)), name)
			}
		})
	}
}

// judgeOnly is Take for dnstap messages, but makes no record.
func (p *Pairer) judgeOnly(m *Message, policy *Policy) {
	p.tick(m, policy, nil)
	wellFormed := p.walk(m, policy)
	if !m.Role.response() {
		p.ended(m, p.takeQuery(m, wellFormed, policy))
		return
	}
	found, other := p.match(keyOf(m, p.walker.ID), m)
	var q *pending
	if found != noIndex {
		q = p.pending.at(found)
	}
	reason := Malformed
	if wellFormed {
		reason = p.judgeResponse(m, q, other, policy)
	}
	if q != nil {
		p.pending.remove(found)
	}
	p.ended(m, reason)
}

// messagesOf returns a load as a dnstap source gives it to a lane.
func messagesOf(b *testing.B, produce func([]workload.Pair, func(*dnstap.Dnstap) error) error) (messages []*Message) {
	files, err := filepath.Glob("testdata/captures/*-[23].fstrm")
	if err != nil {
		b.Fatal(err)
	}
	pairs, err := workload.Pairs(files...)
	if err != nil {
		b.Fatal(err)
	}
	err = produce(pairs, func(d *dnstap.Dnstap) error {
		messages = append(messages, fromFrame(d.Message))
		return nil
	})
	if err != nil {
		b.Fatal(err)
	}
	return messages
}

// measureTake returns the CPU time of a new lane that takes messages.
func measureTake(messages []*Message, take func(*Pairer, *Message)) time.Duration {
	used := func() time.Duration {
		var u syscall.Rusage
		syscall.Getrusage(syscall.RUSAGE_SELF, &u)
		return time.Duration(u.Utime.Nano() + u.Stime.Nano())
	}
	p := NewPairer(NewBudget(131072))
	runtime.GC() // else the lane pays for the garbage of the one before
	began := used()
	for _, m := range messages {
		take(p, m)
	}
	return used() - began
}
