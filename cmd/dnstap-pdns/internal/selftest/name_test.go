package selftest

import (
	"strings"
	"testing"
)

const (
	digits   = "0123456789abcdef"
	aName    = prefix + digits + ".com."
	aDecoy   = prefix + "fedcba9876543210.ipv4only.arpa."
	aRequest = `{"name": "` + aName + `", "decoy": "` + aDecoy + `"}`
)

func TestRandomNamesAreUniqueAndMayBeObserved(t *testing.T) {
	seen := map[string]bool{}
	for _, zone := range []string{"com", "COM.", "a-b.example", "_tcp.example", strings.Repeat("a.", 90) + "com"} {
		name, err := RandomName(zone)
		if err != nil {
			t.Errorf("%q: %v", zone, err)
			continue
		}
		if want := "." + strings.TrimSuffix(strings.ToLower(zone), ".") + "."; !strings.HasSuffix(name, want) || seen[name] {
			t.Errorf("below %q: made %q", zone, name)
		}
		seen[name] = true
	}
	for _, zone := range []string{"", ".", "a b", "bücher.example", "a..b", `a\.b`, strings.Repeat("a", 64), strings.Repeat("a.", 110) + "com"} {
		if name, err := RandomName(zone); err == nil {
			t.Errorf("below %q: made %q", zone, name)
		}
	}
}

func TestNamesOfUsersMayNotBeObserved(t *testing.T) {
	for name, want := range map[string]bool{
		aName: true, strings.ToUpper(aName): true, strings.TrimSuffix(aName, "."): true,
		prefix + strings.Repeat("a", 42) + ".com": true, prefix + digits + ".b.c.d": true,

		"": false, ".": false, "com.": false, "www.example.com.": false, digits + ".com.": false,
		prefix + digits[1:] + ".com.": false, prefix + digits[1:] + "g.com.": false, prefix + strings.Repeat("a", 43) + ".com": false,
		prefix + digits + ".": false, prefix + digits + "..": false, "x" + aName: false, "www." + aName: false,
		aName + "\n": false, prefix + digits + `\.com.`: false, prefix + digits + `.\000.com.`: false,
		prefix + digits + "." + strings.Repeat("a.", 110): false, prefix + digits + ".münchen.de": false,
	} {
		got, err := parseTarget(name)
		if (err == nil) != want {
			t.Errorf("%q: %v", name, err)
		}
		if err == nil && (len(got.label) != int(got.name[0]) || !strings.HasPrefix(string(got.label), prefix)) {
			t.Errorf("%q: label %q", name, got.label)
		}
	}
}
