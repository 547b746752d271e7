package file

import (
	"fmt"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/lestrrat-go/strftime"

	"github.com/dnstap-pdns/dnstap-pdns/transform"
)

// naming makes the names of a sink's files from a pattern.
type naming struct{ pattern *strftime.Strftime }

func newNaming(pattern string) (naming, error) {
	p, err := strftime.New(pattern)
	if err != nil {
		return naming{}, fmt.Errorf("the name %s is not a strftime pattern (a percent sign is written %%%%): %w", pattern, err)
	}
	return naming{p}, nil
}

// path returns the name of a file that begins at t.
func (n naming) path(t time.Time) string { return n.pattern.FormatString(t.UTC()) }

// numbered returns path with number n: path itself for 0, else with -n before the extension.
func numbered(path string, n int) string {
	if n == 0 {
		return path
	}
	ext := filepath.Ext(path)
	return strings.TrimSuffix(path, ext) + "-" + strconv.Itoa(n) + ext
}

// unnumbered removes the number that numbered adds; false if path has none.
func unnumbered(path string) (string, bool) {
	ext := filepath.Ext(path)
	stem := strings.TrimSuffix(path, ext)
	i := strings.LastIndexByte(stem, '-')
	if n, err := strconv.Atoi(stem[i+1:]); i < 0 || err != nil || n < 1 {
		return "", false
	}
	return stem[:i] + ext, true
}

// Suffixes of hidden files.
const (
	partSuffix = ".part"
	markSuffix = ".rotate"
)

// hidden returns the name of a hidden file for a file, in the same directory.
func hidden(path, suffix string) string {
	dir, base := filepath.Split(path)
	return dir + "." + base + suffix
}

// Permanent returns the name that a file with this temporary name will get if it is free, both
// without the directory. ok is false if the name is not a temporary one.
func Permanent(temp string) (name string, ok bool) { return unhidden(temp, partSuffix) }

// unhidden returns the name from which hidden makes name, which has no directory; false if
// there is none.
func unhidden(name, suffix string) (string, bool) {
	base, dot := strings.CutPrefix(name, ".")
	base, ok := strings.CutSuffix(base, suffix)
	return base, dot && ok && base != ""
}

// partial returns the temporary name of a file.
func partial(path string) string { return hidden(path, partSuffix) }

// rotation returns rotate, or 0 (no rotation by time) if the pattern has no specification: a
// name without a time would be the same in every interval.
func rotation(pattern string, rotate time.Duration) time.Duration {
	if !strings.Contains(strings.ReplaceAll(pattern, "%%", ""), "%") {
		return 0
	}
	return rotate
}

// intervalOf returns the number of the interval of length d that contains t, counted from
// the Unix epoch.
func intervalOf(t time.Time, d time.Duration) int64 {
	n := t.UnixNano() / int64(d)
	if t.UnixNano()%int64(d) < 0 {
		n--
	}
	return n
}

// intervalEnd returns the end of the interval that contains t.
func intervalEnd(t time.Time, d time.Duration) time.Time {
	return time.Unix(0, (intervalOf(t, d)+1)*int64(d))
}

// wallTime returns t as a time.Time: the epoch if t is unknown.
func wallTime(t transform.Time) time.Time {
	if t == transform.NoTime {
		return time.Unix(0, 0)
	}
	return time.Unix(0, int64(t))
}
