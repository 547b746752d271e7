package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os/exec"
	"slices"
	"sync"
	"time"
)

// connections measures the frames a second that fstrm_capture and the sensor read through one
// connection and through four, as fast as possible, from connect to FINISH.
func (b *run) connections(ctx context.Context, r *report) error {
	file, units, err := b.load(busy)
	if err != nil {
		return err
	}
	r.printf("The busy load of %s frames over each connection, as fast as possible, from connect to FINISH: `fstrm_capture -w /dev/null` "+
		"and the sensor (dnsqr over UDP to loopback, mtu 8192) in turn, %s. The sender uses the same cores.\n", thousands(units), b.medianText())
	rows := [][]string{{"connections", "fstrm_capture, frames a second", "sensor, frames a second", "cores that the sensor used", "peak RSS of the sensor"}}
	sensors := map[int]measurement{} // by connections
	for _, n := range []int{1, 4} {
		var captures, all []measurement
		for range b.runs {
			cmd, socket := b.captureCommand(ctx)
			m, err := feedOver(ctx, cmd, socket, file, n)
			if err != nil {
				return err
			}
			captures = append(captures, m)
			if m, err = b.feedSensorOver(ctx, file, n); err != nil {
				return err
			}
			all = append(all, m)
		}
		capture, sensor := medianTook(captures), medianTook(all)
		sensors[n] = sensor
		rows = append(rows, []string{fmt.Sprint(n), perSecond(n*units, capture.took), perSecond(n*units, sensor.took),
			fmt.Sprintf("%.2f", sensor.cpu().Seconds()/sensor.took.Seconds()), inMiB(sensor.rss)})
	}
	r.table(rows...)
	r.loss("one connection", sensors[1])
	r.loss("four connections", sensors[4])
	return nil
}

func (b *run) feedSensorOver(ctx context.Context, file string, n int) (m measurement, err error) {
	err = b.withSensor(ctx, func(cmd *exec.Cmd, socket string) (err error) {
		m, err = feedOver(ctx, cmd, socket, file, n)
		return err
	})
	return m, err
}

// feedOver measures a receiver that gets a file over each of n connections at the same time.
func feedOver(ctx context.Context, cmd *exec.Cmd, socket, file string, n int) (measurement, error) {
	var took time.Duration
	m, err := measure(cmd, socket, func() error {
		began := time.Now()
		open, err := connectAll(ctx, socket, n)
		defer closeAll(open)
		if err != nil {
			return err
		}
		err = together(open, func(_ int, c *connection) error { return errors.Join(c.send(file), c.w.Close()) })
		took = time.Since(began)
		return err
	})
	m.took = took
	return m, err
}

// medianTook returns the measurement with the median time.
func medianTook(all []measurement) measurement {
	slices.SortFunc(all, func(a, b measurement) int { return cmp.Compare(a.took, b.took) })
	return all[len(all)/2]
}

// connectAll opens n connections, which closeAll closes also if there was an error.
func connectAll(ctx context.Context, socket string, n int) (open []*connection, err error) {
	for range n {
		c, err := connect(ctx, socket)
		if err != nil {
			return open, err
		}
		open = append(open, c)
	}
	return open, nil
}

func closeAll(open []*connection) {
	for _, c := range open {
		c.conn.Close()
	}
}

// together does something with each connection at the same time.
func together(open []*connection, do func(int, *connection) error) error {
	errs := make([]error, len(open))
	var wg sync.WaitGroup
	for i, c := range open {
		wg.Go(func() { errs[i] = do(i, c) })
	}
	wg.Wait()
	return errors.Join(errs...)
}
