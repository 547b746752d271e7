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

const resolversUsage = "whose packets to take, in place of the configured pcap sources' resolvers: a comma-separated `LIST` of addresses or prefixes"

func replay(ctx context.Context, args []string, std stdio) error {
	fs := newFlags("replay", "[-c FILE] [--to URL] [--message TYPE] [--resolvers LIST] INPUT...", std)
	path := fs.String("c", "", configUsage)
	to := fs.String("to", "", "`URL` in place of the configured sinks: udp://HOST:PORT, file:///DIR/NAME or stdout:")
	message := fs.String("message", "", "message `TYPE` for --to: "+messageTypes()+" (default dnsqr)")
	resolvers := fs.String("resolvers", "", resolversUsage)
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

// replayPackets is how packets are read: what the configuration's pcap sources say,
// taken together, and whose they are as --resolvers says. The policy knows of both. If
// one source opens tunnels to its interfaces' addresses, which a file does not have,
// tunnels to every address are opened.
func replayPackets(c *conf.Config, resolvers string, given bool) (pcap.Config, error) {
	packets := pcap.Config{Name: "replay"}
	anywhere := false
	for _, p := range c.Packets {
		packets.Resolvers = append(packets.Resolvers, p.Resolvers...)
		packets.VerifyChecksum = packets.VerifyChecksum || p.VerifyChecksum
		if p.Decapsulate {
			packets.Decapsulate = true
			packets.DecapsulateFrom = append(packets.DecapsulateFrom, p.DecapsulateFrom...)
			packets.DecapsulateTo = append(packets.DecapsulateTo, p.DecapsulateTo...)
			anywhere = anywhere || len(p.DecapsulateTo) == 0
		}
	}
	if anywhere {
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
		return pcap.Config{}, errors.New("--resolvers: " + conf.Escape(err.Error())) // which quotes it
	}
	c.Policy.Resolvers = append(c.Policy.Resolvers, packets.Resolvers...)
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
	typ, err := nmsg.ParseMessageType(message)
	if err != nil {
		return nil, fmt.Errorf("--message: %w; there are %s", err, messageTypes())
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

// readingTime is how long reading may go on after a signal. Reading that waits for room in a
// queue does not end by itself.
const readingTime = time.Second

// A replayer runs inputs, one after the other, through one lane.
type replayer struct {
	config *conf.Config
	inputs inputReader
	sinks  []forward.SinkConfig
	log    *slog.Logger
	out    io.Writer // what stdout: writes to
	beside onlooker  // may be nil
}

// An onlooker sees the verdicts of a replay and what leaves. It changes nothing.
type onlooker interface {
	forward.Observer
	Trace(source string) transform.Trace
}

// run returns the ledger, nil if nothing could be read.
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
		stopReading(errNoSink) // without a sink reading is useless
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

// timeLeft returns how long reading may go on after a signal.
func (r *replayer) timeLeft() time.Duration {
	if r.inputs.piped.Load() {
		return lingerTime + readingTime
	}
	return readingTime
}

func (r *replayer) forwarder(ctx context.Context) *forward.Forwarder {
	options := []forward.Option{forward.WithStdout(r.out), forward.WithReplayWait(ctx)}
	if r.beside != nil {
		options = append(options, forward.WithObserver(r.beside))
	}
	f := forward.New(forward.Replay, transform.NewBudget(r.config.MaxQueries), r.log, options...)
	if r.beside != nil {
		f.Trace(r.beside.Trace)
	}
	return f
}

// A sharedLane outlives each of the inputs that use it.
type sharedLane struct{ transform.Lane }

func (sharedLane) Close() {}
