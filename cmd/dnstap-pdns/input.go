package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"strings"
	"sync/atomic"
	"time"

	"github.com/dnstap-pdns/dnstap-pdns/cmd/dnstap-pdns/internal/shortage"
	"github.com/dnstap-pdns/dnstap-pdns/cmd/dnstap-pdns/internal/uncompress"
	"github.com/dnstap-pdns/dnstap-pdns/collector"
	"github.com/dnstap-pdns/dnstap-pdns/conf"
	"github.com/dnstap-pdns/dnstap-pdns/fallback/pcap"
	"github.com/dnstap-pdns/dnstap-pdns/fallback/pcap/packet"
	"github.com/dnstap-pdns/dnstap-pdns/transform"
)

// An inputReader reads inputs into lanes: files, standard input and, if listens is set,
// connections of resolvers to a socket.
type inputReader struct {
	config  *conf.Config
	packets pcap.Config
	replay  *pcap.Replay // of packet inputs; nil before the first
	stats   packet.Stats // of packet inputs, after all were read
	in      *os.File
	piped   atomic.Bool // a pipe is being read

	// copies, unless nil, returns a writer that also gets the octets of an input: all octets
	// of a regular file, of other inputs those that were read.
	copies func(input string) io.Writer

	meter *meter // counts the octets of files and pipes; may be nil

	listens time.Duration // to each input that is the URL of a socket; 0: URLs are file names
	log     *slog.Logger
	notices io.Writer // reports where it listens
}

// readAll reads one input after the other until ctx ends, which is not an error. whole is false
// if ctx ended before all inputs were read. After ctx has ended it reads a pipe for pipeGrace,
// and stops listening to a socket at once. Damage ends an input, not the inputs after it. Each
// input closes lane. Each connection to a socket gets its lane from open.
func (r *inputReader) readAll(ctx context.Context, inputs []string, lane transform.Lane,
	open func(source string) transform.Lane) (whole bool, err error) {
	defer r.endPackets()
	var errs []error
	for i, input := range inputs {
		var err error
		if r.listens > 0 && isSocket(input) {
			err = r.listen(ctx, input, open)
		} else {
			err = r.read(ctx, input, lane)
		}
		stopped := ctx.Err() != nil && errors.Is(err, context.Cause(ctx))
		if err != nil && !stopped {
			errs = append(errs, fmt.Errorf("%s: %w", conf.Escape(input), err))
		}
		if ctx.Err() != nil {
			last := i == len(inputs)-1
			return last && !stopped && !errors.Is(err, errPipeOpen), errors.Join(errs...)
		}
	}
	return true, errors.Join(errs...)
}

// endPackets ends the fragments and streams that are incomplete after all inputs.
func (r *inputReader) endPackets() {
	if r.replay != nil {
		r.stats = r.replay.Close()
	}
}

// checkInputs opens and closes every input that is a file, and returns the errors. It does not open
// pipes, because their writers see that.
func checkInputs(inputs []string) error {
	var errs []error
	for _, input := range inputs {
		info, err := os.Stat(input)
		switch {
		case input == "-" || err == nil && info.Mode()&os.ModeNamedPipe != 0:
			continue
		case err == nil && info.IsDir():
			errs = append(errs, fmt.Errorf("%s is a folder: name its files", conf.Escape(input)))
			continue
		}
		f, err := openInput(input)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		f.Close()
	}
	return errors.Join(errs...)
}

func (r *inputReader) read(ctx context.Context, input string, lane transform.Lane) error {
	file := r.in
	if input != "-" {
		f, err := openInput(input)
		if err != nil {
			return err
		}
		defer f.Close()
		file = f
	}
	if isPipe(file) && ctx.Err() == nil {
		r.piped.Store(true)
		defer r.piped.Store(false)
		var done func()
		ctx, done = withPipeGrace(ctx)
		defer done()
	}
	octets := r.meter.counted(pollReader{ctx, file})
	if r.copies != nil {
		octets = io.TeeReader(octets, r.copies(input))
		if info, err := file.Stat(); err == nil && info.Mode().IsRegular() { // others may never end
			defer io.Copy(io.Discard, octets) // octets after damage
		}
	}
	in, err := uncompress.New(octets)
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
		return noResolvers(ctx, file, in)
	}
	if r.replay == nil {
		if r.replay, err = pcap.NewReplay(r.packets, lane); err != nil {
			return err
		}
	}
	return r.replay.Read(ctx, in)
}

var errNoResolvers = errors.New("contains packets, and the addresses of the resolver are unknown: " +
	`name them with --resolvers 192.0.2.53,2001:db8:53::53, or in a source "pcap" of the configuration`)

// noResolvers returns errNoResolvers. Of a file, it also names the addresses that query like a
// resolver.
func noResolvers(ctx context.Context, file *os.File, in io.Reader) error {
	if isPipe(file) {
		return errNoResolvers
	}
	senders := pcap.QuerySenders(ctx, in)
	if len(senders) == 0 {
		return errNoResolvers
	}
	return fmt.Errorf("%w; queries as resolvers send them come from %s", errNoResolvers, shortage.List(senders))
}

// limits returns the limits of the first dnstap source of the configuration, or else the defaults.
func (r *inputReader) limits() collector.Config {
	if len(r.config.Sources) > 0 {
		return r.config.Sources[0]
	}
	return conf.SourceDefaults()
}

func isSocket(input string) bool {
	return strings.HasPrefix(input, "unix://") || strings.HasPrefix(input, "tcp://")
}

// listen accepts connections of resolvers for r.listens, or until ctx ends.
func (r *inputReader) listen(ctx context.Context, input string, open func(source string) transform.Lane) error {
	config, err := r.socket(input)
	if err != nil {
		return &usageError{err}
	}
	source, err := collector.Listen(config, func() transform.Lane { return open(config.Name) }, r.log)
	if err != nil {
		return err
	}
	fmt.Fprintf(r.notices, "listening on %s for %v: connect the resolver to it\n", input, r.listens)
	ctx, stop := context.WithTimeout(ctx, r.listens)
	defer stop()
	if err := source.Run(ctx); err != nil {
		return err
	}
	if n := source.Stats().Broken; n > 0 {
		return fmt.Errorf("%d connections were closed because of broken framing, and their remaining frames were not read; see the log", n)
	}
	return nil
}

// socket returns the configured source at that address, or one with defaults.
func (r *inputReader) socket(input string) (collector.Config, error) {
	at, err := conf.SourceFor(input)
	if err != nil {
		return at, err
	}
	for _, c := range r.config.Sources {
		if c.Network == at.Network && c.Address == at.Address {
			return c, nil
		}
	}
	return at, nil
}

// openInput opens a file that the command line names. It escapes the name in errors.
func openInput(name string) (*os.File, error) {
	f, err := os.Open(name)
	if pathErr, ok := errors.AsType[*fs.PathError](err); ok {
		return nil, fmt.Errorf("open %s: %w", conf.Escape(name), pathErr.Err)
	}
	return f, err
}
