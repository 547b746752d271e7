package canary

import (
	"net/netip"
	"strings"
	"testing"
)

// FuzzPlanted puts a canary, in one of its forms and in either case, into arbitrary octets: it
// must be found. Spaces separate it from digits, which would make another number of it.
func FuzzPlanted(f *testing.F) {
	f.Add("univ.example", []byte("\x03www"), []byte("\x00\x00\x01"), uint8(0), true)
	f.Add("192.0.2.53", []byte("\x00"), []byte("\xff"), uint8(5), false)
	f.Add("2001:db8::53", []byte("ip6:"), []byte(" -all"), uint8(3), true)
	f.Add("bücher.example", []byte("::"), []byte(":1"), uint8(4), true)
	f.Fuzz(func(t *testing.T, text string, before, after []byte, n uint8, upper bool) {
		c, err := Parse(text)
		if err != nil {
			return
		}
		p := c.patterns[int(n)%len(c.patterns)]
		planted := []byte(p.bytes)
		if p.fold && upper {
			for i, b := range planted {
				if 'a' <= b && b <= 'z' {
					planted[i] = b &^ 0x20
				}
			}
		}
		octets := append(append(append(append([]byte{}, before...), ' '), planted...), ' ')
		octets = append(octets, after...)
		var in Text
		in.Reset(octets, after) // an error reports only that after is not a message
		found := false
		NewSet([]Canary{mustParse(t, "another.example"), c}).Search(&in, func(f Finding) { found = found || f.Canary == 1 })
		if !found {
			t.Errorf("%q, as %s: not found in %q", text, p.name, octets)
		}
	})
}

// FuzzSpelledAddress puts an IPv6 address, in each spelling that package netip reads, into a
// text: it must be found.
func FuzzSpelledAddress(f *testing.F) {
	f.Add("2001:db8::53", "ip6=", ")")
	f.Add("::ffff:1.2.3.4", "", "")
	f.Add("1:2:3:4:5:6:7:8", "\x10", ".")
	f.Fuzz(func(t *testing.T, spelled, before, after string) {
		a, err := netip.ParseAddr(spelled)
		if err != nil || !a.Is6() || a.Zone() != "" || a.IsUnspecified() {
			return
		}
		var in Text
		if err := in.Reset([]byte(before + " " + spelled + " " + after)); err != nil {
			t.Fatal(err)
		}
		found := false
		NewSet([]Canary{OfAddr(a)}).Search(&in, func(Finding) { found = true })
		if !found {
			t.Errorf("%v is not found in %q", a, spelled)
		}
	})
}

// FuzzForbidden puts an item of the policy, in one of its forms, between spaces into arbitrary
// text: it must be found.
func FuzzForbidden(f *testing.F) {
	planted := []struct{ text, want string }{
		{"192.0.2.53", one}, {"53_2_0_192", one}, {"c0000235", one}, {"2001:db8:53::53", one6}, {"198.18.7.1", some},
		{"100-64-0-9", client}, {"corp.example", corp}, {"BÜCHER.example", books}, {"53.2.0.192.in-addr.arpa", one},
	}
	f.Add([]byte("v=spf1"), []byte("::1"), uint8(0), []byte("\x00\x00\x84\x00\x00\x01\x00\x00\x00\x00\x00\x00\x00\x00\x01\x00\x01"))
	f.Add([]byte("1.1.1."), []byte(".1"), uint8(3), []byte("\x01a\xc0\x00"))
	f.Fuzz(func(t *testing.T, before, after []byte, n uint8, wire []byte) {
		p := planted[int(n)%len(planted)]
		all := NewForbidden(site())
		all.Message(wire, wire, ClientSubnets(wire), nil) // must end
		rdata := append(append(append(append(append([]byte{}, before...), ' '), p.text...), ' '), after...)
		if len(rdata) > 1<<15 {
			return
		}
		if !strings.Contains(rules(recordHits(t, all, 65280, rdata)), p.want) {
			t.Errorf("%q: not found in %q", p.text, rdata)
		}
	})
}
