package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"path/filepath"
	"strings"
	"time"

	"github.com/dnstap-pdns/dnstap-pdns/conf"
	"github.com/dnstap-pdns/dnstap-pdns/fallback/pcap"
	"github.com/dnstap-pdns/dnstap-pdns/forward"
	"github.com/dnstap-pdns/dnstap-pdns/forward/aggregate"
	"github.com/dnstap-pdns/dnstap-pdns/forward/file"
	"github.com/dnstap-pdns/dnstap-pdns/forward/fstrm"
	"github.com/dnstap-pdns/dnstap-pdns/forward/nmsg"
	"github.com/dnstap-pdns/dnstap-pdns/transform"
)

const resolversUsage = "addresses or prefixes of the resolver whose packets are read, a comma-separated `LIST`; replaces the resolvers of the configured pcap sources"

var replayUsage = usage{
	name:      "replay",
	arguments: "INPUT...",
	does:      "Runs the sensor on a capture, and writes the records to files or standard output.",
	details: "INPUT is a dnstap or packet file (.fstrm, .pcap, .pcapng, compressed or not), or - for standard input. Without --send\n" +
		"nothing is sent to a network. The ledger is printed on standard error.",
	examples: []string{"dnstap-pdns replay -c site.hcl capture.fstrm --to would-leave.nmsg",
		"tcpdump -w - port 53 | dnstap-pdns replay --resolvers 192.0.2.53 --to - - | dnstap-pdns cat -",
		"dnstap-pdns replay -c site.hcl --send missed.pcap"},
	exits: []string{"every input was read, and every record was written or sent", "an input could not be read, or a record not written or sent",
		"bad usage, or the configuration is invalid"},
}

func replay(ctx context.Context, args []string, std stdio) error {
	o := newOptions(replayUsage, std)
	path := o.config()
	to := o.String("to", "", "write to this `TARGET` instead of the configured sinks: a file, - or stdout: for standard output, "+
		"file:///DIR/NAME or, with --send, udp://HOST:PORT; the name of a file is a strftime pattern")
	send := o.flag("send", "allow sinks that send to a network")
	message := o.String("message", "", "message `TYPE` for --to: "+messageTypes()+" (default dnsqr)")
	resolvers := o.String("resolvers", "", resolversUsage)
	if err := o.parse(args, anyNumber); err != nil {
		return err
	}
	if o.NArg() == 0 {
		return &usageError{errors.New("needs an INPUT: dnstap or packet files (.fstrm, .pcap, .pcapng), or - for standard input")}
	}
	fmt.Fprintf(std.err, "configuration: %s\n", conf.Escape(configName(*path)))
	file, err := loadConfig(*path, std)
	if err != nil {
		return err
	}
	packets, err := replayPackets(&file.Config, *resolvers, o.Changed("resolvers"))
	if err != nil {
		return &usageError{err}
	}
	noteKafka(std.err, &file.Config)
	sinks, err := replaySinks(&file.Config, *to, *message)
	if err != nil {
		return &usageError{err}
	}
	if err := errors.Join(checkRelease(sinks), checkSinks(sinks, *send, std)); err != nil {
		return &usageError{err}
	}
	if err := checkInputs(o.Args()); err != nil {
		return err
	}
	r := replayer{
		config:   &file.Config,
		inputs:   inputReader{config: &file.Config, packets: packets, in: std.in},
		sinks:    sinks,
		log:      quietLogger(file.Log, std),
		out:      std.out,
		progress: std.progress,
	}
	ledger, err := r.run(ctx, o.Args())
	if ledger != nil {
		printPackets(std.err, &r.inputs.stats)
		printLedger(std.err, *ledger)
		printCauses(std.err, causesOf(&ledger.Total, &r.inputs.stats))
	}
	return err
}

// noteKafka notes that Kafka sources are not read, and that the policy does not apply to them.
func noteKafka(w io.Writer, c *conf.Config) {
	for i := range c.Kafka {
		fmt.Fprintf(w, "source %q is not read: only run reads from Kafka, and what it reads was scrubbed by the policies of other sensors\n", c.Kafka[i].Name)
	}
}

