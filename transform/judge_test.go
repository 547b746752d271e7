package transform

import (
	"bytes"
	"testing"
)

func TestNamesAreJudgedByThemselves(t *testing.T) {
	everything, nothing := scrubPolicy(t), scrubPolicy(t, func(c *Config) {
		c.SpecialNames, c.LocalNames, c.LocalNetworks, c.Resolvers = false, nil, nil, nil
	})
	for name, want := range map[string]Reason{
		"x.univ.example": LocalName, "X.UNIV.Example": LocalName, "1.97.51.198.in-addr.arpa": LocalName,
		"53.2.0.192.in-addr.arpa": ResolverAddress,
		"x.ipv4only.arpa":         SpecialName, "PRINTER.local": SpecialName, "single": SpecialName,
		"www.example.com": Kept, "xuniv.example": Kept,
	} {
		wire := mustPackName(name)
		before := bytes.Clone(wire)
		if got := everything.JudgeName(wire); got != want {
			t.Errorf("%s: got %v, want %v", name, got, want)
		}
		if got := nothing.JudgeName(wire); got != Kept {
			t.Errorf("%s, where nothing is local: got %v", name, got)
		}
		if !bytes.Equal(wire, before) {
			t.Errorf("%s was changed: it is borrowed", name)
		}
	}
	for _, junk := range [][]byte{nil, {3, 'w', 'w'}, {0xc0, 12}, {0, 0}, bytes.Repeat([]byte{1, 'a'}, 200)} {
		if got := everything.JudgeName(junk); got != Malformed {
			t.Errorf("%x: got %v, want %v", junk, got, Malformed)
		}
	}
}
