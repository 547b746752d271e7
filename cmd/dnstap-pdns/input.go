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

	"github.com/dnstap-pdns/dnstap-pdns/cmd/dnstap-pdns/internal/uncompress"
	"github.com/dnstap-pdns/dnstap-pdns/collector"
	"github.com/dnstap-pdns/dnstap-pdns/conf"
	"github.com/dnstap-pdns/dnstap-pdns/fallback/pcap"
	"github.com/dnstap-pdns/dnstap-pdns/fallback/pcap/packet"
	"github.com/dnstap-pdns/dnstap-pdns/transform"
)

// An inputReader brings inputs to lanes: files, standard input and, where it listens,
// resolvers that connect to a socket.
type inputReader struct {
	config  *conf.Config
	packets pcap.Config
	replay  *pcap.Replay // of the inputs that are packets; nil before the first
	stats   packet.Stats // of those, once all are read
	in      *os.File
	piped   atomic.Bool // a pipe is being read

	// copies returns where the octets of an input go, too: all of a file's, and what was
	// read of another; nil: nowhere.
	copies func(input string) io.Writer

	listens time.Duration // to each input that is a socket's URL; 0: there are none
	log     *slog.Logger
	says    io.Writer // where it listens
}

// readAll reads one input after the other until ctx ends, which is no error here: whole
// is false then, unless all were read. Of an input that is a pipe the rest is read for
// lingerTime even so; a socket is listened to no longer, and has no rest. An input that is
// damaged costs what is behind the damage, not the inputs after it. Each closes the lane;
// connections to a socket have lanes of their own.
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

// endPackets ends what the packets of all inputs have left unfinished.
func (r *inputReader) endPackets() {
	if r.replay != nil {
		r.stats = r.replay.Close()
	}
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
		ctx, done = lingering(ctx)
		defer done()
	}
	var octets io.Reader = patientReader{ctx, file}
	if r.copies != nil {
		octets = io.TeeReader(octets, r.copies(input))
		if of, err := file.Stat(); err == nil && of.Mode().IsRegular() { // another may never end
			defer io.Copy(io.Discard, octets) // what follows damage
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
		return errNoResolvers
	}
	if r.replay == nil {
		if r.replay, err = pcap.NewReplay(r.packets, lane); err != nil {
			return err
		}
	}
	return r.replay.Read(ctx, in)
}

var errNoResolvers = errors.New("is packets, which do not say who the resolver is: " +
	`name its addresses with --resolvers 192.0.2.53,2001:db8:53::53, or in a source "pcap" of the configuration`)

// limits are those of the configuration's first dnstap source, else the default's.
func (r *inputReader) limits() collector.Config {
	if len(r.config.Sources) > 0 {
		return r.config.Sources[0]
	}
	return conf.SourceDefaults()
}

func isSocket(input string) bool {
	return strings.HasPrefix(input, "unix://") || strings.HasPrefix(input, "tcp://")
}

// listen lets resolvers connect for as long as it is to, or until ctx ends.
func (r *inputReader) listen(ctx context.Context, input string, open func(source string) transform.Lane) error {
	at, err := r.socket(input)
	if err != nil {
		return &usageError{err}
	}
	source, err := collector.Listen(at, func() transform.Lane { return open(at.Name) }, r.log)
	if err != nil {
		return err
	}
	fmt.Fprintf(r.says, "listening on %s for %v: the resolver connects to it\n", input, r.listens)
	ctx, stop := context.WithTimeout(ctx, r.listens)
	defer stop()
	if err := source.Run(ctx); err != nil {
		return err
	}
	if n := source.Stats().Broken; n > 0 {
		return fmt.Errorf("%d connections were closed because of broken framing: what followed was not read; the log says more", n)
	}
	return nil
}

// socket is the configured source that listens there, or one with every default.
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

// openInput opens a file that is named on the command line. An error is one line,
// whatever the name.
func openInput(name string) (*os.File, error) {
	f, err := os.Open(name)
	if wrong, ok := errors.AsType[*fs.PathError](err); ok {
		return nil, fmt.Errorf("open %s: %w", conf.Escape(name), wrong.Err)
	}
	return f, err
}
