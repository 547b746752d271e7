package dnswire

import (
	"bytes"
	"strings"
	"testing"

	"github.com/miekg/dns"

	"github.com/dnstap-pdns/dnstap-pdns/transform/dnswire/wiretest"
)

func TestWalk(t *testing.T) {
	for _, tt := range wiretest.WalkCases {
		t.Run(tt.Name, func(t *testing.T) {
			msg := wiretest.Unhex(t, tt.Hex)
			var w Walker
			if got := w.Walk(msg); got != tt.OK {
				t.Fatalf("well formed: got %v, want %v", got, tt.OK)
			}
			if tt.OK {
				compareMessage(t, &w)
			}
		})
	}
}

// TestWalkNameLengths builds names at the limits of RFC 1035 section 2.3.4.
func TestWalkNameLengths(t *testing.T) {
	label := func(n int) string { return strings.Repeat("a", n) }
	long := strings.Join([]string{label(63), label(63), label(63)}, ".") // 192 octets and the root
	for _, tt := range []struct {
		name string
		msg  []byte
		ok   bool
	}{
		{"label of 63", wiretest.New(label(63), dns.TypeA).Wire, true},
		{"255 octets", wiretest.New(long+"."+label(61), dns.TypeA).Wire, true},
		{"256 octets", wiretest.New(long+"."+label(62), dns.TypeA).Wire, false},
		{"127 labels", wiretest.New(strings.Repeat("a.", 127), dns.TypeA).Wire, true},
		{"128 labels", wiretest.New(strings.Repeat("a.", 128), dns.TypeA).Wire, false},
		{"255 octets through a pointer", longBy(long, 61), true},
		{"256 octets through a pointer", longBy(long, 62), false},
		{"255 octets through a TXT", longThroughText(long, 61), true},
		{"256 octets through a TXT", longThroughText(long, 62), false},
		{"126 pointers", pointerChain(126), true},
		{"127 pointers", pointerChain(127), false},
		{"126 pointers through a TXT", chainThroughText(126), true},
		{"127 pointers through a TXT", chainThroughText(127), false},
		{"8000 pointers through a TXT", chainThroughText(8000), false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var w Walker
			if got := w.Walk(tt.msg); got != tt.ok {
				t.Fatalf("well formed: got %v, want %v", got, tt.ok)
			}
			if tt.ok {
				compareMessage(t, &w)
			}
		})
	}
}

// longBy returns a response whose owner has one label more than the question.
func longBy(qname string, label int) []byte {
	d := wiretest.New(qname, dns.TypeA)
	owner := append([]byte{byte(label)}, bytes.Repeat([]byte{'b'}, label)...)
	d.Record(Answer, append(owner, wiretest.PointTo(HeaderLen)...), dns.TypeA, []byte{198, 51, 100, 7})
	return d.Wire
}

// longThroughText returns a response with an owner that continues in the rdata of an unknown type.
func longThroughText(name string, label int) []byte {
	d := wiretest.New("q", dns.TypeTXT)
	at := d.Record(Answer, wiretest.PointTo(HeaderLen), 65280, wiretest.Name(name))
	owner := append([]byte{byte(label)}, bytes.Repeat([]byte{'b'}, label)...)
	d.Record(Answer, append(owner, wiretest.PointTo(at)...), dns.TypeA, []byte{198, 51, 100, 7})
	return d.Wire
}

// pointerChain returns a message with n names that are pointers, each to the name before.
func pointerChain(n int) []byte {
	d := wiretest.New("q", dns.TypeA)
	at := HeaderLen
	for range n {
		next := len(d.Wire)
		d.Record(Answer, wiretest.PointTo(at), dns.TypeA, []byte{198, 51, 100, 7})
		at = next
	}
	return d.Wire
}

func chainThroughText(n int) []byte {
	d := wiretest.New("q", dns.TypeA)
	at := len(d.Wire) + 1 + 10
	chain := []byte{0}
	for i := range n - 1 {
		chain = append(chain, wiretest.PointTo(at+max(0, 2*i-1))...)
	}
	d.Record(Answer, []byte{0}, 65280, chain)
	d.Record(Answer, wiretest.PointTo(at+len(chain)-min(2, len(chain))), dns.TypeA, []byte{198, 51, 100, 7})
	return d.Wire
}

