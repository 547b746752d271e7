package page

import (
	"testing"
	"time"
)

func TestFormatting(t *testing.T) {
	for _, c := range []struct{ got, want string }{
		{number(uint64(0)), "0"}, {number(uint64(999)), "999"}, {number(uint64(1000)), "1,000"}, {number(uint64(1234567)), "1,234,567"},
		{number(int64(-1234)), "-1,234"}, {number(int64(-123)), "-123"}, {number(uint64(1) << 63), "9,223,372,036,854,775,808"},
		{counted(1, "record"), "1 record"}, {counted(uint64(0), "record"), "0 records"}, {counted(2345, "record"), "2,345 records"},
		{rate(0), "0"}, {rate(0.004), "under 0.01"}, {rate(0.123), "0.12"}, {rate(1), "1"}, {rate(12.34), "12.3"}, {rate(99.96), "100"}, {rate(1234.6), "1,235"},
		{size(int64(0)), "0 bytes"}, {size(int64(1023)), "1,023 bytes"}, {size(int64(16 << 20)), "16.0 MiB"}, {size(uint64(1) << 60), "1048576.0 TiB"},
		{span(0), "0 s"}, {span(-time.Second), "0 s"}, {span(59 * time.Second), "59 s"}, {span(61 * time.Second), "1 min 1 s"},
		{span(11*time.Minute + time.Second), "11 min"}, {span(61 * time.Minute), "1 h 1 min"}, {span(49 * time.Hour), "2 d 1 h"},
		{fill(1, 0), "0%"}, {fill(5, 10), "50.00%"}, {fill(11, 10), "100.00%"},
	} {
		if c.got != c.want {
			t.Errorf("got %q, want %q", c.got, c.want)
		}
	}
	for f, want := range map[float64]float64{0: 1, 0.3: 1, 1: 1, 1.2: 2, 3: 5, 5: 5, 7: 10, 99: 100, 100: 100, 101: 200, 51234: 100_000} {
		if got := ceiling(f); got != want {
			t.Errorf("an axis up to %v for %v, want %v", got, f, want)
		}
	}
}
