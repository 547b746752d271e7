package pcap

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"

	"github.com/dnstap-pdns/dnstap-pdns/fallback/pcap/packet"
	"github.com/dnstap-pdns/dnstap-pdns/transform"
)

// longestBurst is how many packets a lane gets at once.
const longestBurst = 256

// A Replay brings capture files to a lane, one after the other, as if they were one: a
// stream or a datagram may begin in one and go on in the next, as where captures rotate.
type Replay struct {
	dissector *packet.Dissector
	lane      transform.Lane
}

// NewReplay returns a Replay that has read nothing yet. Of cfg it uses Resolvers,
// VerifyChecksum, and the fields about tunnels.
func NewReplay(cfg Config, lane transform.Lane) (*Replay, error) {
	if err := cfg.check(); err != nil {
		return nil, err
	}
	to := cfg.DecapsulateTo
	if len(to) == 0 {
		to = everywhere()
	}
	return &Replay{packet.New(cfg.dissection(to)), lane}, nil
}

// Read reads a file, pcap or pcapng. What is damaged is an error that names the byte
// offset; what came before the damage is in the lane then.
//
// When ctx ends, Read ends between two reads, with the context's cause.
func (p *Replay) Read(ctx context.Context, r io.Reader) error {
	file, err := openFile(untilDone{ctx, r})
	if err != nil {
		return fmt.Errorf("reading the capture: %w", err)
	}
	for err == nil {
		err = replayBurst(file, p.dissector, p.lane)
	}
	if errors.Is(err, errCutOff) {
		p.lane.Begin()
		p.lane.Drop(transform.Malformed)
		p.lane.End()
	}
	switch {
	case errors.Is(err, io.EOF):
		return nil
	case ctx.Err() != nil:
		return context.Cause(ctx)
	}
	return fmt.Errorf("reading the capture: at byte %d: %w", file.offset(err), err)
}

// Close ends what no further file can make whole, closes the lane, and returns the counts
// of all files.
func (p *Replay) Close() packet.Stats {
	p.lane.Begin()
	p.dissector.Finish(p.lane)
	p.lane.End()
	p.lane.Close()
	return p.dissector.Stats()
}

// replayBurst reads packets for as long as none has to be waited for.
func replayBurst(file *captureFile, d *packet.Dissector, lane transform.Lane) error {
	var c packet.Captured
	link, err := file.next(&c)
	if err != nil {
		return err
	}
	lane.Begin()
	defer lane.End()
	for range longestBurst {
		replayPacket(d, link, &c, lane)
		if file.waits() {
			return nil
		}
		if link, err = file.next(&c); err != nil {
			return err
		}
	}
	replayPacket(d, link, &c, lane)
	return nil
}

func replayPacket(d *packet.Dissector, link packet.Link, c *packet.Captured, lane transform.Lane) {
	if c.Time == transform.NoTime {
		lane.Drop(transform.Malformed) // what became of it would have no time either
		return
	}
	d.Frame(link, c, lane)
}

// errNoResolvers says why there is no default.
var errNoResolvers = errors.New("no resolvers are named: only their addresses tell a resolver's own queries from its clients'")

// errNoTunnelSources says why there is no default.
var errNoTunnelSources = errors.New("decapsulate is set without decapsulate_from: any host could send forged messages in a tunnel: " +
	"set decapsulate_from to the addresses that tunnels come from")

// check holds the configuration to what packets cannot do without.
func (c *Config) check() error {
	switch {
	case len(c.Resolvers) == 0:
		return errNoResolvers
	case c.Decapsulate && len(c.DecapsulateFrom) == 0:
		return errNoTunnelSources
	}
	for _, list := range []struct {
		what     string
		prefixes []netip.Prefix
	}{{"resolver", c.Resolvers}, {"tunnel source", c.DecapsulateFrom}, {"tunnel destination", c.DecapsulateTo}} {
		for _, p := range list.prefixes {
			if !p.IsValid() {
				return fmt.Errorf("%s %v is neither an address nor a prefix", list.what, p)
			}
		}
	}
	return nil
}

// dissection configures a dissector that opens only tunnels to the addresses in to.
func (c *Config) dissection(to []netip.Prefix) packet.Config {
	return packet.Config{
		Resolvers:      c.Resolvers,
		Decapsulate:    c.Decapsulate,
		TunnelsFrom:    c.DecapsulateFrom,
		TunnelsTo:      to,
		VerifyChecksum: c.VerifyChecksum,
	}
}