// checkRelease returns an error for an aggregate that no RRset would leave: all inputs have the same
// source id.
func checkRelease(sinks []forward.SinkConfig) error {
	for i := range sinks {
		if a, ok := sinks[i].Transport.(aggregate.Config); ok && a.Release > 0 {
			return fmt.Errorf("aggregate %q: no RRset would leave, because release needs %d sources, and all inputs count as one: "+
				"use a configuration without its block release, or --to", sinks[i].Name, a.Release)
		}
	}
	return nil
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
			packets.VXLANPorts = append(packets.VXLANPorts, p.VXLANPorts...)
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

// replaySinks returns the configured sinks, or a sink to the URL of --to, with the aggregate that
// feeds it if it gets RRsets.
func replaySinks(c *conf.Config, to, message string) ([]forward.SinkConfig, error) {
	if to == "" {
		if message != "" {
			return nil, errors.New("--message needs --to")
		}
		if len(c.Outputs()) == 0 {
			return nil, errors.New("the configuration has no sink: add one, or use --to")
		}
		return c.Sinks, nil
	}
	target, err := parseTarget(to)
	if err != nil {
		return nil, errors.New("--to: " + conf.Escape(err.Error())) // err may quote the URL
	}
	sink := conf.SinkFor("to", target)
	switch message {
	case "":
		return []forward.SinkConfig{sink}, nil
	case conf.DNSDedupe:
		from := replayAggregate(c)
		sink.Format, sink.From = forward.DNSDedupe{}, from.Name
		return []forward.SinkConfig{from, sink}, nil
	}
	typ, err := nmsg.ParseMessageType(message)
	if err != nil {
		return nil, fmt.Errorf("--message: %w; choose one of %s", err, messageTypes())
	}
	sink.Format = forward.NMSG{Message: typ}
	return []forward.SinkConfig{sink}, nil
}

// replayAggregate returns the only aggregate block of a configuration, or one with the defaults.
func replayAggregate(c *conf.Config) forward.SinkConfig {
	var all []forward.SinkConfig
	for _, s := range c.Sinks {
		if s.Target.Scheme == forward.Aggregate {
			all = append(all, s)
		}
	}
	if len(all) != 1 {
		return conf.AggregateFor("rrsets")
	}
	if a, ok := all[0].Transport.(aggregate.Config); ok {
		a.Release = 0 // all inputs count as one source
		all[0].Transport = a
	}
	return all[0]
}

// parseTarget reads the URL of a target, the path of a file or "-", which is standard output.
func parseTarget(to string) (forward.Target, error) {
	switch {
	case to == "-":
		return forward.Target{Scheme: forward.Stdout}, nil
	case to == "stdout:" || strings.Contains(to, "://") || strings.HasSuffix(to, "/"):
		return conf.ParseTarget(to)
	}
	path, err := filepath.Abs(to)
	if err != nil {
		return forward.Target{}, err
	}
	return conf.ParseTarget("file://" + path)
}

// checkSinks returns an error for a sink that sends to a network, or whose on_rotate command may
// do so, unless send is true, and for one that writes to a terminal what is not text.
func checkSinks(sinks []forward.SinkConfig, send bool, std stdio) error {
	for i := range sinks {
		s := &sinks[i]
		if !send && !isLocal(s.Target.Scheme) {
			return fmt.Errorf("sink %q sends to a network: allow that with --send, or replace the sinks with --to", s.Name)
		}
		if c, ok := s.Transport.(file.Config); ok && !send && len(c.OnRotate) > 0 {
			return fmt.Errorf("sink %q runs a command for each file (on_rotate), which may send it: allow that with --send, "+
				"or replace the sinks with --to", s.Name)
		}
	}
	return checkTerminal(sinks, std)
}

func isLocal(s forward.Scheme) bool {
	return s == forward.File || s == forward.Stdout || s == forward.Aggregate
}

// checkTerminal returns an error for a sink that writes bytes that are not text to a terminal.
func checkTerminal(sinks []forward.SinkConfig, std stdio) error {
	for i := range sinks {
		s := &sinks[i]
		if s.Target.Scheme != forward.Stdout || !std.outTerminal {
			continue
		}
		switch s.Format.(type) {
		case forward.NMSG, forward.DNSDedupe:
			return fmt.Errorf("sink %q writes NMSG, which is not text, to standard output, which is a terminal: "+
				"write to a file, or to a pipe: | dnstap-pdns cat -", s.Name)
		case fstrm.Format:
			return fmt.Errorf("sink %q writes dnstap, which is not text, to standard output, which is a terminal: "+
				"write to a file, or to a pipe", s.Name)
		}
	}
	return nil
}

func messageTypes() string {
	var names []string
	for _, t := range nmsg.MessageTypes() {
		names = append(names, t.String())
	}
	return strings.Join(append(names, conf.DNSDedupe), ", ")
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

	progress *progress

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
	if err := f.Apply(policy, r.sinks, r.config.IDsOf); err != nil {
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
	r.inputs.meter = newMeter("reading", inputs)
	r.inputs.meter.records = func() uint64 { return f.Ledger().Total.Records }
	defer r.progress.watch(r.inputs.meter)()
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

// timeLeft returns how long reading may continue if a signal comes now.
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
