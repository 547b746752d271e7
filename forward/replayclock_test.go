package forward

import (
	"math"
	"testing"
	"time"

	"github.com/dnstap-pdns/dnstap-pdns/transform"
)

func TestReplayClockFollowsRecordTimes(t *testing.T) {
	const (
		start  = transform.Time(1_700_000_000_000_000_000)
		minute = transform.Time(time.Minute)
		day    = 24 * 60 * minute
	)
	var c replayClock
	for _, row := range []struct {
		name         string
		record, lane transform.Time
		want         transform.Time
	}{
		{"the first by the lane's clock", start - minute, start, start},
		{"a minute on", start + minute, start, start + minute},
		{"an hour's lull, which the lane does not believe yet", start + 61*minute, start, start + 61*minute},
		{"a step back", start + 60*minute, start, start + 61*minute},
		{"in 1970", 0, start, start + 61*minute},
		{"in 2106", math.MaxUint32 * transform.Time(time.Second), start, start + 61*minute},
		{"at the lowest time there is", math.MinInt64 + 1, start, start + 61*minute},
		{"on as before", start + 62*minute, start, start + 62*minute},
		{"three days later, unconfirmed", start + 3*day, start, start + 62*minute},
		{"three days later, confirmed", start + 3*day, start + 3*day, start + 3*day},
		{"back, confirmed", start, start, start},
	} {
		if got := c.at(row.record, row.lane); got != row.want {
			t.Errorf("%s: filed at %d, want %d", row.name, got, row.want)
		}
	}
}
