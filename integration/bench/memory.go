package main

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"

	dnstap "github.com/dnstap/golang-dnstap"

	"github.com/dnstap-pdns/dnstap-pdns/integration/workload"
)

const (
	connections  = 8
	tableDefault = 131072 // pairing.max_queries
)

// memory fills the default pairing table from eight connections, sends the workload over each
// of them, and measures the sensor's peak memory.
func (b *run) memory(ctx context.Context, r *report) error {
	const each = tableDefault * 3 / 2 / connections // in all 1.5 times the size of the table
	var queries [connections]string
	for i := range queries {
		queries[i] = filepath.Join(b.dir, fmt.Sprintf("queries-%d", i))
		if err := workload.WriteFrames(queries[i], func(emit func(*dnstap.Dnstap) error) error {
			return workload.Queries(b.pairs, i*each, each, emit)
		}); err != nil {
			return err
		}
	}
	common := filepath.Join(b.dir, "common")
	if err := workload.WriteFrames(common, func(emit func(*dnstap.Dnstap) error) error {
		return workload.Simple(b.pairs, b.frames/connections, emit)
	}); err != nil {
		return err
	}
	var m measurement
	err := b.withSensor(ctx, func(cmd *exec.Cmd, socket string) (err error) {
		m, err = measure(cmd, socket, func() error { return feedAll(ctx, socket, queries[:], common) })
		return err
	})
	if err != nil {
		return err
	}
	r.printf("%d connections to the sensor, over which queries without a response overfill the default pairing table (%s), and after them a part of the simple load over each.\n",
		connections, thousands(tableDefault))
	r.table(
		[]string{"queries without a response", "frames over each connection after them", "peak RSS", "aim"},
		[]string{thousands(connections * each), thousands(b.frames / connections), inMiB(m.rss), "64 MiB"})
	return nil
}

// feedAll sends each connection its own file, and after all of them the common file over every
// connection.
func feedAll(ctx context.Context, socket string, own []string, common string) error {
	open, err := connectAll(ctx, socket, len(own))
	defer closeAll(open)
	if err != nil {
		return err
	}
	if err := together(open, func(i int, c *connection) error { return c.send(own[i]) }); err != nil {
		return err
	}
	return together(open, func(_ int, c *connection) error { return errors.Join(c.send(common), c.w.Close()) })
}
