package dnswire

import (
	"bytes"
	"strings"
	"testing"

	"github.com/miekg/dns"

	"github.com/dnstap-pdns/dnstap-pdns/transform/dnswire/wiretest"
)

func lowered(c byte) byte {
	if 'A' <= c && c <= 'Z' {
		return c + 'a' - 'A'
	}
	return c
}

func TestLower(t *testing.T) {
	var all []byte
	for c := range 256 {
		all = append(all, byte(c))
	}
	for start := range 17 {
		for end := start; end <= len(all); end++ {
			got, want := bytes.Clone(all[start:end]), bytes.Clone(all[start:end])
			for i, c := range want {
				want[i] = lowered(c)
			}
			if Lower(got); !bytes.Equal(got, want) {
				t.Fatalf("% x became % x", all[start:end], got)
			}
			if !EqualFold(got, all[start:end]) || !EqualFold(all[start:end], got) {
				t.Fatalf("% x is not its lowercase", all[start:end])
			}
		}
	}
	for a := range 256 {
		for b := range 256 {
			want := lowered(byte(a)) == lowered(byte(b))
			if got := EqualFold([]byte{byte(a)}, []byte{byte(b)}); got != want {
				t.Errorf("%#x and %#x: equal %v", a, b, got)
			}
		}
	}
}

func TestIsBelow(t *testing.T) {
	for _, row := range []struct {
		name, zone string
		want       bool
	}{
		{"example.com", "example.com", true}, {"a.b.example.com", "example.com", true}, {"com", ".", true}, {".", ".", true},
		{"notexample.com", "example.com", false}, {"example.com.evil", "example.com", false}, {"com", "example.com", false},
		{".", "com", false}, {"example.net", "example.com", false}, {"x\x07example.com", "example.com", false},
	} {
		if got := IsBelow(wiretest.Name(row.name), wiretest.Name(row.zone)); got != row.want {
			t.Errorf("%s and %s: got %v", row.name, row.zone, got)
		}
	}
}

func TestIsName(t *testing.T) {
	longest := wiretest.Name(strings.Repeat("a.", 127))
	for name, want := range map[string]bool{
		"\x00": true, "\x01a\x00": true, string(longest): true,
		"": false, "\x01a": false, "\x02a\x00": false, "\x00\x00": false, "\x01a\x00\x00": false, "\xc0\x00": false,
		"\x40" + strings.Repeat("a", 64) + "\x00": false, "\x01b" + string(longest): false,
	} {
		if got := IsName([]byte(name)); got != want {
			t.Errorf("%q: got %v", name, got)
		}
	}
}

func TestSameName(t *testing.T) {
	const msg = "\x01a\x01b\x00\x01c\xc0\x02\xc0\x05"
	for _, tt := range []struct {
		off  int
		name string
		want bool
	}{
		{0, "\x01a\x01b\x00", true},
		{5, "\x01c\x01b\x00", true},
		{9, "\x01c\x01b\x00", true},
		{4, "\x00", true},
		{0, "\x01A\x01b\x00", false},
		{0, "\x01a\x00", false},
		{2, "\x01b\x01b\x00", false},
		{0, "\x02ab\x00", false},
	} {
		if got := SameName([]byte(msg), tt.off, []byte(tt.name)); got != tt.want {
			t.Errorf("%q at %d: got %v", tt.name, tt.off, got)
		}
	}
}

func TestNameEnd(t *testing.T) {
	for _, tt := range []struct {
		msg       string
		off, want int
	}{
		{"\x00", 0, 1},
		{"\x01a\x00", 0, 3},
		{"\x01a\x00", 2, 3},
		{"\x01a\xc0\x00", 0, 4},
		{"\x01a\xc0", 0, 4}, // the caller compares it with the end of the rdata
		{"\xff\x00", 0, 2},
		{"", 0, -1},
		{"\x00", 1, -1},
		{"\x01a", 0, -1},
		{"\x02a", 0, -1},
		{"\x40a\x00", 0, -1},
		{"\x80\x00", 0, -1},
	} {
		if got := NameEnd([]byte(tt.msg), tt.off); got != tt.want {
			t.Errorf("%q from %d: got %d, want %d", tt.msg, tt.off, got, tt.want)
		}
	}
}

func TestRecordEnd(t *testing.T) {
	record := wiretest.Unhex(t, "0161 00 0010 0001 0000003c 0002 01 61")
	for n := range len(record) + 1 {
		typ, end := RecordEnd(record[:n], 0)
		switch {
		case n < len(record)-2 && end >= 0:
			t.Errorf("%d octets: end %d", n, end)
		case n >= len(record)-2 && (typ != dns.TypeTXT || end != len(record)):
			t.Errorf("%d octets: type %d, end %d, want %d and %d", n, typ, end, dns.TypeTXT, len(record))
		}
	}
}

// FuzzExpandName compares ExpandName with miekg/dns, which follows pointers in any direction
// and not more than 126.
func FuzzExpandName(f *testing.F) {
	f.Add([]byte("\x01a\x00"), 0)
	f.Add([]byte("\x01a\x00\x01b\xc0\x00"), 3)
	f.Add([]byte("\xc0\x00"), 0)
	f.Add([]byte("\x01a\xc0\x00"), 0)
	f.Add([]byte("\x00\xc0\x03\x00"), 1)
	f.Add(wiretest.Name(strings.Repeat("a.", 127)), 0)
	f.Add(wiretest.Name(strings.Repeat("a.", 128)), 0)
	f.Fuzz(func(t *testing.T, msg []byte, off int) {
		if off < 0 || off > len(msg) || len(msg) > MaxMessage {
			return
		}
		got, end, ok := ExpandName([]byte("before"), msg, off)
		if !bytes.HasPrefix(got, []byte("before")) {
			t.Fatalf("% x does not begin with what was there", got)
		}
		got = got[len("before"):]
		if !ok {
			if len(got) > 0 {
				t.Errorf("malformed, but % x was appended", got)
			}
			return
		}
		if !IsName(got) || end != NameEnd(msg, off) || end > len(msg) {
			t.Errorf("% x, end %d, NameEnd %d", got, end, NameEnd(msg, off))
		}
		want, wantEnd, err := dns.UnpackDomainName(msg, off)
		if err != nil {
			return // too many pointers
		}
		if text, _, err := dns.UnpackDomainName(got, 0); err != nil || text != want || end != wantEnd {
			t.Errorf("%s, %v, end %d; want %s, end %d", text, err, end, want, wantEnd)
		}
	})
}
