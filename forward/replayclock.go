package forward

import (
	"time"

	"github.com/dnstap-pdns/dnstap-pdns/transform"
)

// maxLull is the longest time between two records that is plausible.
const maxLull = transform.Time(24 * time.Hour)

// A replayClock gives the time under which a replayed record is filed: the latest time
// of a record so far. A record that is days off does not count, so that a single
// broken record makes no file of its own, until the lane's clock, which moves only when
// several records agree, is days off too.
type replayClock struct {
	set bool
	now transform.Time
}

func (c *replayClock) at(record, lane transform.Time) transform.Time {
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
