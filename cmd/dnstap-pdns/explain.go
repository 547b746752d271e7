package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/dnstap-pdns/dnstap-pdns/cmd/dnstap-pdns/internal/canary"
	"github.com/dnstap-pdns/dnstap-pdns/cmd/dnstap-pdns/internal/explain"
	"github.com/dnstap-pdns/dnstap-pdns/conf"
	"github.com/dnstap-pdns/dnstap-pdns/fallback/pcap"
	"github.com/dnstap-pdns/dnstap-pdns/forward"
	"github.com/dnstap-pdns/dnstap-pdns/forward/aggregate"
	"github.com/dnstap-pdns/dnstap-pdns/forward/fstrm"
	"github.com/dnstap-pdns/dnstap-pdns/forward/jsonl"
	"github.com/dnstap-pdns/dnstap-pdns/forward/nmsg"
	"github.com/dnstap-pdns/dnstap-pdns/transform"
)

// errCanary is the error of a report with findings.
var errCanary = errors.New("something that must not leave was found in what would leave; the report shows where")

// listenTime is the default of --for.
const listenTime = time.Minute

var explainUsage = usage{
	name:      "explain",
	arguments: "INPUT...",
	does:      "Shows what would leave from a capture, what would not, and why; searches what would leave for what must not.",
	details: "INPUT is a dnstap or packet file (.fstrm, .pcap, .pcapng, compressed or not), - for standard input, or\n" +
		"unix:///PATH or tcp://HOST:PORT, to which a resolver sends. With --census, INPUT may be NMSG files with RRsets\n" +
		"(dnsdedupe) of several sensors: then it shows what a gate (release) would hold back.",
	examples: []string{"dnstap-pdns explain -c site.hcl capture.fstrm --canary 192.0.2.53 --canary corp.example",
		"dnstap-pdns explain --census capture.pcapng --resolvers 192.0.2.53",
		"dnstap-pdns explain --census a.dedupe.nmsg b.dedupe.nmsg",
		"dnstap-pdns explain --for 10m unix:///run/dnstap-pdns/dnstap.sock"},
	exits: []string{"nothing that must not leave would leave", "an input could not be read, the search is incomplete, or the report could not be written",
		"bad usage, or the configuration is invalid", "a canary, or something that the configuration forbids, would leave"},
}

func runExplain(ctx context.Context, args []string, std stdio) error {
	o, inputs, err := parseExplain(args, std)
	if err != nil {
		return err
	}
	switch n := nmsgInputs(inputs); {
	case n == len(inputs) && o.census:
		return runGateCensus(ctx, inputs, o.json, std.out)
	case n > 0:
		return &usageError{errors.New("an input is an NMSG file, which was scrubbed already: explain reads only NMSG files with --census, and no others then")}
	}
	file, err := loadConfig(o.config, std)
	if err != nil {
		return err
	}
	packets, err := replayPackets(&file.Config, o.resolvers, o.resolversGiven)
	if err != nil {
		return &usageError{err}
	}
	noteKafka(std.err, &file.Config)
	x := newExplainRun(&file.Config, o, packets, std)
	report, err := x.run(ctx, inputs, explain.Origin{
		Version:       buildVersion(),
		Command:       append([]string{"dnstap-pdns", "explain"}, args...),
		Configuration: configName(o.config),
	})
	if report == nil {
		return err
	}
	if o.json {
		return errors.Join(err, report.WriteJSON(std.out))
	}
	return errors.Join(err, report.WriteText(std.out, o.octets))
}

// explainOptions are the options of the command line.
type explainOptions struct {
	config         string
	resolvers      string
	resolversGiven bool
	canaries       []canary.Canary
	census         bool
	examples       bool
	octets, json   bool
	listens        time.Duration
}

func parseExplain(args []string, std stdio) (o explainOptions, inputs []string, err error) {
	fs := newOptions(explainUsage, std)
	fs.StringVarP(&o.config, "config", "c", "", configUsage)
	fs.StringVar(&o.resolvers, "resolvers", "", resolversUsage)
	octets := fs.flag("hex", "show which octets were changed, and their old values")
	census := fs.flag("census", "count the names that would leave and may identify a person, by kind")
	examples := fs.flag("examples", "show the census's examples unmasked")
	json := fs.flag("json", "print one JSON document")
	fs.DurationVar(&o.listens, "for", listenTime, "listen for this `DURATION` to an input that is a socket")
	fs.Func("canary", "`TEXT` that must not leave, in addition to what the configuration forbids: an address, a name or other text; may be repeated",
		func(s string) error {
			c, err := canary.Parse(s)
			o.canaries = append(o.canaries, c)
			return err
		})
	if err := fs.parse(args, anyNumber); err != nil {
		return o, nil, err
	}
	o.resolversGiven = fs.Changed("resolvers")
	o.octets, o.census, o.examples, o.json = *octets, *census, *examples, *json
	switch {
	case fs.NArg() == 0:
		err = errors.New("needs an INPUT: dnstap or packet files (.fstrm, .pcap, .pcapng), - for standard input, " +
			"or a socket to listen on: unix:///PATH or tcp://HOST:PORT")
	case o.examples && !o.census:
		err = errors.New("--examples shows names of the census: add --census")
	case o.listens <= 0:
		err = fmt.Errorf("--for %v: must be greater than zero", o.listens)
	default:
		return o, fs.Args(), nil
	}
	return o, nil, &usageError{err}
}

