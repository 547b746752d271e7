package dnswire

import (
	"strings"
	"testing"
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
			got, end, ok := ExpandName([]byte("p"), []byte(tt.msg), tt.off)
			if string(got) != "p"+tt.want || end != tt.end || ok != tt.ok {
				t.Errorf("got %q, %d, %v; want %q, %d, %v", got[1:], end, ok, tt.want, tt.end, tt.ok)
			}
		})
	}
}
