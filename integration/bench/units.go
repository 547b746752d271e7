package main

import (
	"fmt"
	"strconv"
	"time"
)

// each returns a share of a CPU time.
func each(d time.Duration, n int64) string {
	return thousands(int(d.Nanoseconds()/max(n, 1))) + " ns"
}

// times returns the ratio of two CPU times.
func times(of, base time.Duration) string { return fmt.Sprintf("%.2f", float64(of)/float64(base)) }

// perSecond returns how many of n there were in a second.
func perSecond(n int, took time.Duration) string { return thousands(int(float64(n) / took.Seconds())) }

// percent returns a share; below 10 % with two decimals.
func percent(share float64) string {
	if share < 0.1 {
		return fmt.Sprintf("%.2f %%", 100*share)
	}
	return fmt.Sprintf("%.1f %%", 100*share)
}

// thousands returns a number with a comma before each group of three digits.
func thousands(n int) string {
	if n < 0 {
		return "-" + thousands(-n)
	}
	text := strconv.Itoa(n)
	for i := len(text) - 3; i > 0; i -= 3 {
		text = text[:i] + "," + text[i:]
	}
	return text
}

func mib(bytes int64) float64 { return float64(bytes) / (1 << 20) }

// inMiB returns a size.
func inMiB(bytes int64) string { return fmt.Sprintf("%.1f MiB", mib(bytes)) }

// medianText says how the runs become a figure.
func (b *run) medianText() string {
	if b.runs == 1 {
		return "one run"
	}
	return fmt.Sprintf("median of %d runs", b.runs)
}
