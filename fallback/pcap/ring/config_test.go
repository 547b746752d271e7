package ring

import (
	"strings"
	"testing"
)

func goodConfig() Config {
	return Config{Interfaces: []string{"lo"}, Lanes: 1, Size: 32 << 20, Filter: Filter{Resolvers: prefixes("192.0.2.53/32")}}
}

func TestConfigErrors(t *testing.T) {
	for _, c := range []struct {
		change func(*Config)
		want   string
	}{
		{func(c *Config) {}, ""},
		{func(c *Config) { c.Interfaces = []string{"any"} }, ""},
		{func(c *Config) { c.Size = 1 << 20 }, ""},
		{func(c *Config) { c.Interfaces = nil }, "no interface"},
		{func(c *Config) { c.Interfaces = []string{"lo", "any"} }, "name it alone"},
		{func(c *Config) { c.Interfaces = []string{"any"}; c.Promiscuous = true }, "promiscuous"},
		{func(c *Config) { c.Interfaces = []string{"lo", "eth0", "lo"} }, `"lo" is named twice`},
		{func(c *Config) { c.Interfaces = []string{""} }, "empty name"},
		{func(c *Config) { c.Lanes = 0 }, "0 lanes"},
		{func(c *Config) { c.Lanes = 257 }, "257 lanes"},
		{func(c *Config) { c.Lanes = 2; c.Filter.Decapsulate = true }, "tunnels"},
		{func(c *Config) { c.Size = 1<<20 - 1 }, "needs at least 1048576"},
	} {
		cfg := goodConfig()
		c.change(&cfg)
		err := cfg.check()
		if c.want == "" && err != nil {
			t.Errorf("%+v: %v", cfg, err)
		}
		if c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%+v: got error %v, want one with %q", cfg, err, c.want)
		}
	}
}
