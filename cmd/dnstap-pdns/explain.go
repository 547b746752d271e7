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
	"github.com/dnstap-pdns/dnstap-pdns/collector"
	"github.com/dnstap-pdns/dnstap-pdns/conf"
	"github.com/dnstap-pdns/dnstap-pdns/forward"
	"github.com/dnstap-pdns/dnstap-pdns/forward/nmsg"
)

// errCanary is what the report says in full.
var errCanary = errors.New("what must not leave is in what would; the report shows where")

// listenTime is how long a socket is listened to unless --for says otherwise.
const listenTime = time.Minute

func explainWhatLeaves(ctx context.Context, args []string, std stdio) error {
	fs := newFlags("explain", "[-c FILE] [--canary TEXT]... [--hex] [--json] [--resolvers LIST] [--for DURATION] INPUT...", std)
	path := fs.String("c", "", configUsage)
	resolvers := fs.String("resolvers", "", resolversUsage)
	octets := fs.Bool("hex", false, "show which octets were changed, and what they were")
	asJSON := fs.Bool("json", false, "one JSON document, for programs")
	listens := fs.Duration("for", listenTime, "for what `DURATION` to listen to an input that is a socket")
	var canaries []canary.Canary
	fs.Func("canary", "`TEXT` that must not leave: an address, a name, or any other; may be given again", func(s string) error {
		c, err := canary.Parse(s)
		canaries = append(canaries, c)
		return err
	})
	if err := parse(fs, args); err != nil {
		return err
	}
	switch {
	case fs.NArg() == 0:
		return &usageError{errors.New("wants dnstap or packet files (.fstrm, .pcap, .pcapng), - for standard input, " +
			"or a socket to listen on: unix:///PATH or tcp://HOST:PORT")}
	case *listens <= 0:
		return &usageError{fmt.Errorf("--for %v: must be longer than nothing", *listens)}
	}
	file, err := loadConfig(*path, std)
	if err != nil {
		return err
	}
	packets, err := replayPackets(&file.Config, *resolvers, isGiven(fs, "resolvers"))
	if err != nil {
		return &usageError{err}
	}
	x := explaining{
		Explainer: explain.New(file.Policy, canaries),
		replayer: replayer{
			config: &file.Config,
			sinks:  discarding(&file.Config),
			log:    quietLogger(file.Log, std.err),
			std:    stdio{in: std.in, out: io.Discard, err: std.err},
		},
	}
	x.replayer.beside = x.Explainer
	x.replayer.inputs = inputReader{
		config: &file.Config, packets: packets, in: std.in, log: x.replayer.log,
		copies: x.sum, listens: *listens, says: std.err,
	}
	report, err := x.run(ctx, fs.Args(), explain.Origin{
		Version:       buildVersion(),
		Command:       append([]string{"dnstap-pdns", "explain"}, args...),
		Configuration: cmp.Or(configPath(*path), "the built-in one"),
	})
	if report == nil {
		return err
	}
	if *asJSON {
		return errors.Join(err, report.WriteJSON(std.out))
	}
	return errors.Join(err, report.WriteText(std.out, *octets))
}

// discarding are sinks that make all that the configured ones would send, as plain NMSG,
// and send it nowhere: one for each message type.
func discarding(c *conf.Config) []forward.SinkConfig {
	types := map[nmsg.MessageType]bool{}
	for i := range c.Sinks {
		types[c.Sinks[i].Message] = true
	}
	if len(types) == 0 {
		types[nmsg.DNSQR] = true
	}
	var sinks []forward.SinkConfig
	for _, t := range nmsg.MessageTypes() {
		if types[t] {
			s := conf.SinkFor(t.String(), forward.Target{Scheme: forward.Stdout})
			s.Message, s.IDs = t, c.IDs
			sinks = append(sinks, s)
		}
	}
	return sinks
}

// explaining is a replay with an Explainer beside it.
type explaining struct {
	*explain.Explainer
	replayer replayer
	sums     []*sum
}

// run returns nil for a report where nothing could be read.
func (x *explaining) run(ctx context.Context, inputs []string, from explain.Origin) (*explain.Report, error) {
	x.learn(ctx, inputs)
	ledger, err := x.replayer.run(ctx, inputs)
	if ledger == nil || err != nil && ledger.Total.Read == 0 {
		return nil, err
	}
	if err != nil {
		from.Problems = append(from.Problems, strings.Split(err.Error(), "\n")...)
	}
	for _, input := range inputs {
		from.Inputs = append(from.Inputs, x.input(input))
	}
	report := x.Report(&ledger.Total, from)
	switch {
	case report.Found:
		err = errors.Join(err, errCanary)
	case err == nil && len(report.Problems) > 0:
		err = errors.New("not all that would leave could be searched; the report says why")
	}
	return &report, err
}

// learn reads what can be read twice for what it tells of the resolver. What is wrong with
// it is said when it is read again.
func (x *explaining) learn(ctx context.Context, inputs []string) {
	again := slices.DeleteFunc(slices.Clone(inputs), func(input string) bool {
		there, err := os.Stat(input)
		return input == "-" || err != nil || !there.Mode().IsRegular()
	})
	r := inputReader{config: x.replayer.config, packets: x.replayer.inputs.packets}
	r.readAll(ctx, again, x.Learner(), func(string) collector.Lane { return x.Learner() })
}

// A sum is that of all octets of an input.
type sum struct {
	input  string
	octets uint64
	hash.Hash
}

func (s *sum) Write(b []byte) (int, error) {
	s.octets += uint64(len(b))
	return s.Hash.Write(b)
}

// sum returns where an input's octets are to go.
func (x *explaining) sum(input string) io.Writer {
	s := &sum{input, 0, sha256.New()}
	x.sums = append(x.sums, s)
	return s
}

// input tells of the first that has that name and was not told of yet.
func (x *explaining) input(name string) explain.Input {
	for i, s := range x.sums {
		if s.input == name {
			x.sums = slices.Delete(x.sums, i, i+1)
			return explain.Input{Name: name, Octets: s.octets, SHA256: hex.EncodeToString(s.Sum(nil))}
		}
	}
	return explain.Input{Name: name}
}
