package transform

import (
	"bytes"
	"strings"
	"testing"

	"github.com/miekg/dns"
)

const (
	// The question "q.example. A IN": its name at 12, "example" at 14, the root at 22.
	questionHex = "01 71 07 6578616d706c65 00 0001 0001"
	afterQ      = 27
	fixedA      = "0001 0001 0000003c 0004 c6336407" // behind an owner: A IN 60 4 198.51.100.7
	fixedNS     = "0002 0001 0000003c "
	fixedTXT    = "0010 0001 0000003c "
	emptyOPT    = "00 0029 04d0 00008000 0000"
)

// walks are messages by what is special about them. They are the walker's table
// and seeds of both fuzz targets.
var walks = []struct {
	name string
	hex  string
	ok   bool
}{
	{"question only", "1234 8400 0001 0000 0000 0000" + questionHex, true},
	{"one of each section", "1234 8400 0001 0001 0001 0001" + questionHex +
		"c00c" + fixedA + "c00e" + fixedNS + "0005 026e73 c00e" + "c032" + fixedA, true},
	{"no question", "1234 8405 0000 0000 0000 0000", true},
	{"two questions", "1234 8400 0002 0000 0000 0000" + questionHex + questionHex, true},
	{"second question points to the first", "1234 8400 0002 0000 0000 0000" + questionHex + "c00c 0001 0001", true},
	{"octets behind the last record", "1234 8400 0001 0000 0000 0000" + questionHex + "deadbeef", true},

	{"empty", "", false},
	{"half a header", "1234 8400 0001 0000 0000 00", false},
	{"header claims a question", "1234 8400 0001 0000 0000 0000", false},
	{"question without class", "1234 8400 0001 0000 0000 0000 0171 00 0001 00", false},
	{"name without root", "1234 8400 0001 0000 0000 0000 0171", false},
	{"label beyond the end", "1234 8400 0001 0000 0000 0000 3f71 00 0001 0001", false},
	{"answer count too high", "1234 8400 0001 0002 0000 0000" + questionHex + "c00c" + fixedA, false},
	{"authority count too high", "1234 8400 0001 0000 0001 0000" + questionHex, false},
	{"additional count too high", "1234 8400 0001 0000 0000 ffff" + questionHex, false},
	{"record without rdlength", "1234 8400 0001 0001 0000 0000" + questionHex + "c00c 0001 0001 0000003c 00", false},
	{"rdata beyond the end", "1234 8400 0001 0001 0000 0000" + questionHex + "c00c 0001 0001 0000003c 0004 c63364", false},

	{"pointer at the end, half", "1234 8400 0001 0001 0000 0000" + questionHex + "c0", false},
	{"pointer to itself", "1234 8400 0001 0001 0000 0000" + questionHex + "c01b" + fixedA, false},
	{"pointer forward", "1234 8400 0001 0002 0000 0000" + questionHex + "c02b" + fixedA + "c00c" + fixedA, false},
	{"pointer into its own name", "1234 8400 0001 0001 0000 0000" + questionHex + "0161 c01b" + fixedA, false},
	{"pointer into its own label", "1234 8400 0001 0001 0000 0000" + questionHex + "020000 c01c" + fixedA, false},
	{"pointer below 12", "1234 8400 0001 0001 0000 0000" + questionHex + "c00b" + fixedA, false},
	{"pointer to 0", "1234 8400 0001 0001 0000 0000" + questionHex + "c000" + fixedA, false},
	{"two pointers at each other", "1234 8400 0001 0002 0000 0000" + questionHex + "c02b" + fixedA + "c01b" + fixedA, false},
	{"question points to itself", "1234 8400 0001 0000 0000 0000 c00c 0001 0001", false},
	{"pointer to a pointer", "1234 8400 0001 0002 0000 0000" + questionHex + "c00c" + fixedA + "c01b" + fixedA, true},
	{"pointer to a root", "1234 8400 0001 0001 0000 0000" + questionHex + "0161 c016" + fixedA, true},
	{"pointer into the middle of a label", "1234 8400 0001 0001 0000 0000 0c 0171 07 6578616d706c65 00 00 00 0001 0001" +
		"c00d" + fixedA, true},
	{"pointer into a TXT", "1234 8400 0001 0002 0000 0000" + questionHex +
		"c00c" + fixedTXT + "0006 05 03777777 00" + "c028" + fixedA, true},
	{"pointer into a TXT that points forward", "1234 8400 0001 0002 0000 0000" + questionHex +
		"c00c" + fixedTXT + "0007 06 03777777 c02f" + "c028" + fixedA, false},
	{"pointer into a TXT with reserved bits", "1234 8400 0001 0002 0000 0000" + questionHex +
		"c00c" + fixedTXT + "0006 05 03777777 40" + "c028" + fixedA, false},
	{"pointer into fixed fields", "1234 8400 0001 0002 0000 0000" + questionHex + "c00c" + fixedA + "c021" + fixedA, true},
	{"pointer into OPT's rdata", "1234 8400 0001 0000 0000 0002" + questionHex +
		"00 0029 04d0 00008000 0009 fde9 0005 03777777 00" + "c02a" + fixedA, true},
	{"pointer to OPT's root", "1234 8400 0001 0000 0000 0002" + questionHex + emptyOPT + "0161 c01b" + fixedA, true},

	{"label type 0x40", "1234 8400 0001 0000 0000 0000 4171 00 0001 0001", false},
	{"label type 0x80", "1234 8400 0001 0000 0000 0000 8171 00 0001 0001", false},
	{"label type 0x80 in an owner", "1234 8400 0001 0001 0000 0000" + questionHex + "800c" + fixedA, false},

	{"OPT", "1234 8400 0001 0000 0000 0001" + questionHex + emptyOPT, true},
	{"OPT with an owner", "1234 8400 0001 0000 0000 0001" + questionHex + "0161 c00e 0029 04d0 00008000 0000", true},
	{"two OPT", "1234 8400 0001 0000 0000 0002" + questionHex + emptyOPT + emptyOPT, false},
	{"OPT in answer", "1234 8400 0001 0001 0000 0000" + questionHex + emptyOPT, false},
	{"OPT in authority", "1234 8400 0001 0000 0001 0000" + questionHex + emptyOPT, false},
	{"OPT before other records", "1234 8400 0001 0000 0000 0002" + questionHex + emptyOPT + "c00c" + fixedA, true},

	{"A too short", "1234 8400 0001 0001 0000 0000" + questionHex + "c00c 0001 0001 0000003c 0003 c63364", false},
	{"A without rdata", "1234 8400 0001 0001 0000 0000" + questionHex + "c00c 0001 0001 0000003c 0000", false},
	{"name longer than its rdata", "1234 8400 0001 0001 0000 0000" + questionHex + "c00c" + fixedNS + "0003 026e7300", false},
	{"name shorter than its rdata", "1234 8400 0001 0001 0000 0000" + questionHex + "c00c" + fixedNS + "0005 026e7300 00", false},
	{"rdata ends inside a pointer", "1234 8400 0001 0001 0000 0000" + questionHex + "c00c" + fixedNS + "0001 c00c", false},
	{"character-string beyond its rdata", "1234 8400 0001 0001 0000 0000" + questionHex + "c00c" + fixedTXT + "0003 03 6161 61", false},
	{"empty TXT", "1234 8400 0001 0001 0000 0000" + questionHex + "c00c" + fixedTXT + "0000", true},
}

