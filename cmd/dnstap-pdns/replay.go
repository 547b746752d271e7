package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/dnstap-pdns/dnstap-pdns/conf"
	"github.com/dnstap-pdns/dnstap-pdns/fallback/pcap"
	"github.com/dnstap-pdns/dnstap-pdns/forward"
	"github.com/dnstap-pdns/dnstap-pdns/forward/nmsg"
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