// discardSinks returns one sink for each message type of the configured sinks of records. The sinks
// encode records as uncompressed NMSG, with times as the policy leaves them, and discard them.
func discardSinks(c *conf.Config) []forward.SinkConfig {
	configured := map[nmsg.MessageType]bool{}
	for i := range c.Sinks {
		if c.Sinks[i].From == "" {
			configured[messageOf(c.Sinks[i].Format)] = true
		}
	}
	if len(configured) == 0 {
		configured[nmsg.DNSQR] = true
	}
	var sinks []forward.SinkConfig
	for _, t := range nmsg.MessageTypes() {
		if configured[t] {
			s := conf.SinkFor(t.String(), forward.Target{Scheme: forward.Stdout})
			s.Format = forward.NMSG{Message: t}
			sinks = append(sinks, s)
		}
	}
	return sinks
}

// messageOf returns the message type that has the content of a format of records: for an aggregate
// the one that has what RRsets are made of.
func messageOf(format forward.Format) nmsg.MessageType {
	switch f := format.(type) {
	case fstrm.Format:
		return nmsg.DNSTap
	case aggregate.Format:
		return nmsg.DNSObs
	case jsonl.Format:
		return f.Message
	default:
		return f.(forward.NMSG).Message
	}
}

// An explainRun is a replay that an Explainer observes.
type explainRun struct {
	*explain.Explainer
	replayer replayer
	sums     []*sum
}

func newExplainRun(c *conf.Config, o explainOptions, packets pcap.Config, std stdio) *explainRun {
	log := quietLogger(c.Log, std)
	x := &explainRun{Explainer: explain.New(c.Policy, explain.Options{Canaries: o.canaries, Masked: std.secrets.mask})}
	if o.census {
		x.EnableCensus(o.examples)
	}
	x.replayer = replayer{
		config:   c,
		inputs:   inputReader{config: c, packets: packets, in: std.in, copies: x.sum, listens: o.listens, log: log, notices: std.err},
		sinks:    discardSinks(c),
		log:      log,
		out:      io.Discard,
		progress: std.progress,
		observer: x.Explainer,
	}
	return x
}

// run returns a nil report if nothing could be read.
func (x *explainRun) run(ctx context.Context, inputs []string, from explain.Origin) (*explain.Report, error) {
	x.learn(ctx, inputs)
	ledger, err := x.replayer.run(ctx, inputs)
	if ledger == nil || err != nil && ledger.Total.Read == 0 {
		return nil, err
	}
	if err != nil {
		from.Problems = append(from.Problems, strings.Split(err.Error(), "\n")...)
	}
	for _, input := range inputs {
		if in, read := x.input(input); read {
			from.Inputs = append(from.Inputs, in)
		}
	}
	from.Packets, from.Causes = &x.replayer.inputs.stats, causesOf(&ledger.Total, &x.replayer.inputs.stats)
	report := x.Report(&ledger.Total, from)
	switch {
	case report.Found:
		err = errors.Join(err, errCanary)
	case err == nil && len(report.Problems) > 0:
		err = errors.New("the search is incomplete; the report shows why")
	}
	return &report, err
}

// learn reads the inputs that can be read twice, to find the addresses of the resolver. Errors
// are reported by the second reading.
func (x *explainRun) learn(ctx context.Context, inputs []string) {
	again := slices.DeleteFunc(slices.Clone(inputs), func(input string) bool {
		info, err := os.Stat(input)
		return input == "-" || err != nil || !info.Mode().IsRegular()
	})
	m := newMeter("finding the addresses of the resolver", again)
	defer x.replayer.progress.watch(m)()
	r := inputReader{config: x.replayer.config, packets: x.replayer.inputs.packets, meter: m}
	r.readAll(ctx, again, x.Learner(), func(string) transform.Lane { return x.Learner() })
}

// A sum is the length and hash of an input.
type sum struct {
	input  string
	octets uint64
	hash.Hash
}

func (s *sum) Write(b []byte) (int, error) {
	s.octets += uint64(len(b))
	return s.Hash.Write(b)
}

// sum returns a writer that computes the sum of an input.
func (x *explainRun) sum(input string) io.Writer {
	s := &sum{input, 0, sha256.New()}
	x.sums = append(x.sums, s)
	return s
}

// input returns the report's entry for an input. A file that was named twice has two sums, which
// it returns one after the other. read is false if the input was not read.
func (x *explainRun) input(name string) (in explain.Input, read bool) {
	for i, s := range x.sums {
		if s.input == name {
			x.sums = slices.Delete(x.sums, i, i+1)
			return explain.Input{Name: name, Octets: s.octets, SHA256: hex.EncodeToString(s.Sum(nil))}, true
		}
	}
	return explain.Input{Name: name}, isSocket(name)
}
