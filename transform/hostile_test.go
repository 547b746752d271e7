package transform

import (
	"bytes"
	"fmt"
	"net/netip"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"
	"golang.org/x/sys/unix"

	"github.com/dnstap-pdns/dnstap-pdns/transform/dnswire"
	"github.com/dnstap-pdns/dnstap-pdns/transform/dnswire/wiretest"
)

// full returns a message with the longest possible record, whose rdata repeats a pattern.
func full(typ uint16, before []byte, pattern string) []byte {
	d := wiretest.New("q", typ)
	room := dnswire.MaxMessage - len(d.Wire) - 11 - len(before)
	return d.With(dnswire.Answer, "", typ, append(bytes.Clone(before), strings.Repeat(pattern, room/len(pattern))...)).Wire
}

// fullTXT is full with character-strings of 255 octets.
func fullTXT(pattern string) []byte {
	one := strings.Repeat(pattern, 255/len(pattern))
	return full(dns.TypeTXT, nil, string(charStrings(one+strings.Repeat(" ", 255-len(one)))))
}

// manyNames returns a HIP record with many names of two octets and more, which all end in one
// name with that number of labels and pointers.
func manyNames(labels int, each string) []byte {
	d := wiretest.New("q", dns.TypeHIP)
	at := len(d.Wire) + 11 + 4
	rdata := append([]byte{0, 0, 0, 0}, "\x04arpa\x00"...)
	last := at
	for range labels {
		next := at + len(rdata) - 4
		rdata = append(append(rdata, "\x011"...), wiretest.PointTo(last)...)
		last = next
	}
	name := append([]byte(each), wiretest.PointTo(last)...)
	for len(d.Wire)+11+len(rdata)+len(name) <= dnswire.MaxMessage {
		rdata = append(rdata, name...)
	}
	return d.With(dnswire.Answer, "", dns.TypeHIP, rdata).Wire
}

// intoOpaque returns a message whose names all point into rdata that by its type has no names.
func intoOpaque(opt bool) []byte {
	d := wiretest.New("q", dns.TypeNS)
	at := len(d.Wire) + 11
	chain := []byte{0}
	last := at
	for range 120 {
		next := at + len(chain)
		chain = append(append(chain, "\x01a"...), wiretest.PointTo(last)...)
		last = next
	}
	for len(chain) < 0x3f00-at {
		chain = append(append(chain, "\x01b"...), wiretest.PointTo(last)...)
	}
	d.With(dnswire.Answer, "", 65280, chain)
	if opt {
		d.With(dnswire.Additional, "", dns.TypeOPT, nil)
	}
	for i := 0; len(d.Wire)+16 <= dnswire.MaxMessage; i++ {
		d.Record(dnswire.Additional, wiretest.PointTo(at+1+4*120+4*(i%3700)), dns.TypeNS, append([]byte("\x01c"), wiretest.PointTo(at+1+4*120+4*((i+1)%3700))...))
	}
	return d.Wire
}

// manyRecords returns a message with the largest possible number of records.
func manyRecords(typ uint16, rdata string) []byte {
	d := wiretest.New("q", typ)
	for len(d.Wire)+11+len(rdata) <= dnswire.MaxMessage {
		d.With(dnswire.Additional, "", typ, []byte(rdata))
	}
	return d.Wire
}

// afterOPT returns a message with different names that a rebuild must compress again.
func afterOPT() []byte {
	d := wiretest.New("q", dns.TypeNS).With(dnswire.Additional, "", dns.TypeOPT, nil)
	for i := 0; ; i++ {
		name := wiretest.Name(strings.Repeat("a.", i%60) + fmt.Sprintf("%x.%x", i, i*7919%1000))
		if len(d.Wire)+len(name)+10+2 > dnswire.MaxMessage {
			return d.Wire
		}
		at := len(d.Wire)
		if at >= 0x4000 {
			at = dnswire.HeaderLen
		}
		d.Record(dnswire.Additional, name, dns.TypeNS, wiretest.PointTo(at))
	}
}

