package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"time"

	dnstap "github.com/dnstap/golang-dnstap"

	"github.com/dnstap-pdns/dnstap-pdns/integration/workload"
)

// Sizes of the spool at which its memory is read.
const (
	smallSpool = 100 << 20
	largeSpool = 1 << 30
)

// spool lets a sensor write a large spool while its peer is away, at full speed, and send it when
// the peer is there. It measures the rates of both, and the memory.
func (b *run) spool(ctx context.Context, r *report) error {
	if err := b.buildServer(ctx); err != nil {
		return err
	}
	part := filepath.Join(b.dir, "part")
	if err := workload.WriteFrames(part, func(emit func(*dnstap.Dnstap) error) error {
		return workload.Simple(b.pairs, min(b.frames, 200_000), emit)
	}); err != nil {
		return err
	}
	address, err := freeAddress()
	if err != nil {
		return err
	}
	cmd, socket, at, err := b.sensorWith(ctx, b.submission(address, b.spoolBlock()))
	if err != nil {
		return err
	}
	_, err = measure(cmd, socket, func() error {
		began := time.Now()
		small, _, err := b.fill(ctx, socket, at, part, smallSpool)
		if err != nil {
			return err
		}
		smallRSS := peakRSS(cmd.Process.Pid)
		large, lost, err := b.fill(ctx, socket, at, part, largeSpool)
		if err != nil {
			return err
		}
		writing, largeRSS := time.Since(began), peakRSS(cmd.Process.Pid)
		p, err := b.submissionServer(ctx, address)
		if err != nil {
			return err
		}
		defer p.stop()
		sent, sending, err := drain(at)
		if err != nil {
			return err
		}
		end := peakRSS(cmd.Process.Pid)
		r.printf("The simple load at full speed, while the submission server (wss) is away; then the server is there. %s records were lost.\n", thousands(int(lost)))
		r.table(
			[]string{"", "size", "time", "rate", "peak RSS until then"},
			[]string{"first part of the spool written", inMiB(int64(small)), "", "", inMiB(smallRSS)},
			append(rate("spool written", large, writing), inMiB(largeRSS)),
			append(rate("spool sent", sent, sending), inMiB(end)))
		return nil
	})
	return err
}

// rate returns the first cells of a row.
func rate(what string, bytes uint64, took time.Duration) []string {
	return []string{what, inMiB(int64(bytes)), fmt.Sprintf("%.1f s", took.Seconds()), fmt.Sprintf("%.0f MiB/s", mib(int64(bytes))/took.Seconds())}
}

// fill feeds the sensor until its spool has that size. It returns the size and the records that
// the sink has lost.
func (b *run) fill(ctx context.Context, socket, at, part string, size uint64) (bytes, lost uint64, err error) {
	for bytes < size {
		if err := feed(ctx, socket, part); err != nil {
			return 0, 0, err
		}
		l, err := readSink(at)
		if err != nil {
			return 0, 0, err
		}
		bytes, lost = l.Spool.Bytes, 0
		for _, n := range l.Lost {
			lost += n
		}
	}
	return bytes, lost, nil
}

// drain waits until the spool is empty. It returns how many bytes were sent after the first
// acknowledgement, and the time that this took.
func drain(at string) (bytes uint64, took time.Duration, err error) {
	first, err := readSink(at)
	if err != nil {
		return 0, 0, err
	}
	var began time.Time
	for deadline := time.Now().Add(feedTime); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		l, err := readSink(at)
		switch {
		case err != nil:
			return 0, 0, err
		case l.Spooled == 0 && !began.IsZero():
			return bytes, time.Since(began), nil
		case l.Spool.Bytes < first.Spool.Bytes && began.IsZero():
			began, bytes = time.Now(), l.Spool.Bytes
		}
	}
	return 0, 0, errors.New("the spool was not sent")
}
