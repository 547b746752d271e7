package forward

import (
	"strings"
	"time"

	"github.com/dnstap-pdns/dnstap-pdns/transform"
)

// rotation is how long one file of the sink lasts; 0: as long as the run. A name
// that tells no time does not change with it.
func rotation(c *SinkConfig) time.Duration {
	if c.Target.Scheme != File || !tellsTime(c.Target.Address) {
		return 0
	}
	return c.Rotate
}

func tellsTime(pattern string) bool {
	return strings.Contains(strings.ReplaceAll(pattern, "%%", ""), "%")
}

// intervalOf numbers intervals of length d from the epoch on, in UTC.
func intervalOf(t time.Time, d time.Duration) int64 {
	n := t.UnixNano() / int64(d)
	if t.UnixNano()%int64(d) < 0 {
		n--
	}
	return n
}

// intervalEnd is the time at which the interval ends that t lies in.
func intervalEnd(t time.Time, d time.Duration) time.Time {
	return time.Unix(0, (intervalOf(t, d)+1)*int64(d))
}

// wall is a message's time as the name of a file tells it: the epoch where it is
// not known.
func wall(t transform.Time) time.Time {
	if t == transform.NoTime {
		return time.Unix(0, 0)
	}
	return time.Unix(0, int64(t))
}
