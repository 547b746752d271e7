package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// A sink is a type of sink that is measured. start starts its peer, and returns its block and a
// function that ends the peer.
type sink struct {
	name  string
	start func(b *run, ctx context.Context) (block string, stop func(), err error)
}

var sinks = []sink{
	{"udp", func(b *run, _ context.Context) (string, func(), error) {
		d, err := newDiscard()
		if err != nil {
			return "", nil, err
		}
		return block("nmsg", "udp://"+d.addr(), "mtu = 8192"), d.close, nil
	}},
	{"file", toFile("nmsg", "records.nmsg")},
	{"stdout", func(*run, context.Context) (string, func(), error) {
		return block("nmsg", "stdout:"), func() {}, nil
	}},
	{"dnstap unix", toCapture("unix")},
	{"dnstap tcp", toCapture("tcp")},
	{"json file", toFile("json", "records.json")},
	{"wss", func(b *run, ctx context.Context) (string, func(), error) { return b.toServer(ctx, "") }},
	{"wss with spool", func(b *run, ctx context.Context) (string, func(), error) {
		return b.toServer(ctx, b.spoolBlock())
	}},
}

// block returns the block of a sink. Its queue holds every record, so that none is lost.
func block(kind, to string, lines ...string) string {
	return fmt.Sprintf("sink %q \"bench\" {\nto = %q\nqueue = \"4GiB\"\n%s\n}\n", kind, to, strings.Join(lines, "\n"))
}

func toFile(kind, name string) func(*run, context.Context) (string, func(), error) {
	return func(b *run, _ context.Context) (string, func(), error) {
		path := filepath.Join(b.dir, name)
		return block(kind, "file://"+path, "rotate = \"0s\""), func() { os.Remove(path) }, nil
	}
}

func toCapture(network string) func(*run, context.Context) (string, func(), error) {
	return func(b *run, ctx context.Context) (string, func(), error) {
		address, err := filepath.Join(b.dir, "peer.sock"), error(nil)
		if network == "tcp" {
			address, err = freeAddress()
		}
		if err != nil {
			return "", nil, err
		}
		p, err := b.capture(ctx, network, address)
		if err != nil {
			return "", nil, err
		}
		return block("dnstap", network+"://"+address), p.stop, nil
	}
}

// toServer starts a submission server. more is part of the block.
func (b *run) toServer(ctx context.Context, more string) (string, func(), error) {
	address, err := freeAddress()
	if err != nil {
		return "", nil, err
	}
	p, err := b.submissionServer(ctx, address)
	if err != nil {
		return "", nil, err
	}
	return b.submission(address, more), p.stop, nil
}

// submission returns the block of a sink to a submission server.
func (b *run) submission(address, more string) string {
	return block("nmsg", "wss://"+address+"/session/bench", "channel = 202", fmt.Sprintf("api_key = file(%q)", b.apiKey()),
		fmt.Sprintf("tls {\nca = %q\n}", b.certificate()), more)
}

func (b *run) spoolBlock() string {
	return fmt.Sprintf("spool {\ndir = %q\nmax_bytes = \"4GiB\"\n}", filepath.Join(b.dir, "spool"))
}

// sinks measures each sink in turn, runs times.
func (b *run) sinks(ctx context.Context, r *report) error {
	selected := b.selected
	file, units, err := b.load(simple)
	if err != nil {
		return err
	}
	results := make([][]measurement, len(selected))
	for range b.runs {
		for i, s := range selected {
			m, err := b.feedSink(ctx, s, file)
			if err != nil {
				return fmt.Errorf("%s: %w", s.name, err)
			}
			results[i] = append(results[i], m)
		}
	}
	records := units / 2
	r.printf("%s records of the simple load into each type of sink in turn: the whole sensor, from frames over a Unix socket to the peer's acknowledgement or the kernel, %s.\n",
		thousands(records), b.medianText())
	rows := [][]string{{"sink", "CPU per record", "user", "system", "records per second", "peak RSS"}}
	for i, s := range selected {
		m, n := median(results[i]), int64(records)
		rows = append(rows, []string{s.name, each(m.cpu(), n), each(m.user, n), each(m.system, n),
			perSecond(records, m.took), inMiB(m.rss)})
	}
	r.table(rows...)
	return nil
}

// feedSink measures a sink until its records are delivered.
func (b *run) feedSink(ctx context.Context, s sink, file string) (m measurement, err error) {
	block, stop, err := s.start(b, ctx)
	if err != nil {
		return m, err
	}
	defer stop()
	cmd, socket, at, err := b.sensorWith(ctx, block)
	if err != nil {
		return m, err
	}
	cmd.Stdout = io.Discard // a pipe that is read
	var took time.Duration
	m, err = measure(cmd, socket, func() error {
		began := time.Now()
		if err := feed(ctx, socket, file); err != nil {
			return err
		}
		err := awaitDelivery(at)
		took = time.Since(began)
		return err
	})
	m.took = took
	return m, err
}

// awaitDelivery returns when every record that was offered to a sensor's sink is delivered.
func awaitDelivery(at string) error {
	var l sinkLedger
	for deadline := time.Now().Add(feedTime); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		var err error
		if l, err = readSink(at); err != nil || l.Delivered+l.Written == l.Offered {
			return err
		}
	}
	return fmt.Errorf("not delivered within %v: %+v", feedTime, l)
}

// sensorWith returns the command of a sensor with a sink, its socket, and the address of its
// ledger.
func (b *run) sensorWith(ctx context.Context, block string) (cmd *exec.Cmd, socket, at string, err error) {
	socket = filepath.Join(b.dir, "sensor.sock")
	config := filepath.Join(b.dir, "sink.hcl")
	if at, err = freeAddress(); err != nil {
		return nil, "", "", err
	}
	text := fmt.Sprintf("source \"dnstap\" \"bench\" {\nlisten = \"unix://%s\"\n}\nadmin {\nlisten = %q\n}\n%s", socket, at, block)
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		return nil, "", "", err
	}
	return exec.CommandContext(ctx, b.sensor, "run", "-c", config), socket, at, nil
}

// sinkLedger is a part of the account of a sink in /ledger.
type sinkLedger struct {
	Offered, Delivered, Written, Spooled uint64
	Lost                                 map[string]uint64
	Spool                                struct{ Bytes uint64 }
}

// readSink reads the account of the only sink of a sensor.
func readSink(at string) (sinkLedger, error) {
	response, err := http.Get("http://" + at + "/ledger")
	if err != nil {
		return sinkLedger{}, err
	}
	defer response.Body.Close()
	var l struct{ Sinks []sinkLedger }
	if err := json.NewDecoder(response.Body).Decode(&l); err != nil {
		return sinkLedger{}, fmt.Errorf("reading the ledger: %w", err)
	}
	if len(l.Sinks) != 1 {
		return sinkLedger{}, fmt.Errorf("the ledger has %d sinks, want 1", len(l.Sinks))
	}
	return l.Sinks[0], nil
}