func TestWalk(t *testing.T) {
	for _, tt := range walks {
		t.Run(tt.name, func(t *testing.T) {
			msg := unhex(t, tt.hex)
			var w walker
			if got := w.walk(msg); got != tt.ok {
				t.Fatalf("well formed: got %v, want %v", got, tt.ok)
			}
			if tt.ok {
				agree(t, &w)
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
		{"label of 63", newRaw(label(63), dns.TypeA).wire, true},
		{"255 octets", newRaw(long+"."+label(61), dns.TypeA).wire, true},
		{"256 octets", newRaw(long+"."+label(62), dns.TypeA).wire, false},
		{"127 labels", newRaw(strings.Repeat("a.", 127), dns.TypeA).wire, true},
		{"128 labels", newRaw(strings.Repeat("a.", 128), dns.TypeA).wire, false},
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
			var w walker
			if got := w.walk(tt.msg); got != tt.ok {
				t.Fatalf("well formed: got %v, want %v", got, tt.ok)
			}
			if tt.ok {
				agree(t, &w)
			}
		})
	}
}

// longBy answers with an owner of one label more than the question.
func longBy(qname string, label int) []byte {
	d := newRaw(qname, dns.TypeA)
	owner := append([]byte{byte(label)}, bytes.Repeat([]byte{'b'}, label)...)
	d.record(answer, append(owner, pointTo(headerLen)...), dns.TypeA, []byte{198, 51, 100, 7})
	return d.wire
}

// longThroughText has the long name in a TXT record.
func longThroughText(name string, label int) []byte {
	d := newRaw("q", dns.TypeTXT)
	at := d.record(answer, pointTo(headerLen), 65280, wireName(name))
	owner := append([]byte{byte(label)}, bytes.Repeat([]byte{'b'}, label)...)
	d.record(answer, append(owner, pointTo(at)...), dns.TypeA, []byte{198, 51, 100, 7})
	return d.wire
}

// pointerChain ends in a name of so many pointers, each to the one before.
func pointerChain(n int) []byte {
	d := newRaw("q", dns.TypeA)
	at := headerLen
	for range n {
		next := len(d.wire)
		d.record(answer, pointTo(at), dns.TypeA, []byte{198, 51, 100, 7})
		at = next
	}
	return d.wire
}

func chainThroughText(n int) []byte {
	d := newRaw("q", dns.TypeA)
	at := len(d.wire) + 1 + 10
	chain := []byte{0}
	for i := range n - 1 {
		chain = append(chain, pointTo(at+max(0, 2*i-1))...)
	}
	d.record(answer, []byte{0}, 65280, chain)
	d.record(answer, pointTo(at+len(chain)-min(2, len(chain))), dns.TypeA, []byte{198, 51, 100, 7})
	return d.wire
}

func TestWalkLongestMessage(t *testing.T) {
	d := newRaw("q.example", dns.TypeTXT)
	d.with(answer, "", 65280, make([]byte, maxMessage-len(d.wire)-11))
	var w walker
	if len(d.wire) != maxMessage || !w.walk(d.wire) {
		t.Errorf("%d octets are malformed", len(d.wire))
	}
	if w.walk(append(d.wire, 0)) {
		t.Error("65,536 octets are well formed")
	}
	if w.id != 0x1234 || w.asked {
		t.Errorf("of a message too long: ID %x, asked %v", w.id, w.asked)
	}
}

func TestWalkReadsTheQuestionOfABrokenMessage(t *testing.T) {
	msg := unhex(t, "1234 8400 0001 0001 0000 0000"+questionHex+"c0ff")
	var w walker
	if w.walk(msg) {
		t.Fatal("well formed")
	}
	if !w.asked || w.id != 0x1234 || w.flags != 0x8400 || string(w.qname()) != "\x01q\x07example\x00" || w.qtype != dns.TypeA {
		t.Errorf("asked %v, ID %x, flags %x, name %q, type %d", w.asked, w.id, w.flags, w.qname(), w.qtype)
	}
	if w.walk(msg[:20]); w.asked {
		t.Error("half a question was read")
	}
}

// TestMarksOfEarlierMessagesDoNotCount: where an earlier message had a name, the next
// has a number, and a pointer to it.
func TestMarksOfEarlierMessagesDoNotCount(t *testing.T) {
	first := newRaw("q.example", dns.TypeNS).with(answer, "abcdefgh", dns.TypeNS, wireName("ns.example")).wire
	at := headerLen + len(wireName("q.example")) + 4
	d := newRaw("q.example", dns.TypeNS)
	d.record(answer, []byte{0}, 65280, append(make([]byte, 8), 1, 'x', 0))
	d.record(answer, pointTo(at+len("\x00")+fixedLen+8), dns.TypeNS, []byte{0})
	var w walker
	for _, now := range []mark{0, ^mark(0) &^ (2*markGeneration - 1), ^mark(0) &^ (markGeneration - 1)} { // the last wraps
		for off := range first {
			w.marks = make([]mark, maxMessage)
			w.now = now
			if !w.walk(first) {
				t.Fatal("the first message is malformed")
			}
			w.marks[off] = w.now | 5
			if !w.walk(d.wire) || !w.pointsOutsideNames {
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
		{dns.TypeTSIG, "0161 00", true}, // not read at all: it is dropped
		{dns.TypeTKEY, "", true},
		{dns.TypeSIG, "0000 05 00 00000000 00000000 00000000 0000 00", true},
		{dns.TypeSIG, "0001 05 00 00000000 00000000 00000000 0000 00", false},
		{dns.TypeRRSIG, "0000 05 00 00000000 00000000 00000000 0000 00", false},
	} {
		d := newRaw("q", dns.TypeA).with(additional, "", tt.typ, unhex(t, tt.rdata))
		var w walker
		if !w.walk(d.wire) || w.signed != tt.want {
			t.Errorf("%s %s: signed is %v", dns.Type(tt.typ), tt.rdata, w.signed)
		}
	}
}

func TestWalkAllocatesNothing(t *testing.T) {
	messages := realMessages(t)
	var w walker
	walkAll := func() {
		for _, m := range messages {
			w.walk(m)
		}
	}
	walkAll()
	if n := testing.AllocsPerRun(20, walkAll); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
