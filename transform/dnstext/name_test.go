package dnstext

import (
	"bytes"
	"testing"

	"github.com/miekg/dns"

	"github.com/dnstap-pdns/dnstap-pdns/transform/dnswire"
)

func TestEveryByteInANameReadsBack(t *testing.T) {
	for c := range 256 {
		wire := []byte{2, byte(c), 'x', 0}
		shown := string(AppendName(nil, wire, Zone))
		back := make([]byte, dnswire.MaxName)
		n, err := dns.PackDomainName(shown, back, 0, nil, false)
		if err != nil || !bytes.Equal(back[:n], wire) {
			t.Errorf("byte %#x shows as %q, which reads as % x (%v)", c, shown, back[:n], err)
		}
	}
}

func TestMalformedNameIsShownUpToTheDamage(t *testing.T) {
	for wire, want := range map[string]string{
		"":            ".",
		"\x00":        ".",
		"\x01a":       "a.",
		"\x05ab":      "ab.",
		"\xc0\x0c":    `\012.`,
		"\x01a\x00zz": "a.",
	} {
		if got := AppendName(nil, []byte(wire), WDNS); string(got) != want {
			t.Errorf("%q shows as %q, want %q", wire, got, want)
		}
	}
}
