package conf

import (
	"errors"
	"fmt"
	"math"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/miekg/dns"
)

// parseDuration reads a duration that is not negative.
func parseDuration(v string) (time.Duration, error) {
	if v != "" && v != "0" && strings.Trim(v, "0123456789.") == "" {
		return 0, fmt.Errorf("the unit is missing: \"%ss\" is seconds, \"%sms\" milliseconds", v, v)
	}
	d, err := time.ParseDuration(v)
	if err != nil {
		return 0, errors.New("not a duration; the units are ns, us, ms, s, m and h")
	}
	if d < 0 {
		return 0, errors.New("a duration must not be negative")
	}
	return d, nil
}

// formatDuration formats a duration in nanoseconds without the zero units that
// time.Duration appends.
func formatDuration(ns int64) string {
	v := time.Duration(ns).String()
	if strings.HasSuffix(v, "m0s") {
		v = strings.TrimSuffix(v, "0s")
	}
	if strings.HasSuffix(v, "h0m") {
		v = strings.TrimSuffix(v, "0m")
	}
	return v
}

var sizeUnits = []struct {
	name  string
	bytes int64
}{{"GiB", gib}, {"MiB", mib}, {"KiB", kib}, {"B", 1}, {"", 1}}

// parseSize reads a whole number, followed by one of sizeUnits.
func parseSize(v string) (int64, error) {
	digits := strings.TrimRight(v, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ")
	unit := v[len(digits):]
	n, err := strconv.ParseUint(strings.TrimSuffix(digits, " "), 10, 63)
	if errors.Is(err, strconv.ErrRange) {
		return 0, errors.New("out of range")
	}
	if err != nil {
		return 0, errors.New("not a whole number with a unit: B, KiB, MiB or GiB")
	}
	for _, u := range sizeUnits {
		if u.name != unit {
			continue
		}
		if n > uint64(math.MaxInt64/u.bytes) {
			return 0, errors.New("out of range")
		}
		return int64(n) * u.bytes, nil
	}
	if i := slices.Index([]string{"G", "M", "K"}, strings.ToUpper(unit[:1])); i >= 0 {
		return 0, fmt.Errorf("%s may mean 1000 or 1024: write %s, which is 1024-based", unit, sizeUnits[i].name)
	}
	return 0, errors.New("the units are B, KiB, MiB and GiB")
}

// formatSize formats bytes as an HCL expression, in the largest unit that gives a whole
// number.
func formatSize(n int64) string {
	for _, u := range sizeUnits {
		if n >= u.bytes && n%u.bytes == 0 && u.bytes > 1 {
			return fmt.Sprintf("%q", strconv.FormatInt(n/u.bytes, 10)+u.name)
		}
	}
	return strconv.FormatInt(n, 10)
}

// parseMode reads permission bits in octal.
func parseMode(v string) (os.FileMode, error) {
	n, err := strconv.ParseUint(v, 8, 32)
	if err != nil {
		return 0, errors.New("not octal: its digits are 0 to 7")
	}
	if n > uint64(os.ModePerm) {
		return 0, errors.New(`above "0777": only permission bits are allowed`)
	}
	return os.FileMode(n), nil
}

// parseAccount reads a user or group, which need not exist.
func parseAccount(v string) (string, error) {
	if hasControl(v) || strings.ContainsAny(v, " :/") {
		return "", errors.New("not a valid account name")
	}
	return v, nil
}

func parsePath(v string) (string, error) {
	if hasControl(v) {
		return "", errors.New("the path contains a control character")
	}
	return v, nil
}

// parseAddress reads an address of one host, without a zone.
func parseAddress(v string) (netip.Addr, error) {
	a, err := netip.ParseAddr(v)
	switch {
	case err != nil && strings.Contains(v, "/"):
		return netip.Addr{}, errors.New("must be an address, not a prefix")
	case err != nil:
		return netip.Addr{}, errors.New("not an IP address")
	case a.Zone() != "":
		return netip.Addr{}, errors.New("a zone (after %) has no meaning in DNS")
	case a.Is4In6():
		return netip.Addr{}, fmt.Errorf("write the IPv4 address itself: %q", a.Unmap())
	case a.IsUnspecified():
		return netip.Addr{}, errors.New("the unspecified address identifies no host")
	}
	return a, nil
}

// parseNetwork reads a prefix without host bits, or an address, which it returns as
// a prefix of full length.
func parseNetwork(v string) (netip.Prefix, error) {
	if !strings.Contains(v, "/") {
		a, err := parseAddress(v)
		if err != nil {
			return netip.Prefix{}, err
		}
		return netip.PrefixFrom(a, a.BitLen()), nil
	}
	p, err := netip.ParsePrefix(v)
	switch {
	case err != nil:
		return netip.Prefix{}, errors.New("not a prefix")
	case p.Addr().Is4In6():
		return netip.Prefix{}, errors.New("write the IPv4 prefix itself")
	case p != p.Masked():
		return netip.Prefix{}, fmt.Errorf("bits are set after the prefix: the network is %q", p.Masked())
	}
	return p, nil
}

// parseRcode reads the name of an rcode that fits the DNS header.
func parseRcode(v string) (uint8, error) {
	n, ok := dns.StringToRcode[strings.ToUpper(v)]
	if !ok {
		return 0, errors.New("no such rcode")
	}
	if n > 15 {
		return 0, errors.New("an extended rcode; responses with one never make a record")
	}
	return uint8(n), nil
}

func rcodeNames() string {
	var names []string
	for n := range 16 {
		if name, ok := dns.RcodeToString[n]; ok {
			names = append(names, name)
		}
	}
	return strings.Join(names, ", ")
}

// validName reports whether a block's name needs no escapes in logs, metrics and file
// names.
func validName(v string) bool {
	return len(v) <= 64 && v != "" && !strings.ContainsFunc(v, func(r rune) bool {
		return !isAlphanumeric(r) && r != '-' && r != '_'
	})
}

// validHost reports whether v has the form of a host name.
func validHost(v string) bool {
	return len(v) <= 253 && !strings.ContainsFunc(v, func(r rune) bool {
		return !isAlphanumeric(r) && r != '-' && r != '_' && r != '.'
	})
}

func isAlphanumeric(r rune) bool {
	return 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9'
}

func hasControl(v string) bool { return strings.ContainsFunc(v, unicode.IsControl) }
