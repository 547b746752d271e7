package transform

import (
	"testing"
	"time"
)

func TestTruncatedTimes(t *testing.T) {
	for _, c := range []struct{ at, want Time }{
		{0, 0}, {1, 0}, {59_999_999_999, 0}, {60e9, 60e9}, {61e9, 60e9}, {-1, -60e9}, {-60e9, -60e9}, {NoTime, NoTime},
	} {
		r := Record{QueryTime: c.at, ResponseTime: c.at}
		if r.Truncate(0); r.QueryTime != c.at || r.ResponseTime != c.at {
			t.Errorf("%d: without a resolution %d and %d", c.at, r.QueryTime, r.ResponseTime)
		}
		if r.Truncate(time.Minute); r.QueryTime != c.want || r.ResponseTime != c.want {
			t.Errorf("%d: got %d and %d, want %d", c.at, r.QueryTime, r.ResponseTime, c.want)
		}
	}
}
