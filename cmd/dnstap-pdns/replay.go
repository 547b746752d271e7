package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"time"

	"github.com/dnstap-pdns/dnstap-pdns/collector"
	"github.com/dnstap-pdns/dnstap-pdns/conf"
	"github.com/dnstap-pdns/dnstap-pdns/forward"
	"github.com/dnstap-pdns/dnstap-pdns/forward/nmsg"
	"github.com/dnstap-pdns/dnstap-pdns/transform"
)

func replay(ctx context.Context, args []string, std stdio) error {
	fs := newFlags("replay", "[-c FILE] [--to URL] [--message TYPE] INPUT...", std)
	path := fs.String("c", "", configUsage)
	to := fs.String("to", "", "`URL` in place of the configured sinks: udp://HOST:PORT, file:///DIR/NAME or stdout:")
	message := fs.String("message", "", "message `TYPE` for --to: "+messageTypes()+" (default dnsqr)")
	if err := parse(fs, args); err != nil {
		return err
	}
	if fs.NArg() == 0 {
		return &usageError{errors.New("wants dnstap files (.fstrm), or - for standard input")}
	}
	file, err := loadConfig(*path, std)
	if err != nil {
		return err
	}
	sinks, err := replaySinks(&file.Config, *to, *message)
	if err != nil {
		return &usageError{err}
	}
	var level slog.LevelVar
	log := newLogger(file.Log, std.err, &level)
	level.Set(max(level.Level(), slog.LevelWarn)) // the ledger says the rest
	r := replayer{config: &file.Config, sinks: sinks, log: log, std: std}
	return r.run(ctx, fs.Args())
}

// replaySinks are the configured ones, or the one that --to names.
func replaySinks(c *conf.Config, to, message string) ([]forward.SinkConfig, error) {
	if to == "" {
		if message != "" {
			return nil, errors.New("--message says what --to takes, and there is no --to")
		}
		if len(c.Sinks) == 0 {
			return nil, errors.New("the configuration has no sink, and there is no --to")
		}
		return c.Sinks, nil
	}
	target, err := conf.ParseTarget(to)
	if err != nil {
		return nil, errors.New("--to: " + conf.Escape(err.Error())) // which may quote it
	}
	sink := conf.SinkFor("to", target)
	sink.IDs = c.IDs
	if message == "" {
		return []forward.SinkConfig{sink}, nil
	}
	if sink.Message, err = nmsg.ParseMessageType(message); err != nil {
		return nil, fmt.Errorf("--message: %w; there are %s", err, messageTypes())
	}
	return []forward.SinkConfig{sink}, nil
}

func messageTypes() string {
	var names []string
	for _, t := range nmsg.MessageTypes() {
		names = append(names, t.String())
	}
	return strings.Join(names, ", ")
}

// readingTime is what reading has to end by itself when the command is to stop. It
// does not where it waits for room in a queue.
const readingTime = time.Second

// A replayer runs inputs, one after the other, through one lane.
type replayer struct {
	config *conf.Config
	sinks  []forward.SinkConfig
	log    *slog.Logger
	std    stdio
}

func (r *replayer) run(ctx context.Context, inputs []string) error {
	policy, err := transform.NewPolicy(r.config.Policy)
	if err != nil {
		return &usageError{err}
	}
	f := forward.New(forward.Replay, transform.NewBudget(r.config.MaxQueries), r.log,
		forward.WithStdout(r.std.out), forward.WithPatience(ctx))
	if err := f.Apply(policy, r.sinks); err != nil {
		return err
	}
	reading, stopReading := context.WithCancel(ctx)
	defer stopReading()
	forwarding, stopForwarding := context.WithCancel(context.Background())
	defer stopForwarding()
	defer context.AfterFunc(ctx, func() { time.AfterFunc(readingTime, stopForwarding) })()
	forwarded := make(chan error, 1)
	go func() {
		err := f.Run(forwarding)
		stopReading() // with no sink left there is no use in reading on
		forwarded <- err
	}()
	lane := f.Lane("replay")
	failure := r.readAll(reading, inputs, lane)
	if err := ctx.Err(); err != nil {
		failure = errors.Join(failure, fmt.Errorf("stopped before the end of its input: %w", err))
	}
	lane.Close()
	stopForwarding()
	err = errors.Join(failure, <-forwarded)
	printLedger(r.std.err, f.Ledger())
	return err
}

// A sharedLane outlives each of the inputs that use it.
type sharedLane struct{ collector.Lane }

func (sharedLane) Close() {}

// readAll reads one input after the other until ctx ends, which is no error here. One
// that is damaged costs what is behind the damage, not the inputs after it.
func (r *replayer) readAll(ctx context.Context, inputs []string, lane collector.Lane) error {
	var errs []error
	for _, input := range inputs {
		if err := r.read(ctx, input, sharedLane{lane}); err != nil && !errors.Is(err, ctx.Err()) {
			errs = append(errs, fmt.Errorf("%s: %w", conf.Escape(input), err))
		}
		if ctx.Err() != nil {
			break
		}
	}
	return errors.Join(errs...)
}

func (r *replayer) read(ctx context.Context, input string, lane collector.Lane) error {
	file := r.std.in
	if input != "-" {
		f, err := openInput(input)
		if err != nil {
			return err
		}
		defer f.Close()
		file = f
	}
	buffered := bufio.NewReader(patientReader{ctx, file})
	if err := checkFormat(buffered); err != nil {
		return err
	}
	return collector.Replay(ctx, buffered, r.limits(), lane)
}

// limits are those of the configuration's first dnstap source, else the default's.
func (r *replayer) limits() collector.Config {
	if len(r.config.Sources) > 0 {
		return r.config.Sources[0]
	}
	return conf.SourceDefaults()
}

// checkFormat says what an input is if it is no Frame Streams file.
func checkFormat(r *bufio.Reader) error {
	magic, err := r.Peek(4)
	if errors.Is(err, io.EOF) {
		return errors.New("is empty or too short for a dnstap file")
	}
	if err != nil {
		return err
	}
	switch string(magic) {
	case "\x00\x00\x00\x00":
		return nil
	case "\xd4\xc3\xb2\xa1", "\xa1\xb2\xc3\xd4", "\x4d\x3c\xb2\xa1", "\xa1\xb2\x3c\x4d", "\x0a\x0d\x0d\x0a":
		return errors.New("is a packet capture; this version replays dnstap files (.fstrm) only")
	case "NMSG":
		return errors.New("is an NMSG file; dnstap-pdns cat prints those")
	}
	return errors.New("is no dnstap file (Frame Streams, as fstrm_capture writes it)")
}
