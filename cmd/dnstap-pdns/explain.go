package main

import (
	"cmp"
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
	"github.com/dnstap-pdns/dnstap-pdns/forward/nmsg"
	"github.com/dnstap-pdns/dnstap-pdns/transform"
)

// errCanary is the error of a report with findings.
var errCanary = errors.New("something that must not leave was found in what would leave; the report shows where")

// listenTime is the default of --for.
const listenTime = time.Minute

func runExplain(ctx context.Context, args []string, std stdio) error {
	o, inputs, err := parseExplain(args, std)
	if err != nil {
		return err
	}
	file, err := loadConfig(o.config, std)
	if err != nil {
		return err
	}
	packets, err := replayPackets(&file.Config, o.resolvers, o.resolversGiven)
	if err != nil {
		return &usageError{err}
	}
	x := newExplainRun(&file.Config, o, packets, std)
	report, err := x.run(ctx, inputs, explain.Origin{
		Version:       buildVersion(),
		Command:       append([]string{"dnstap-pdns", "explain"}, args...),
		Configuration: cmp.Or(configPath(o.config), "the built-in one"),
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
	fs := newFlags("explain", "[-c FILE] [--canary TEXT]... [--census [--examples]] [--hex] [--json] [--resolvers LIST] [--for DURATION] INPUT...", std)
	fs.StringVar(&o.config, "c", "", configUsage)
	fs.StringVar(&o.resolvers, "resolvers", "", resolversUsage)
	fs.BoolVar(&o.octets, "hex", false, "show which octets were changed, and their old values")
	fs.BoolVar(&o.census, "census", false, "count the names that would leave and may identify a person, by kind")
	fs.BoolVar(&o.examples, "examples", false, "show the census's examples unmasked")
	fs.BoolVar(&o.json, "json", false, "print one JSON document")
	fs.DurationVar(&o.listens, "for", listenTime, "listen for this `DURATION` to an input that is a socket")
	fs.Func("canary", "`TEXT` that must not leave, in addition to what the configuration forbids: an address, a name or other text; may be repeated", func(s string) error {
		c, err := canary.Parse(s)
		o.canaries = append(o.canaries, c)
		return err
	})
	if err := parse(fs, args); err != nil {
		return o, nil, err
	}
	o.resolversGiven = isGiven(fs, "resolvers")
	misplaced := slices.IndexFunc(fs.Args(), isMisplacedOption)
	switch {
	case misplaced >= 0:
		err = fmt.Errorf("%s: no such file; options must come before INPUT", conf.Escape(fs.Arg(misplaced)))
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

// isMisplacedOption reports whether an input looks like an option and is not a file. Without
// this check a canary in the wrong place would not be searched for and look as if not found.
func isMisplacedOption(input string) bool {
	if !strings.HasPrefix(input, "-") || input == "-" {
		return false
	}
	_, err := os.Stat(input)
	return err != nil
}

// discardSinks returns one sink for each message type of the configured sinks. The sinks encode
// records as uncompressed NMSG and discard them.
func discardSinks(c *conf.Config) []forward.SinkConfig {
	formats := map[forward.Format]bool{}
	for i := range c.Sinks {
		formats[c.Sinks[i].Format] = true
	}
	if len(formats) == 0 {
		formats[forward.NMSG{Message: nmsg.DNSQR}] = true
	}
	var sinks []forward.SinkConfig
	for _, t := range nmsg.MessageTypes() {
		if format := (forward.NMSG{Message: t}); formats[format] {
			s := conf.SinkFor(t.String(), forward.Target{Scheme: forward.Stdout})
			s.Format, s.IDs = format, c.IDs
			sinks = append(sinks, s)
		}
	}
	return sinks
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
		x.Count(o.examples)
	}
	x.replayer = replayer{
		config:   c,
		inputs:   inputReader{config: c, packets: packets, in: std.in, copies: x.sum, listens: o.listens, log: log, progress: std.err},
		sinks:    discardSinks(c),
		log:      log,
		out:      io.Discard,
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
	r := inputReader{config: x.replayer.config, packets: x.replayer.inputs.packets}
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

// input returns the first input of that name that it has not returned before. read is false if
// the input was not read.
func (x *explainRun) input(name string) (in explain.Input, read bool) {
	for i, s := range x.sums {
		if s.input == name {
			x.sums = slices.Delete(x.sums, i, i+1)
			return explain.Input{Name: name, Octets: s.octets, SHA256: hex.EncodeToString(s.Sum(nil))}, true
		}
	}
	return explain.Input{Name: name}, isSocket(name)
}
