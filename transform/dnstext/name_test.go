package dnstext

import (
	"bytes"
	"strings"
	"testing"

	"github.com/miekg/dns"
)

func TestNamesAreExpandedAndBounded(t *testing.T) {
	label := func(n int) string { return string(rune(n)) + strings.Repeat("a", n) }
	longest := label(63) + label(63) + label(63) + label(61) + "\x00"
	for _, tt := range []struct {
		name, msg string
		off       int
		want      string
		end       int
		ok        bool
	}{
		{"root", "\x00", 0, "\x00", 1, true},
		{"labels", "\x01a\x02bc\x00x", 0, "\x01a\x02bc\x00", 6, true},
		{"pointer", "\x01a\x00\x01b\xc0\x00x", 3, "\x01b\x01a\x00", 7, true},
		{"pointer to a pointer", "\x01a\x00\xc0\x00\xc0\x03", 5, "\x01a\x00", 7, true},
		{"255 octets", longest, 0, longest, 255, true},
		{"256 octets", label(63) + label(63) + label(63) + label(62) + "\x00", 0, "", 0, false},
		{"loop through a label", "\x01a\xc0\x00", 0, "", 0, false},
		{"pointer to itself", "\xc0\x00", 0, "", 0, false},
		{"pointer forward", "\xc0\x02\x00", 0, "", 0, false},
		{"half a pointer", "\x00\xc0", 1, "", 0, false},
		{"reserved label", "\x80\x00", 0, "", 0, false},
		{"cut label", "\x05ab", 0, "", 0, false},
		{"no end", "\x01a", 0, "", 0, false},
		{"beyond the message", "\x00", 1, "", 0, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, end, ok := expandName([]byte("p"), []byte(tt.msg), tt.off)
			if string(got) != "p"+tt.want || end != tt.end || ok != tt.ok {
				t.Errorf("got %q, %d, %v; want %q, %d, %v", got[1:], end, ok, tt.want, tt.end, tt.ok)
			}
		})
	}
}

func TestEveryByteInANameReadsBack(t *testing.T) {
	for c := range 256 {
		wire := []byte{2, byte(c), 'x', 0}
		shown := string(AppendName(nil, wire, Zone))
		back := make([]byte, maxName)
		n, err := dns.PackDomainName(shown, back, 0, nil, false)
		if err != nil || !bytes.Equal(back[:n], wire) {
			t.Errorf("byte %#x shows as %q, which reads as % x (%v)", c, shown, back[:n], err)
		}
	}
}

func TestWhatIsNoNameShowsAsFarAsItGoes(t *testing.T) {
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
