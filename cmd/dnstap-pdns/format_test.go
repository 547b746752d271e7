package main

import (
	"bufio"
	"strings"
	"testing"
)

func TestFirstBytesIdentifyFormats(t *testing.T) {
	const neither = "is neither a dnstap file"
	for input, want := range map[string]struct {
		packets bool
		refusal string
	}{
		"\x00\x00\x00\x00\x00\x00\x00\x22":     {packets: false},
		"\xd4\xc3\xb2\xa1\x02\x00\x04\x00":     {packets: true},
		"\xa1\xb2\xc3\xd4\x00\x02\x00\x04":     {packets: true},
		"\x4d\x3c\xb2\xa1\x02\x00\x04\x00":     {packets: true},
		"\xa1\xb2\x3c\x4d\x00\x02\x00\x04":     {packets: true},
		"\x0a\x0d\x0d\x0a\x1c\x00\x00\x00":     {packets: true},
		"\x34\xcd\xb2\xa1\x02\x00\x04\x00":     {refusal: "editcap -F pcapng"},
		"\xa1\xb2\xcd\x34\x00\x02\x00\x04":     {refusal: "editcap -F pcapng"},
		"snoop\x00\x00\x00\x00\x00\x00\x02":    {refusal: "editcap -F pcapng"},
		"GMBU\x01\x02":                         {refusal: "editcap -F pcapng"},
		"NMSG\x00\x02":                         {refusal: "dnstap-pdns cat"},
		"\x04\x22\x4d\x18\x64\x40":             {refusal: "lz4"},
		"\x1f\x9d\x90\x00":                     {refusal: "compress"},
		"PK\x03\x04\x14\x00":                   {refusal: "zip"},
		"":                                     {refusal: "is empty or too short"},
		"\xd4\xc3\xb2":                         {refusal: "is empty or too short"},
		"\xd4\xc3\xb2\xa0\x02\x00\x04\x00":     {refusal: neither},
		"source \"dnstap\" \"a\" {":            {refusal: neither},
		"\x1f\x8b\x08\x00 which was gzip once": {refusal: neither},
	} {
		f, err := formatOf(bufio.NewReader(strings.NewReader(input)))
		if want.refusal == "" && (err != nil || f.packets != want.packets) {
			t.Errorf("%q: packets %v, %v; want %v", input, f.packets, err, want.packets)
		}
		if want.refusal != "" && (err == nil || !strings.Contains(err.Error(), want.refusal)) {
			t.Errorf("%q: got %v, want %q", input, err, want.refusal)
		}
	}
}
