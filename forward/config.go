package forward

import (
	"time"

	"github.com/dnstap-pdns/dnstap-pdns/forward/nmsg"
)

// SinkConfig describes one sink. It is comparable: a reload keeps the sinks whose
// configuration did not change.
type SinkConfig struct {
	Name    string // the block's label
	Target  Target
	Message nmsg.MessageType
	IDs     nmsg.IDs
	MTU     int           // bytes of one container at most; a single larger payload is fragmented on UDP, else alone in its container
	Flush   time.Duration // how long a record waits for its container to fill
	Queue   int64         // bytes of finished batches that wait for the sink at most
	Zlib    bool          // compress containers
	Rate    int           // UDP: datagrams a second at most, fragments counted one by one; 0: no limit
	Rotate  time.Duration // file: length of a file's interval, aligned to the epoch; 0: one file per run
}
