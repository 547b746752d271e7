package pcap

import (
	"context"
	"errors"
	"io"
)

// Replay brings a capture file, pcap or pcapng, to a lane, and closes the lane. Of
// cfg it heeds Resolvers, Decapsulate and VerifyChecksum. What is damaged is an
// error; what came before the damage is in the lane then.
//
// When ctx ends, Replay ends between two reads, with the context's cause.
func Replay(ctx context.Context, r io.Reader, cfg Config, lane Lane) error {
	lane.Close()
	return errors.ErrUnsupported
}
