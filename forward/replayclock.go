package forward

import (
	"time"

	"github.com/dnstap-pdns/dnstap-pdns/transform"
)

// maxLull is the longest plausible time between two records.
const maxLull = transform.Time(24 * time.Hour)

// A replayClock gives the time that selects the file of a replayed record: the latest time
// of a record so far. Times that differ by more than maxLull are ignored, so that a single
// wrong time does not make a file of its own, until the lane's clock, which changes only
// when several messages agree, differs by more than maxLull too.
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
	return uint64(b)-uint64(a) <= uint64(maxLull) // a Time cannot hold every difference
}
