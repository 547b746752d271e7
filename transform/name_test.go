package transform

import (
	"net/netip"
	"strings"
	"testing"
	"time"
)

func TestParseLocalName(t *testing.T) {
	for _, tt := range []struct{ entry, want string }{
		{"univ.example", "univ.example"},
		{" Univ.Example. ", "univ.example"},
		{"univ", "univ"},
		{"bücher.example", "xn--bcher-kva.example"},
		{"BÜCHER.example", "xn--bcher-kva.example"},
		{"bu\u0308cher.example", "xn--bcher-kva.example"}, // decomposed
		{"xn--bcher-kva.example", "xn--bcher-kva.example"},
		{"XN--BCHER-KVA.Example", "xn--bcher-kva.example"},
		{"faß.example", "xn--fa-hia.example"},
		{"univ。example", "univ.example"}, // the ideographic full stop
		{"univ.example。", "univ.example"},
		{"_tcp.univ.example", "_tcp.univ.example"},
		{"2.0.192.in-addr.arpa", "2.0.192.in-addr.arpa"},
		{strings.Repeat("a", 63), strings.Repeat("a", 63)},
	} {
		if got, err := ParseLocalName(tt.entry); err != nil || got != tt.want {
			t.Errorf("%q: got %q, %v; want %q", tt.entry, got, err, tt.want)
		}
	}
}

func TestParseLocalNameRefuses(t *testing.T) {
	for _, entry := range []string{
		"", ".", " ", "..", "univ..example", "univ.example..", ".univ.example", "*.univ.example", "univ.example/24", "univ example",
		"user@univ.example", "univ\\046example", strings.Repeat("a", 64), strings.Repeat("a.", 130) + "example",
		"xn--\u00fc.example", "a\x00b", "\xff.example",
	} {
		if got, err := ParseLocalName(entry); err == nil {
			t.Errorf("%q is taken for %q", entry, got)
		}
		if _, err := NewPolicy(Config{PairingTimeout: time.Second, TimeResolution: 1, LocalNames: []string{entry}}); err == nil {
			t.Errorf("NewPolicy takes %q", entry)
		}
	}
}

// A file may be one line of anything, and must not keep a sensor from its work.
func TestParseLocalNameRefusesWhatIsTooLongAtOnce(t *testing.T) {
	var long strings.Builder
	for c := rune(0x4e00); long.Len() < 30000; c++ {
		long.WriteRune(c)
	}
	if _, err := ParseLocalName(long.String()); err == nil || len(err.Error()) > 100 {
		t.Errorf("got %v, want a short error", err)
	}
	longest := strings.Repeat(strings.Repeat("\u6f22", 50)+".", 4) + "example"
	if _, err := ParseLocalName(longest); err != nil {
		t.Errorf("a name of %d bytes: %v", len(longest), err)
	}
}

func TestNewPolicyRefuses(t *testing.T) {
	good := Config{PairingTimeout: time.Minute, TimeResolution: time.Second}
	if _, err := NewPolicy(good); err != nil {
		t.Fatal(err)
	}
	for name, edit := range map[string]func(*Config){
		"no timeout":                func(c *Config) { c.PairingTimeout = 0 },
		"timeout too long":          func(c *Config) { c.PairingTimeout = 25 * time.Hour },
		"no resolution":             func(c *Config) { c.TimeResolution = 0 },
		"negative resolution":       func(c *Config) { c.TimeResolution = -1 },
		"rcode too high":            func(c *Config) { c.Rcodes = []uint8{16} },
		"no resolver":               func(c *Config) { c.Resolvers = []netip.Prefix{{}} },
		"any resolver":              func(c *Config) { c.Resolvers = single(netip.IPv6Unspecified()) },
		"mapped network":            func(c *Config) { c.LocalNetworks = []netip.Prefix{netip.MustParsePrefix("::ffff:192.0.2.0/120")} },
		"resolvers' mapped network": func(c *Config) { c.Resolvers = []netip.Prefix{netip.MustParsePrefix("::ffff:192.0.2.0/120")} },
		"resolvers' no network":     func(c *Config) { c.Resolvers = []netip.Prefix{{}} },
		"resolvers' unspecified":    func(c *Config) { c.Resolvers = []netip.Prefix{netip.MustParsePrefix("0.0.0.0/32")} },
		"no network":                func(c *Config) { c.LocalNetworks = []netip.Prefix{{}} },
	} {
		c := good
		edit(&c)
		if _, err := NewPolicy(c); err == nil {
			t.Errorf("%s is taken", name)
		}
	}
}
