package conf

import (
	"strings"
	"testing"
	"time"
)

// A parseCase is a row of a table: a text, and the value or a part of the error.
type parseCase[T any] struct {
	in    string
	want  T
	wrong string
}

func check[T comparable](t *testing.T, parse func(string) (T, error), rows []parseCase[T]) {
	t.Helper()
	for _, r := range rows {
		got, err := parse(r.in)
		if r.wrong != "" {
			if err == nil || !strings.Contains(err.Error(), r.wrong) {
				t.Errorf("%q: got %v, %v, want an error with %q", r.in, got, err, r.wrong)
			}
			continue
		}
		if err != nil || got != r.want {
			t.Errorf("%q: got %v, %v, want %v", r.in, got, err, r.want)
		}
	}
}

func TestSizes(t *testing.T) {
	check(t, parseSize, []parseCase[int64]{
		{in: "0"},
		{in: "512", want: 512},
		{in: "512B", want: 512},
		{in: "256KiB", want: 256 << 10},
		{in: "1 MiB", want: 1 << 20},
		{in: "16GiB", want: 16 << 30},
		{in: "8589934591GiB", want: 8589934591 << 30},
		{in: "8589934592GiB", wrong: "out of range"},
		{in: "99999999999999999999", wrong: "out of range"},
		{in: "", wrong: "not a whole number"},
		{in: "KiB", wrong: "not a whole number"},
		{in: " 1KiB", wrong: "not a whole number"},
		{in: "1  KiB", wrong: "not a whole number"},
		{in: "1KiB ", wrong: "not a whole number"},
		{in: "-1KiB", wrong: "not a whole number"},
		{in: "+1", wrong: "not a whole number"},
		{in: "1.5MiB", wrong: "not a whole number"},
		{in: "1_000", wrong: "not a whole number"},
		{in: "0x10", wrong: "not a whole number"},
		{in: "1k", wrong: "write KiB"},
		{in: "1KB", wrong: "write KiB"},
		{in: "1mib", wrong: "write MiB"},
		{in: "1G", wrong: "write GiB"},
		{in: "1TiB", wrong: "the units are"},
	})
}

func TestDurations(t *testing.T) {
	check(t, parseDuration, []parseCase[time.Duration]{
		{in: "500ms", want: 500 * time.Millisecond},
		{in: "1h30m", want: 90 * time.Minute},
		{in: "1.5s", want: 1500 * time.Millisecond},
		{in: "0", want: 0},
		{in: "0s", want: 0},
		{in: "60", wrong: `"60s" is seconds`},
		{in: "1.5", wrong: "the unit is missing"},
		{in: "-1s", wrong: "must not be negative"},
		{in: "1d", wrong: "the units are"},
		{in: "1 s", wrong: "not a duration"},
		{in: "inf", wrong: "not a duration"},
		{in: "", wrong: "not a duration"},
		{in: "9999999h", wrong: "not a duration"},
	})
}

func TestFormattedSizesAndDurationsParseBack(t *testing.T) {
	for n, want := range map[int64]string{
		0: "0", 1: "1", 512: "512", 1024: `"1KiB"`, 1025: "1025", 1536: "1536",
		1 << 20: `"1MiB"`, 3 << 20: `"3MiB"`, 16 << 30: `"16GiB"`,
	} {
		got := formatSize(n)
		if got != want {
			t.Errorf("%d bytes: got %s, want %s", n, got, want)
		}
		if back, err := parseSize(strings.Trim(got, `"`)); err != nil || back != n {
			t.Errorf("%s: got %d, %v, want %d", got, back, err, n)
		}
	}
	for d, want := range map[time.Duration]string{
		time.Nanosecond: "1ns", 500 * time.Millisecond: "500ms", 10 * time.Second: "10s", time.Minute: "1m",
		time.Hour: "1h", 90 * time.Minute: "1h30m", time.Hour + time.Second: "1h0m1s", 10 * time.Minute: "10m",
		24 * time.Hour: "24h", 20 * time.Hour: "20h",
	} {
		got := formatDuration(int64(d))
		if got != want {
			t.Errorf("%v: got %s, want %s", d, got, want)
		}
		if back, err := parseDuration(got); err != nil || back != d {
			t.Errorf("%s: got %v, %v, want %v", got, back, err, d)
		}
	}
}

func TestListenAddresses(t *testing.T) {
	check(t, parseListen, []parseCase[listenAddress]{
		{in: "unix:///run/a.sock", want: listenAddress{"unix", "/run/a.sock"}},
		{in: "unix:///run/../a b", want: listenAddress{"unix", "/a b"}},
		{in: "unix:///" + strings.Repeat("x", 106), want: listenAddress{"unix", "/" + strings.Repeat("x", 106)}},
		{in: "unix:///" + strings.Repeat("x", 107), wrong: "108 bytes"},
		{in: "unix:///", wrong: "name is missing"},
		{in: "unix://", wrong: "absolute"},
		{in: "unix:///a\x00b", wrong: "control character"},
		{in: "tcp://127.0.0.1:1", want: listenAddress{"tcp", "127.0.0.1:1"}},
		{in: "tcp://[2001:DB8::0]:65535", want: listenAddress{"tcp", "[2001:db8::]:65535"}},
		{in: "tcp://a-b.example:6000", want: listenAddress{"tcp", "a-b.example:6000"}},
		{in: "tcp://2001:db8::1:6000", wrong: "in brackets"},
		{in: "tcp://127.0.0.1:65536", wrong: "1 to 65535"},
		{in: "tcp://127.0.0.1:+1", wrong: "1 to 65535"},
		{in: "tcp://127.0.0.1:domain", wrong: "1 to 65535"},
		{in: "tcp://a/b:1", wrong: "neither an address nor a host name"},
		{in: "udp://127.0.0.1:1", wrong: "neither unix:// nor tcp://"},
		{in: "", wrong: "neither unix:// nor tcp://"},
	})
}

func TestRcodes(t *testing.T) {
	check(t, parseRcode, []parseCase[uint8]{
		{in: "NOERROR", want: 0},
		{in: "FORMERR", want: 1},
		{in: "notimp", want: 4},
		{in: "NOTZONE", want: 10},
		{in: "BADSIG", wrong: "extended rcode"},
		{in: "BADCOOKIE", wrong: "extended rcode"},
		{in: "3", wrong: "no such rcode"},
		{in: "", wrong: "no such rcode"},
	})
}