func hostileMessages() map[string][]byte {
	messages := map[string][]byte{
		"names of 123 pointers":           manyNames(122, "\x01b"),
		"bare names of 123 pointers":      manyNames(122, ""),
		"reverse names":                   manyNames(34, "\x01b"),
		"names into opaque rdata":         intoOpaque(false),
		"names into opaque rdata and OPT": intoOpaque(true),
		"names to compress anew":          afterOPT(),
		"empty records":                   manyRecords(65280, ""),
		"small records":                   manyRecords(65280, "\x01\x02\x03"),
		"addresses":                       manyRecords(dns.TypeA, "\xcb\x00\x71\x00"),
		"empty texts":                     full(dns.TypeTXT, nil, "\x00"),
		"empty parameters":                full(dns.TypeSVCB, []byte{0, 1, 0}, "\x00\x00\x00\x00"),
		"parameters of empty texts":       full(dns.TypeSVCB, []byte{0, 1, 0, 0, 1, 0xff, 0}, "\x00"),
	}
	for _, pattern := range []string{
		".", "..", ":", "::", ":::", "1:", "1:1:1:", "1::", "ffff:", "0:0::", "0-0--", "a1", "1a", "1.", "1.2.3.", "1.1.1.1:", "0", "a", "a.", "-", "univ.", "univ.example", "mail.",
		"mail.d1.", "d1.example.", "example.univ.", "arpa.", ".arpa", "ip6.arpa.", "1.ip6.arpa.", "in-addr.arpa.", "1.in-addr.arpa.", "\xc3\xbc.", "b\xc3", "b ",
	} {
		messages["TXT of "+pattern] = fullTXT(pattern)
		messages["octets of "+pattern] = full(65280, nil, pattern)
	}
	for _, pattern := range []string{
		"\x00", "\x01\x01", "\x01a", "\x04", "\x04univ", "\x04univ\x07exampl", "\x04mail", "\x04mail\x02d1", "\x04arpa", "\x03ip6\x04arpa",
		"\x011\x03ip6\x04arpa", "\x07in-addr\x04arpa", "\x0253\x07in-addr\x04arpa", "\x3f", "\xff", "\x01.", "\x01:",
	} {
		messages[fmt.Sprintf("labels of %q", pattern)] = full(65280, nil, pattern)
		messages[fmt.Sprintf("key of %q", pattern)] = full(dns.TypeDNSKEY, []byte{1, 0, 3, 13}, pattern)
	}
	return messages
}

// cpuTime runs work and returns the CPU time of this thread, which does not depend on other
// load of the machine.
func cpuTime(tb testing.TB, work func()) time.Duration {
	tb.Helper()
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	now := func() time.Duration {
		var ts unix.Timespec
		if err := unix.ClockGettime(unix.CLOCK_THREAD_CPUTIME_ID, &ts); err != nil {
			tb.Fatal(err)
		}
		return time.Duration(ts.Nano())
	}
	start := now()
	work()
	return now() - start
}

// onePass returns the time of a simple loop over the longest message: limits that are
// multiples of it hold on slow machines and with -race too.
func onePass(tb testing.TB) time.Duration {
	tb.Helper()
	text := full(65280, nil, "a.b c")
	best := time.Hour
	for range 20 {
		n := 0
		best = min(best, cpuTime(tb, func() {
			for _, c := range text {
				if isLabelChar(c) {
					n++
				}
			}
		}))
		if n == 0 {
			tb.Fatal("nothing read")
		}
	}
	return best
}

// TestNoMessageTakesLong checks that the search reads each octet a bounded number of times, for
// any octets and any number of local names.
func TestNoMessageTakesLong(t *testing.T) {
	limit := 4000 * onePass(t) // several times the worst case
	var many []string
	for i := range 1000 {
		many = append(many, fmt.Sprintf("mail.d%d.%sexample", i, strings.Repeat("x.", i%40)), fmt.Sprintf("d%d.bücher.example", i))
	}
	var resolvers []netip.Addr
	for i := range 60 {
		resolvers = append(resolvers, netip.AddrFrom4([4]byte{192, 0, 2, byte(i)}), netip.MustParseAddr(fmt.Sprintf("2001:db8:53::%x", i+1)))
	}
	var networks []netip.Prefix // next to the addresses in the messages, but without them
	for i := range 60 {
		networks = append(networks, netip.PrefixFrom(netip.AddrFrom4([4]byte{1, 1, 0, byte(4 * i)}), 30),
			netip.MustParsePrefix(fmt.Sprintf("1:1:1:1:0:%x::/96", i)))
	}
	policies := map[string]*Policy{
		"few": scrubPolicy(t),
		"many": scrubPolicy(t, func(c *Config) {
			c.LocalNames, c.Resolvers = append(c.LocalNames, many...), slices.Concat(networks, single(resolvers...))
		}),
	}
	for name, wire := range hostileMessages() {
		for size, p := range policies {
			lane := NewPairer(NewBudget(8))
			best, reason := time.Hour, Kept
			for range 6 {
				took := cpuTime(t, func() { reason = lane.Take(asResponse(wire), p, func(*Record) {}) })
				if best = min(best, took); best < limit {
					break
				}
			}
			if reason == Malformed {
				t.Errorf("%s is malformed", name)
			}
			if best > limit {
				t.Errorf("%s, %s local names: %v (limit %v), %v", name, size, best, limit, reason)
			}
		}
	}
}

func BenchmarkHostile(b *testing.B) {
	p := scrubPolicy(b)
	for name, wire := range hostileMessages() {
		b.Run(name, func(b *testing.B) {
			lane := NewPairer(NewBudget(8))
			for b.Loop() {
				lane.Take(asResponse(wire), p, func(*Record) {})
			}
		})
	}
}

// TestCompressionTableCannotBeMadeSlow writes names with adjacent hashes: the table keeps at
// most as many as one look-up reads.
func TestCompressionTableCannotBeMadeSlow(t *testing.T) {
	var c, empty compressor
	var out []byte
	for i, written := 0, 0; written < 60; i++ {
		name := wiretest.Name(fmt.Sprintf("%x", i))
		if home, _ := empty.find(nil, name); home >= maxProbes {
			continue
		}
		out = c.append(out, name, true)
		written++
	}
	if c.used == 0 || c.used > 2*maxProbes {
		t.Errorf("%d names kept", c.used)
	}
}
