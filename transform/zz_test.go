package transform

import (
	"net/netip"
	"testing"
)

func zzStream(tb testing.TB) []*Message {
	var all []*Message
	for _, c := range []string{"unbound-2", "bind-2", "pdns-2", "unbound", "bind", "pdns"} {
		all = append(all, loadCapture(tb, c)...)
	}
	return all
}
func BenchmarkZZ(b *testing.B) {
	stream := zzStream(b)
	policy := testPolicy(b, func(c *Config) {
		c.LocalNames = []string{"univ.example", "corp.example"}
		c.LocalNetworks = []netip.Prefix{netip.MustParsePrefix("198.51.100.0/24")}
	})
	p := NewPairer(NewBudget(131072))
	emit := func(*Record) {}
	b.ReportAllocs()
	for b.Loop() {
		for _, m := range stream {
			p.Take(m, policy, emit)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(len(stream)), "ns/msg")
}
