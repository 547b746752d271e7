package forward

import (
	"time"

	"github.com/dnstap-pdns/dnstap-pdns/transform"
)

// maxLull is the longest time between two records that says nothing against either.
const maxLull = transform.Time(24 * time.Hour)

// A fileClock tells to which time a replayed record is filed. It is the latest time
// of a record so far. One that is days off does not count, so that a single broken
// record makes no file of its own; not before the lane's clock, which believes
// nothing that is not confirmed, is days off too.
type fileClock struct {
	set bool
	now transform.Time
}

func (c *fileClock) at(record, lane transform.Time) transform.Time {
	switch {
	case !c.set:
		c.set, c.now = true, lane
	case near(record, c.now):
		c.now = max(c.now, record)
	case !near(lane, c.now):
		c.now = lane
	}
	return c.now
}

func near(a, b transform.Time) bool {
	a, b = min(a, b), max(a, b)
	return uint64(b)-uint64(a) <= uint64(maxLull) // their difference may be more than a Time holds
}
