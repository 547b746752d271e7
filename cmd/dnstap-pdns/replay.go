package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/dnstap-pdns/dnstap-pdns/cmd/dnstap-pdns/internal/uncompress"
	"github.com/dnstap-pdns/dnstap-pdns/collector"
	"github.com/dnstap-pdns/dnstap-pdns/conf"
	"github.com/dnstap-pdns/dnstap-pdns/fallback/pcap"
	"github.com/dnstap-pdns/dnstap-pdns/fallback/pcap/packet"
	"github.com/dnstap-pdns/dnstap-pdns/forward"
	"github.com/dnstap-pdns/dnstap-pdns/forward/nmsg"
	"github.com/dnstap-pdns/dnstap-pdns/transform"
)

func replay(ctx context.Context, args []string, std stdio) error {
	fs := newFlags("replay", "[-c FILE] [--to URL] [--message TYPE] [--resolvers LIST] INPUT...", std)
	path := fs.String("c", "", configUsage)
	to := fs.String("to", "", "`URL` in place of the configured sinks: udp://HOST:PORT, file:///DIR/NAME or stdout:")
	message := fs.String("message", "", "message `TYPE` for --to: "+messageTypes()+" (default dnsqr)")
	resolvers := fs.String("resolvers", "", "whose packets to take, in place of the configured pcap sources' resolvers: a comma-separated `LIST` of addresses or prefixes")
	if err := parse(fs, args); err != nil {
		return err
	}
	if fs.NArg() == 0 {
		return &usageError{errors.New("wants dnstap or packet files (.fstrm, .pcap, .pcapng), or - for standard input")}
	}
	file, err := loadConfig(*path, std)
	if err != nil {
		return err
	}
	if *resolvers == "" && isGiven(fs, "resolvers") {
		return &usageError{errors.New("--resolvers: the list is empty")}
	}
	packets, err := replayPackets(&file.Config, *resolvers)
	if err != nil {
		return &usageError{err}
	}
	sinks, err := replaySinks(&file.Config, *to, *message)
	if err != nil {
		return &usageError{err}
	}
	var level slog.LevelVar
	log := newLogger(file.Log, std.err, &level)
	level.Set(max(level.Level(), slog.LevelWarn)) // the ledger says the rest
	r := replayer{config: &file.Config, packets: packets, sinks: sinks, log: log, std: std}
	return r.run(ctx, fs.Args())
}

// replayPackets is how packets are read: what the configuration's pcap sources say,
// taken together, and whose they are as --resolvers says. The policy knows of both.
func replayPackets(c *conf.Config, resolvers string) (pcap.Config, error) {
	packets := pcap.Config{Name: "replay"}
	for _, p := range c.Packets {
		packets.Resolvers = append(packets.Resolvers, p.Resolvers...)
		packets.Decapsulate = packets.Decapsulate || p.Decapsulate
		packets.VerifyChecksum = packets.VerifyChecksum || p.VerifyChecksum
	}
	if resolvers == "" {
		return packets, nil
	}
	var err error
	if packets.Resolvers, err = conf.ParseResolvers(resolvers); err != nil {
		return pcap.Config{}, errors.New("--resolvers: " + conf.Escape(err.Error())) // which quotes it
	}
	c.Policy.ResolverNetworks = append(c.Policy.ResolverNetworks, packets.Resolvers...)
	return packets, nil
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
	config  *conf.Config
	packets pcap.Config
	stats   packet.Stats // of the inputs that were packets
	sinks   []forward.SinkConfig
	log     *slog.Logger
	std     stdio
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
	printPackets(r.std.err, &r.stats)
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
	in, err := uncompress.New(patientReader{ctx, file})
	if err != nil {
		return err
	}
	defer in.Close()
	f, err := formatOf(in.Reader)
	if err != nil {
		return err
	}
	if !f.packets {
		return collector.Replay(ctx, in, r.limits(), lane)
	}
	if len(r.packets.Resolvers) == 0 {
		return errNoResolvers
	}
	stats, err := pcap.Replay(ctx, in, r.packets, lane)
	r.stats.Add(stats)
	return err
}

var errNoResolvers = errors.New("is packets, which do not say who the resolver is: " +
	`name its addresses with --resolvers 192.0.2.53,2001:db8:53::53, or in a source "pcap" of the configuration`)

// limits are those of the configuration's first dnstap source, else the default's.
func (r *replayer) limits() collector.Config {
	if len(r.config.Sources) > 0 {
		return r.config.Sources[0]
	}
	return conf.SourceDefaults()
}
