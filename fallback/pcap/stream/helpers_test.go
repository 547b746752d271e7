package stream

import (
	stdcmp "cmp"
	"encoding/binary"
	"fmt"
	"net/netip"
	"testing"
	"time"

	"github.com/dnstap-pdns/dnstap-pdns/transform"
	"github.com/google/go-cmp/cmp"
	"github.com/miekg/dns"
)

const second = transform.Time(time.Second)

// A failer is *testing.T, *testing.F or *rapid.T.
type failer interface {
	Helper()
	Fatalf(format string, args ...any)
}

// A recordingSink records the calls of a Table.
type recordingSink struct {
	messages []string // wire form
	times    []transform.Time
	broken   int
}

func (s *recordingSink) Message(_ *Flow, _ bool, wire []byte, at transform.Time) {
	s.messages = append(s.messages, string(wire))
	s.times = append(s.times, at)
}

func (s *recordingSink) Broken() { s.broken++ }

func flow(n int) Flow {
	return Flow{
		Resolver: netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 0, 0, 1}), uint16(n)),
		Server:   netip.AddrPortFrom(netip.AddrFrom4([4]byte{192, 0, byte(n >> 16), 1}), 53),
	}
}

// answer returns a response with TXT records of at least size octets. Their data are text,
// or a default if text is empty.
func answer(t testing.TB, id uint16, size int, text string) []byte {
	t.Helper()
	m := new(dns.Msg)
	m.SetQuestion(fmt.Sprintf("n%d.example.", id), dns.TypeTXT)
	m.Id, m.Response, m.Compress = id, true, true
	plain := fmt.Sprintf("%0220d", id)
	add := func(text string) {
		hdr := dns.RR_Header{Name: m.Question[0].Name, Rrtype: dns.TypeTXT, Class: dns.ClassINET}
		m.Answer = append(m.Answer, &dns.TXT{Hdr: hdr, Txt: []string{text}})
	}
	for have := 0; have < size; have += 250 {
		add(stdcmp.Or(text, plain))
	}
	if text != "" {
		add("end") // so that the message does not end with text that is a message
	}
	wire, err := m.Pack()
	if err != nil {
		t.Fatal(err)
	}
	return wire
}

func framed(messages ...[]byte) []byte {
	var out []byte
	for _, m := range messages {
		out = binary.BigEndian.AppendUint16(out, uint16(len(m)))
		out = append(out, m...)
	}
	return out
}

func texts(messages ...[]byte) []string {
	var out []string
	for _, m := range messages {
		out = append(out, string(m))
	}
	return out
}

func syn(seq uint32) Segment {
	return Segment{Flow: flow(1), Response: true, Seq: seq, SYN: true}
}

func part(seq uint32, payload []byte) Segment {
	return Segment{Flow: flow(1), Response: true, Seq: seq, Payload: payload}
}

func after(s Segment, at transform.Time) Segment {
	s.Time = at
	return s
}

func fin(s Segment) Segment {
	s.FIN = true
	return s
}

func rst(s Segment) Segment {
	s.RST = true
	return s
}

func cut(s Segment, captured int) Segment {
	s.Missing = len(s.Payload) - captured
	s.Payload = s.Payload[:captured]
	return s
}

// takeAll passes segments to the table, and checks its bounds after each.
func takeAll(t failer, table *Table, s *recordingSink, segments ...Segment) {
	t.Helper()
	for i := range segments {
		table.Take(&segments[i], s)
		check(t, table)
	}
}

// check compares the table's own counts with its contents.
func check(t failer, table *Table) {
	t.Helper()
	used, holding := 0, 0
	for _, c := range table.conns {
		for i := range c.halves {
			h := &c.halves[i]
			n, size := 0, 0
			for b, last := h.pieces, h.next; b != nil; b = b.next {
				if int32(b.seq-last) < 0 || n == 0 && b.seq == last {
					t.Fatalf("piece %d at %d is not after %d", n, b.seq, last)
				}
				n, size, last = n+1, size+cap(b.data), b.end()
			}
			if n != h.count || size != h.size || n > maxPieces || size > table.limits.StreamBytes {
				t.Fatalf("a half holds %d pieces of %d octets, but counts %d of %d", n, size, h.count, h.size)
			}
			if h.message.body != nil {
				size += cap(h.message.body.data)
			}
			if used += size; (size > 0) != (h.holding.in != nil) {
				t.Fatalf("a half with %d octets, listed as holding: %v", size, h.holding.in != nil)
			} else if size > 0 {
				holding++
			}
		}
	}
	p, l := &table.pool, table.limits
	s := table.Stats()
	if used != p.used || holding != table.holding.len || p.used > l.Bytes || p.kept+p.used > max(l.Bytes, p.used) {
		t.Fatalf("halves hold %d octets, the pool counts %d and %d kept, of %d", used, p.used, p.kept, l.Bytes)
	}
	if s.Streams > l.Streams || s.Embryonic > l.Embryonic || s.Streams+s.Embryonic != len(table.conns) {
		t.Fatalf("%d streams and %d embryonic of %d in the table", s.Streams, s.Embryonic, len(table.conns))
	}
}

func expect(t testing.TB, s *recordingSink, broken int, messages ...[]byte) {
	t.Helper()
	if diff := cmp.Diff(texts(messages...), s.messages); diff != "" {
		t.Errorf("messages (-want +got):\n%s", diff)
	}
	if s.broken != broken {
		t.Errorf("broken: got %d, want %d", s.broken, broken)
	}
}
