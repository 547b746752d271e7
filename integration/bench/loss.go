package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"time"
)

const (
	lossTime = 2 * time.Second // of one rate, unless the load is shorter
	lossRuns = 3               // at most
	// lossWarmUp is how many frames are sent before each measurement. The busy load begins with 30,000
	// queries that stay pending.
	lossWarmUp = 50_000
)

var frameRates = []int{50_000, 100_000, 200_000, 400_000, 800_000, 1_600_000, 3_200_000}

// loss measures how many frames a resolver and a receiver lose together, at rising rates.
func (b *run) loss(ctx context.Context, r *report) error {
	file, units, err := b.load(busy)
	if err != nil {
		return err
	}
	if units < 2*lossWarmUp {
		return fmt.Errorf("needs at least %d frames", 2*lossWarmUp)
	}
	load, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	r.printf("The busy load at a rate, for at most %v, over a Unix socket. As BIND and PowerDNS Recursor do, the generator never waits: "+
		"frames wait in a queue of %d, and it drops frames while the queue is full. A record that a sink of the sensor loses counts as two frames. "+
		"Median of %d runs. Generator and receiver share the cores.\n", lossTime, queueFrames, min(b.runs, lossRuns))
	var curves []curve
	err = eachLimit(r, func(q *quota) error {
		sensor, capture := curve{receiver: "sensor", held: q != nil}, curve{receiver: "fstrm_capture", held: q != nil}
		for _, rate := range frameRates {
			s := stream{load, min(rate*int(lossTime/time.Second), units-lossWarmUp), rate}
			o, err := b.medianLoss(func() (outcome, error) { return b.sensorLoss(ctx, s, q) })
			if err != nil {
				return fmt.Errorf("sensor at %d frames/s: %w", rate, err)
			}
			sensor.outcomes = append(sensor.outcomes, o)
			if o, err = b.medianLoss(func() (outcome, error) { return b.captureLoss(ctx, s, q) }); err != nil {
				return fmt.Errorf("fstrm_capture at %d frames/s: %w", rate, err)
			}
			capture.outcomes = append(capture.outcomes, o)
		}
		curves = append(curves, sensor, capture)
		return nil
	})
	if err != nil {
		return err
	}
	return writeCurves(r, "Loss of dnstap frames against their rate", "frames/s", frameRates, curves)
}

// medianLoss measures several times and returns the outcome with the median loss.
func (b *run) medianLoss(measure func() (outcome, error)) (outcome, error) {
	var all []outcome
	for range min(b.runs, lossRuns) {
		o, err := measure()
		if err != nil {
			return o, err
		}
		all = append(all, o)
	}
	slices.SortFunc(all, func(a, b outcome) int { return cmp.Compare(a.percent, b.percent) })
	return all[len(all)/2], nil
}

// A stream is frames that are sent at a rate, after the frames of the warm-up.
type stream struct {
	load   []byte // begins with the warm-up
	frames int    // after it
	rate   int    // frames a second
}

// send offers the frames to a receiver, which it holds to a quota, and returns how many the full queue
// of the generator did not take.
func (s stream) send(ctx context.Context, cmd *exec.Cmd, socket string, q *quota) (o outcome, dropped uint64, m measurement, err error) {
	m, err = measure(cmd, socket, func() error {
		if err := q.hold(cmd.Process); err != nil {
			return err
		}
		c, err := connect(ctx, socket)
		if err != nil {
			return err
		}
		defer c.conn.Close()
		warm, load := cut(s.load, lossWarmUp)
		if _, err := c.conn.Write(warm); err != nil {
			return err
		}
		g, err := newGenerator(c)
		if err != nil {
			return err
		}
		took, err := g.offer(ctx, load, s.frames, s.rate)
		o.rate, dropped = float64(s.frames)/took.Seconds(), g.dropped
		return errors.Join(err, g.finish())
	})
	o.percent = 100 * float64(dropped) / float64(s.frames)
	return o, dropped, m, err
}

// captureLoss is the loss of a resolver that sends to fstrm_capture, which itself loses nothing.
func (b *run) captureLoss(ctx context.Context, s stream, q *quota) (outcome, error) {
	cmd, socket := b.captureCommand(ctx)
	o, _, _, err := s.send(ctx, cmd, socket, q)
	return o, err
}

// sensorLoss is the loss of a resolver that sends to the sensor, and of the sensor's sink. A record
// counts as two frames.
func (b *run) sensorLoss(ctx context.Context, s stream, q *quota) (o outcome, err error) {
	var dropped uint64
	var m measurement
	err = b.withSensor(ctx, func(cmd *exec.Cmd, socket string) (err error) {
		o, dropped, m, err = s.send(ctx, cmd, socket, q)
		return err
	})
	if err != nil {
		return o, err
	}
	if sent := lossWarmUp + s.frames - int(dropped); int(m.read) != sent {
		return o, fmt.Errorf("the sensor read %d frames of %d", m.read, sent)
	}
	o.inside = uint64(m.lost)
	o.percent += 100 * 2 * float64(m.lost) / float64(s.frames)
	return o, nil
}
