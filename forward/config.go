package forward

import (
	"reflect"
	"time"

	"github.com/dnstap-pdns/dnstap-pdns/forward/nmsg"
)

// SinkConfig describes one sink. A reload keeps the sinks whose configuration is
// Equal to what it was.
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
	Rotate  time.Duration // file: length of a file's interval, aligned to the epoch; 0: however long

	RotateSize int64    // file: another is begun before one is larger than so many bytes; 0: however large
	OnRotate   []string // file: program and arguments, run for each finished file, whose path is appended; nil: none
}

// Equal reports whether both describe the same sink, whatever fields there are.
func (c *SinkConfig) Equal(o *SinkConfig) bool { return reflect.DeepEqual(c, o) }