func TestWalkLongestMessage(t *testing.T) {
	d := wiretest.New("q.example", dns.TypeTXT)
	d.With(Answer, "", 65280, make([]byte, MaxMessage-len(d.Wire)-11))
	var w Walker
	if len(d.Wire) != MaxMessage || !w.Walk(d.Wire) {
		t.Errorf("%d octets are malformed", len(d.Wire))
	}
	if w.Walk(append(d.Wire, 0)) {
		t.Error("65,536 octets are well formed")
	}
	if w.ID != 0x1234 || w.HasQuestion {
		t.Errorf("of a message too long: ID %x, question %v", w.ID, w.HasQuestion)
	}
}

func TestWalkReadsTheQuestionOfABrokenMessage(t *testing.T) {
	msg := wiretest.Unhex(t, "1234 8400 0001 0001 0000 0000"+wiretest.QuestionHex+"c0ff")
	var w Walker
	if w.Walk(msg) {
		t.Fatal("well formed")
	}
	if !w.HasQuestion || w.ID != 0x1234 || w.Flags != 0x8400 || string(w.Qname()) != "\x01q\x07example\x00" || w.Qtype != dns.TypeA {
		t.Errorf("question %v, ID %x, flags %x, name %q, type %d", w.HasQuestion, w.ID, w.Flags, w.Qname(), w.Qtype)
	}
	if w.Walk(msg[:20]); w.HasQuestion {
		t.Error("half a question was read")
	}
}

// TestMarksOfEarlierMessagesAreIgnored: at the offset of a name in an earlier message, the
// next has a number and a pointer to it.
func TestMarksOfEarlierMessagesAreIgnored(t *testing.T) {
	first := wiretest.New("q.example", dns.TypeNS).With(Answer, "abcdefgh", dns.TypeNS, wiretest.Name("ns.example")).Wire
	at := HeaderLen + len(wiretest.Name("q.example")) + 4
	d := wiretest.New("q.example", dns.TypeNS)
	d.Record(Answer, []byte{0}, 65280, append(make([]byte, 8), 1, 'x', 0))
	d.Record(Answer, wiretest.PointTo(at+len("\x00")+FixedLen+8), dns.TypeNS, []byte{0})
	var w Walker
	for _, now := range []mark{0, ^mark(0) &^ (2*markGeneration - 1), ^mark(0) &^ (markGeneration - 1)} { // the last wraps
		for off := range first {
			w.marks = make([]mark, MaxMessage)
			w.now = now
			if !w.Walk(first) {
				t.Fatal("the first message is malformed")
			}
			w.marks[off] = w.now | 5
			if !w.Walk(d.Wire) || !w.PointsOutsideNames {
				t.Fatalf("generation %x, mark at %d: a pointer into rdata was taken for one to a name", now, off)
			}
		}
	}
}

func TestWalkIsSigned(t *testing.T) {
	for _, tt := range []struct {
		typ   uint16
		rdata string
		want  bool
	}{
		{dns.TypeTSIG, "0161 00", true}, // not read, because the message is dropped
		{dns.TypeTKEY, "", true},
		{dns.TypeSIG, "0000 05 00 00000000 00000000 00000000 0000 00", true},
		{dns.TypeSIG, "0001 05 00 00000000 00000000 00000000 0000 00", false},
		{dns.TypeRRSIG, "0000 05 00 00000000 00000000 00000000 0000 00", false},
	} {
		d := wiretest.New("q", dns.TypeA).With(Additional, "", tt.typ, wiretest.Unhex(t, tt.rdata))
		var w Walker
		if !w.Walk(d.Wire) || w.Signed != tt.want {
			t.Errorf("%s %s: signed is %v", dns.Type(tt.typ), tt.rdata, w.Signed)
		}
	}
}

func TestWalkAllocatesNothing(t *testing.T) {
	messages := wiretest.RealMessages(t)
	var w Walker
	walkAll := func() {
		for _, m := range messages {
			w.Walk(m)
		}
	}
	walkAll()
	if n := testing.AllocsPerRun(20, walkAll); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
