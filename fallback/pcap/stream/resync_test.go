package stream

import (
	"slices"
	"testing"

	"github.com/dnstap-pdns/dnstap-pdns/transform"
	"github.com/dnstap-pdns/dnstap-pdns/transform/dnswire"
)

func TestPlausibleBeginnings(t *testing.T) {
	good := framed(answer(t, 1, 10, ""))
	changed := func(i int, c byte) []byte {
		b := slices.Clone(good)
		b[i] = c
		return b
	}
	name := 2 + dnswire.HeaderLen
	for what, row := range map[string]struct {
		b    []byte
		want bool
	}{
		"a message":                    {good, true},
		"its beginning":                {good[:name+20], true},
		"two":                          {slices.Concat(good, good), true},
		"one and a beginning":          {slices.Concat(good, good[:5]), true},
		"one and four octets":          {slices.Concat(good, good[:4]), false},
		"one and a query":              {slices.Concat(good, changed(4, 1)[:20]), false},
		"one and a short length":       {slices.Concat(good, []byte{0, 11, 0, 0, 0x80}), false},
		"nothing":                      {nil, false},
		"a length":                     {good[:2], false},
		"no whole question":            {good[:name+8], false},
		"a short length":               {append([]byte{0, 11}, good[2:]...), false},
		"a query":                      {changed(4, 1), false},
		"an opcode":                    {changed(4, 0xa8), false},
		"no question":                  {changed(7, 0), false},
		"two questions":                {changed(7, 2), false},
		"a pointer for a question":     {changed(name, 0xc0), false},
		"a label of 64":                {changed(name, 64), false},
		"another class":                {changed(name+12+3, 3), false},
		"a record too many":            {changed(9, 2), false},
		"a record too few":             {changed(9, 0), false},
		"longer than its sections are": {framed(append(slices.Clone(good[2:]), 0)), false},
	} {
		if got := plausible(row.b, true); got != row.want {
			t.Errorf("%s: got %v, want %v", what, got, row.want)
		}
	}
}

func TestNameOf255OctetsIsPlausible(t *testing.T) {
	question := func(labels ...int) []byte {
		b := []byte{0, 1, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0}
		for _, n := range labels {
			b = append(append(b, byte(n)), make([]byte, n)...)
		}
		return framed(append(b, 0, 0, 1, 0, 1))
	}
	if b := question(63, 63, 63, 61); !plausible(b, false) {
		t.Error("a name of 255 octets is not plausible")
	}
	if b := question(63, 63, 63, 62); plausible(b, false) {
		t.Error("a name of 256 octets is plausible")
	}
}

// TestTentativeMessageIsCheckedWhenComplete: a tentative message is checked in the same way
// whether it comes in parts or whole.
func TestTentativeMessageIsCheckedWhenComplete(t *testing.T) {
	a, c := answer(t, 1, 100, ""), framed(answer(t, 2, 10, ""))
	bad := framed(append(slices.Clone(a), 0))
	table, got := New(Limits{}), new(recordingSink)
	n := uint32(len(bad))
	takeAll(t, table, got, part(0, bad[:60]), part(60, bad[60:]), part(n, c))
	expect(t, got, 0, c[2:])
	if s := table.Stats(); s.Rejected != 1 || s.Resynced != 2 {
		t.Errorf("got %d doubted of %d, want 1 of 2", s.Rejected, s.Resynced)
	}
}

func TestAnEarlyPieceRefutesAnEmbeddedMessage(t *testing.T) {
	a := framed(answer(t, 7, 10, ""))
	table, got := New(Limits{}), new(recordingSink)
	takeAll(t, table, got, Segment{Flow: flow(1), SYN: true}, part(0, make([]byte, 10)))
	takeAll(t, table, got, part(uint32(10+len(a)), []byte("\xc0\x0c\x00\x10\x00\x01")), part(10, a))
	expect(t, got, 0)
}

func TestMessageInPiecesHasTheLatestTime(t *testing.T) {
	a := framed(answer(t, 1, 100, ""))
	table, got := New(Limits{}), new(recordingSink)
	takeAll(t, table, got, syn(0), after(part(51, a[50:]), 10), after(part(1, a[:50]), 30))
	if want := []transform.Time{30}; !slices.Equal(got.times, want) {
		t.Errorf("times: got %v, want %v", got.times, want)
	}
}

func TestHolesOfTheSameAgeAreGivenUpTogether(t *testing.T) {
	a, b, c, d := answer(t, 1, 10, ""), answer(t, 2, 10, ""), answer(t, 3, 10, ""), answer(t, 4, 10, "")
	all := framed(a, b, c, d)
	n := len(all) / 4
	table, got := New(Limits{}), new(recordingSink)
	takeAll(t, table, got, syn(0), part(uint32(1+n), all[n:2*n]), part(uint32(1+3*n), all[3*n:]))
	table.Expire(2*second-1, got)
	expect(t, got, 0)
	table.Expire(2*second, got)
	check(t, table)
	expect(t, got, 2, b, d)
}

