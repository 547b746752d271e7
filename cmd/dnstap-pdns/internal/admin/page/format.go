package page

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// number returns n with a separator between thousands.
func number[N int | int32 | int64 | uint32 | uint64](n N) string {
	s := fmt.Sprint(n)
	for i := len(s) - 3; i > 0 && s[i-1] != '-'; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

// counted returns n and a noun in singular or plural.
func counted[N int | uint64](n N, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return number(n) + " " + what + "s"
}

// rate returns a rate per second with few digits.
func rate(f float64) string {
	switch {
	case f == 0:
		return "0"
	case f < 0.01:
		return "under 0.01"
	case f < 1:
		return strconv.FormatFloat(f, 'g', 2, 64)
	case f < 100:
		return strings.TrimSuffix(strconv.FormatFloat(f, 'f', 1, 64), ".0")
	}
	return number(uint64(f + 0.5))
}

// size returns a number of bytes in the largest fitting unit.
func size[N int64 | uint64](n N) string {
	units := []string{"bytes", "KiB", "MiB", "GiB", "TiB"}
	f, i := float64(n), 0
	for ; f >= 1024 && i < len(units)-1; i++ {
		f /= 1024
	}
	if i == 0 {
		return number(uint64(n)) + " bytes"
	}
	return fmt.Sprintf("%.1f %s", f, units[i])
}

// span returns a duration in one or two units.
func span(d time.Duration) string {
	d = max(0, d.Truncate(time.Second))
	days, h, m, s := int(d.Hours())/24, int(d.Hours())%24, int(d.Minutes())%60, int(d.Seconds())%60
	switch {
	case days > 0:
		return fmt.Sprintf("%d d %d h", days, h)
	case h > 0:
		return fmt.Sprintf("%d h %d min", h, m)
	case m >= 10:
		return fmt.Sprintf("%d min", m)
	case m > 0:
		return fmt.Sprintf("%d min %d s", m, s)
	}
	return fmt.Sprintf("%d s", s)
}

// moment returns a time for people, in UTC.
func moment(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05 UTC") }

// stamp returns a time for programs.
func stamp(t time.Time) string { return t.UTC().Format(time.RFC3339) }
