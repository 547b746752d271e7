package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"time"

	"github.com/dnstap-pdns/dnstap-pdns/conf"
	"github.com/dnstap-pdns/dnstap-pdns/fallback/pcap"
	"github.com/dnstap-pdns/dnstap-pdns/forward"
	"github.com/dnstap-pdns/dnstap-pdns/forward/nmsg"
	"github.com/dnstap-pdns/dnstap-pdns/transform"
)

const resolversUsage = "addresses or prefixes of the resolver whose packets are read, a comma-separated `LIST`; replaces the resolvers of the configured pcap sources"

func replay(ctx context.Context, args []string, std stdio) error {
	fs := newFlags("replay", "[-c FILE] [--to URL] [--message TYPE] [--resolvers LIST] INPUT...", std)
	path := fs.String("c", "", configUsage)
	to := fs.String("to", "", "send to this `URL` instead of the configured sinks: udp://HOST:PORT, file:///DIR/NAME or stdout:")
	message := fs.String("message", "", "message `TYPE` for --to: "+messageTypes()+" (default dnsqr)")
	resolvers := fs.String("resolvers", "", resolversUsage)
	if err := parse(fs, args); err != nil {
		return err
	}
	if fs.NArg() == 0 {
		return &usageError{errors.New("needs an INPUT: dnstap or packet files (.fstrm, .pcap, .pcapng), or - for standard input")}
	}
	file, err := loadConfig(*path, std)
	if err != nil {
		return err
	}
	packets, err := replayPackets(&file.Config, *resolvers, isGiven(fs, "resolvers"))
	if err != nil {
		return &usageError{err}
	}
	sinks, err := replaySinks(&file.Config, *to, *message)
	if err != nil {
		return &usageError{err}
	}
	r := replayer{
		config: &file.Config,
		inputs: inputReader{config: &file.Config, packets: packets, in: std.in},
		sinks:  sinks,
		log:    quietLogger(file.Log, std),
		out:    std.out,
	}
	ledger, err := r.run(ctx, fs.Args())
	if ledger != nil {
		printPackets(std.err, &r.inputs.stats)
		printLedger(std.err, *ledger)
	}
	return err
}

// replayPackets returns how packets are read: all pcap sources of the configuration combined,
// with their resolvers replaced by --resolvers, which are also added to the policy. If a source
// decapsulates tunnels to the addresses of its interfaces, which a file does not have, tunnels
// to every address are decapsulated.
func replayPackets(c *conf.Config, resolvers string, given bool) (pcap.Config, error) {
	packets := pcap.Config{Name: "replay"}
	toAny := false
	for _, p := range c.Packets {
		packets.Resolvers = append(packets.Resolvers, p.Resolvers...)
		packets.VerifyChecksum = packets.VerifyChecksum || p.VerifyChecksum
		if p.Decapsulate {
			packets.Decapsulate = true
			packets.DecapsulateFrom = append(packets.DecapsulateFrom, p.DecapsulateFrom...)
			packets.DecapsulateTo = append(packets.DecapsulateTo, p.DecapsulateTo...)
			toAny = toAny || len(p.DecapsulateTo) == 0
		}
	}
	if toAny {
		packets.DecapsulateTo = nil
	}
	switch {
	case !given:
		return packets, nil
	case resolvers == "":
		return pcap.Config{}, errors.New("--resolvers: the list is empty")
	}
	var err error
	if packets.Resolvers, err = conf.ParseResolvers(resolvers); err != nil {
		return pcap.Config{}, errors.New("--resolvers: " + conf.Escape(err.Error())) // err quotes the list
	}
	c.Policy.Resolvers = append(c.Policy.Resolvers, packets.Resolvers...)
	return packets, nil
}

// replaySinks returns the configured sinks, or the one of --to.
func replaySinks(c *conf.Config, to, message string) ([]forward.SinkConfig, error) {
	if to == "" {
		if message != "" {
			return nil, errors.New("--message needs --to")
		}
		if len(c.Sinks) == 0 {
			return nil, errors.New("the configuration has no sink: add one, or use --to")
		}
		return c.Sinks, nil
	}
	target, err := conf.ParseTarget(to)
	if err != nil {
		return nil, errors.New("--to: " + conf.Escape(err.Error())) // err may quote the URL
	}
	sink := conf.SinkFor("to", target)
	sink.IDs = c.IDs
	if message == "" {
		return []forward.SinkConfig{sink}, nil
	}
	typ, err := nmsg.ParseMessageType(message)
	if err != nil {
		return nil, fmt.Errorf("--message: %w; choose one of %s", err, messageTypes())
	}
	sink.Format = forward.NMSG{Message: typ}
	return []forward.SinkConfig{sink}, nil
}

func messageTypes() string {
	var names []string
	for _, t := range nmsg.MessageTypes() {
		names = append(names, t.String())
	}
	return strings.Join(names, ", ")
}

// readGrace is the longest time for which reading may continue after a signal. Reading that
// waits for room in a queue does not end by itself.
const readGrace = time.Second

// A replayer reads inputs, one after the other, through one lane.
type replayer struct {
	config *conf.Config
	inputs inputReader
	sinks  []forward.SinkConfig
	log    *slog.Logger
	out    io.Writer // of sinks to stdout:

	observer replayObserver // may be nil
}

// A replayObserver gets the verdicts of a replay and the containers that leave. It borrows them
// and changes nothing.
type replayObserver interface {
	forward.Observer
	Trace(source string) transform.Trace
}

// run returns the ledger, or nil if reading did not begin.
func (r *replayer) run(ctx context.Context, inputs []string) (*forward.Ledger, error) {
	policy, err := transform.NewPolicy(r.config.Policy)
	if err != nil {
		return nil, &usageError{err}
	}
	f := r.forwarder(ctx)
	if err := f.Apply(policy, r.sinks); err != nil {
		return nil, err
	}
	reading, stopReading := context.WithCancelCause(ctx)
	defer stopReading(nil)
	forwarding, stopForwarding := context.WithCancel(context.Background())
	defer stopForwarding()
	defer context.AfterFunc(ctx, func() { time.AfterFunc(r.timeLeft(), stopForwarding) })()
	forwarded := make(chan error, 1)
	go func() {
		err := f.Run(forwarding)
		stopReading(errNoSink)
		forwarded <- err
	}()
	lane := f.Lane("replay")
	whole, failure := r.inputs.readAll(reading, inputs, sharedLane{lane}, func(source string) transform.Lane {
		return f.Lane(source)
	})
	if ctx.Err() != nil && !whole {
		failure = errors.Join(failure, errStopped)
	}
	lane.Close()
	stopForwarding()
	err = errors.Join(failure, <-forwarded)
	ledger := f.Ledger()
	return &ledger, err
}

// timeLeft returns how long reading may continue after a signal.
func (r *replayer) timeLeft() time.Duration {
	if r.inputs.piped.Load() {
		return pipeGrace + readGrace
	}
	return readGrace
}

func (r *replayer) forwarder(ctx context.Context) *forward.Forwarder {
	options := []forward.Option{forward.WithStdout(r.out), forward.WithReplayWait(ctx)}
	if r.observer != nil {
		options = append(options, forward.WithObserver(r.observer))
	}
	f := forward.New(forward.Replay, transform.NewBudget(r.config.MaxQueries), r.log, options...)
	if r.observer != nil {
		f.Trace(r.observer.Trace)
	}
	return f
}

// A sharedLane is a lane that several inputs use. Close does nothing.
type sharedLane struct{ transform.Lane }

func (sharedLane) Close() {}