// TestASecondHoleIsAsOldAsItsPieces: it does not wait from the end of the first hole on, and holes
// of other streams do not delay it.
func TestASecondHoleIsAsOldAsItsPieces(t *testing.T) {
	a, b, c, d := answer(t, 1, 10, ""), answer(t, 2, 10, ""), answer(t, 3, 10, ""), answer(t, 4, 10, "")
	all := framed(a, b, c, d)
	n := len(all) / 4
	table, got := New(Limits{}), new(recordingSink)
	takeAll(t, table, got, syn(0), part(uint32(1+n), all[n:2*n]), after(part(uint32(1+3*n), all[3*n:]), second))
	other := after(onConn(2, part(uint32(1+n), all[n:2*n])), second+second/2)
	takeAll(t, table, got, onConn(2, syn(0)), other)
	table.Expire(2*second, got)
	expect(t, got, 1, b)
	table.Expire(3*second-1, got)
	expect(t, got, 1, b)
	table.Expire(3*second, got)
	check(t, table)
	expect(t, got, 2, b, d)
	table.Expire(4*second, got)
	expect(t, got, 3, b, d, b)
}

func TestZeroLengthsAreCounted(t *testing.T) {
	a := framed(answer(t, 1, 10, ""))
	table, got := New(Limits{}), new(recordingSink)
	takeAll(t, table, got, syn(0), part(1, append(make([]byte, 4), a...)))
	if s := table.Stats(); s.ZeroLengths != 2 || s.Messages != 1 || s.DroppedBytes != 0 {
		t.Errorf("got %+v, want 2 zero lengths and a message", s)
	}
}

func TestFINAfterAHoleEndsTheStreamInTime(t *testing.T) {
	a := framed(answer(t, 1, 10, ""))
	table, got := New(Limits{}), new(recordingSink)
	takeAll(t, table, got, syn(0), part(1, a), fin(Segment{Flow: flow(1), Seq: 5}))
	takeAll(t, table, got, fin(part(uint32(101+len(a)), nil)))
	table.Expire(2*second, got)
	check(t, table)
	expect(t, got, 1, a[2:])
	if s := table.Stats(); s.Ended != 1 || s.LostBytes != 100 {
		t.Errorf("got %+v, want one ended, with 100 octets lost", s)
	}
}

func TestNewConnectionWithoutSYNOfTheServer(t *testing.T) {
	a, b := answer(t, 1, 10, ""), answer(t, 2, 10, "")
	table, got := New(Limits{}), new(recordingSink)
	takeAll(t, table, got, syn(0), part(1, framed(a)), rst(part(uint32(3+len(a)), nil)))
	takeAll(t, table, got, Segment{Flow: flow(1), Seq: 9, SYN: true}, part(1<<30, framed(b)))
	expect(t, got, 0, a, b)
	if s := table.Stats(); s.Begun != 2 || s.Ended != 1 {
		t.Errorf("got %d begun and %d ended, want 2 and 1", s.Begun, s.Ended)
	}
}

func TestLargeSegmentsOutOfOrder(t *testing.T) {
	m := answer(t, 1, 60000, "")
	all := framed(m, m, m, m)
	for _, size := range []int{50000, 70000} { // the larger as with BIG TCP
		table, got := New(Limits{}), new(recordingSink)
		takeAll(t, table, got, syn(0))
		for at := size; at < len(all); at += size {
			takeAll(t, table, got, part(uint32(1+at), all[at:min(at+size, len(all))]))
		}
		if got.broken == 0 {
			t.Errorf("segments of %d: nothing is broken although %d octets wait", size, len(all)-size)
		}
		table.Finish(got)
		check(t, table)
	}
}

// TestRestOfASplitSegmentIsNotTheStartOfASegment: the rest of a segment that is split by an
// earlier piece is not the start of a segment.
func TestRestOfASplitSegmentIsNotTheStartOfASegment(t *testing.T) {
	a := framed(answer(t, 7, 10, ""))
	table, got := New(Limits{}), new(recordingSink)
	takeAll(t, table, got, Segment{Flow: flow(1), SYN: true}, part(0, make([]byte, 10)))
	takeAll(t, table, got, part(20, make([]byte, 5)), part(12, append(make([]byte, 13), a...)), part(10, make([]byte, 2)))
	expect(t, got, 0)
	if s := table.Stats(); s.DroppedBytes != uint64(25+len(a)) {
		t.Errorf("dropped: got %d octets, want %d", s.DroppedBytes, 25+len(a))
	}
}
