package forward

import (
	"reflect"
	"time"

	"github.com/dnstap-pdns/dnstap-pdns/forward/nmsg"
)

// SinkConfig describes one sink. A reload that changes any field swaps the sink's
// transport.
type SinkConfig struct {
	Name      string // the block's label
	Target    Target
	Format    Format
	IDs       nmsg.IDs        // of the payloads that lanes make for the sink
	MTU       int             // bytes of one container at most; a single larger payload is fragmented on UDP, else alone in its container
	Flush     time.Duration   // how long a record waits for its container to fill
	Queue     int64           // bytes of finished batches that wait for the sink at most
	Zlib      bool            // compress containers
	Transport TransportConfig // what only this kind of transport has
}

// Equal reports whether both describe the same sink in every field.
func (c *SinkConfig) Equal(o *SinkConfig) bool { return reflect.DeepEqual(c, o) }

// limit is the size, in bytes, that a unit is filled up to.
func (c *SinkConfig) limit() int { return min(c.MTU, BatchSize) }

// carries reports whether batches that were made for old can be sent as c says: the
// format is the same, and no unit was filled beyond c's limit.
func (c *SinkConfig) carries(old *SinkConfig) bool {
	return c.Format == old.Format && c.limit() >= old.limit()
}
