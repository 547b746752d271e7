package pcap

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/dnstap-pdns/dnstap-pdns/fallback/pcap/packet"
	"github.com/dnstap-pdns/dnstap-pdns/transform"
)

// longestBurst is how many packets a lane gets at once.
const longestBurst = 256

// Replay brings a capture file, pcap or pcapng, to a lane, and closes the lane. Of
// cfg it heeds Resolvers, Decapsulate and VerifyChecksum. What is damaged is an
// error that names the byte offset; what came before the damage is in the lane then.
//
// When ctx ends, Replay ends between two reads, with the context's cause.
func Replay(ctx context.Context, r io.Reader, cfg Config, lane Lane) (packet.Stats, error) {
	defer lane.Close()
	if err := cfg.check(); err != nil {
		return packet.Stats{}, err
	}
	file, err := openFile(untilDone{ctx, r})
	if err != nil {
		return packet.Stats{}, fmt.Errorf("reading the capture: %w", err)
	}
	d := packet.New(cfg.dissection())
	for err == nil {
		err = replayBurst(file, d, lane)
	}
	lane.Begin()
	if errors.Is(err, errCutOff) {
		lane.Drop(transform.Malformed)
	}
	d.Finish(lane)
	lane.End()
	switch {
	case errors.Is(err, io.EOF):
		return d.Stats(), nil
	case ctx.Err() != nil:
		return d.Stats(), context.Cause(ctx)
	}
	return d.Stats(), fmt.Errorf("reading the capture: at byte %d: %w", file.offset(err), err)
}

// replayBurst reads packets for as long as none has to be waited for.
func replayBurst(file *captureFile, d *packet.Dissector, lane Lane) error {
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

func replayPacket(d *packet.Dissector, link packet.Link, c *packet.Captured, lane Lane) {
	if c.Time == transform.NoTime {
		lane.Drop(transform.Malformed) // what became of it would have no time either
		return
	}
	d.Frame(link, c, lane)
}

// errNoResolvers says why there is no default.
var errNoResolvers = errors.New("no resolvers are named: only their addresses tell a resolver's own queries from its clients'")

// check holds the configuration to what packets cannot do without.
func (c *Config) check() error {
	if len(c.Resolvers) == 0 {
		return errNoResolvers
	}
	for _, p := range c.Resolvers {
		if !p.IsValid() {
			return fmt.Errorf("resolver %v is neither an address nor a prefix", p)
		}
	}
	return nil
}

// dissection is what the packets are searched for.
func (c *Config) dissection() packet.Config {
	return packet.Config{Resolvers: c.Resolvers, Decapsulate: c.Decapsulate, VerifyChecksum: c.VerifyChecksum}
}
