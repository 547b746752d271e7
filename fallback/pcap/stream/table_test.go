package stream

import (
	"bytes"
	"slices"
	"testing"

	"github.com/dnstap-pdns/dnstap-pdns/transform"
)

func TestMessagesFromSegments(t *testing.T) {
	a, b, c := answer(t, 1, 100, ""), answer(t, 2, 600, ""), answer(t, 3, 100, "")
	ab, abc := framed(a, b), framed(a, b, c)
	at := len(framed(a)) // where b begins
	mid, end := at+300, len(abc)
	all := [][]byte{a, b, c}
	badLength := append(framed(a), append([]byte{0, 11}, abc[:50]...)...)
	// Sequence numbers: the SYN's is -1, so the stream begins at 0 unless a row wraps.
	seg := func(from, to int) Segment { return part(uint32(from), abc[from:to]) }
	none := [][]byte(nil)
	for name, row := range map[string]struct {
		segments []Segment
		want     [][]byte
		broken   int
	}{
		"one message a segment":             {[]Segment{syn(^uint32(0)), seg(0, at), seg(at, len(ab)), seg(len(ab), end)}, all, 0},
		"several in one":                    {[]Segment{syn(^uint32(0)), seg(0, end)}, all, 0},
		"one over several":                  {[]Segment{syn(^uint32(0)), seg(0, at+10), seg(at+10, mid), seg(mid, end)}, all, 0},
		"length in two segments":            {[]Segment{syn(^uint32(0)), seg(0, at+1), seg(at+1, end)}, all, 0},
		"length alone":                      {[]Segment{syn(^uint32(0)), seg(0, at+2), seg(at+2, end)}, all, 0},
		"data in the SYN":                   {[]Segment{{Flow: flow(1), Response: true, Seq: 99, SYN: true, Payload: abc}}, all, 0},
		"sequence numbers wrap":             {[]Segment{syn(^uint32(0) - 50), part(^uint32(0)-49, abc[:mid]), part(^uint32(0)-49+uint32(mid), abc[mid:])}, all, 0},
		"wrap out of order":                 {[]Segment{syn(^uint32(0) - 50), part(^uint32(0)-49+uint32(mid), abc[mid:]), part(^uint32(0)-49, abc[:mid])}, all, 0},
		"out of order":                      {[]Segment{syn(^uint32(0)), seg(mid, end), seg(at, mid), seg(0, at)}, all, 0},
		"retransmitted":                     {[]Segment{syn(^uint32(0)), seg(0, mid), seg(0, mid), seg(at, end), seg(mid, end), syn(^uint32(0))}, all, 0},
		"retransmitted out of order":        {[]Segment{syn(^uint32(0)), seg(mid, end), seg(mid, end), seg(0, mid)}, all, 0},
		"one over several pieces":           {[]Segment{syn(^uint32(0)), seg(at, at+9), seg(mid, mid+9), seg(1, end), seg(0, 1)}, all, 0},
		"the SYN comes late":                {[]Segment{seg(0, at), syn(^uint32(0)), seg(at, end)}, all, 0},
		"first that came wins, in order":    {[]Segment{syn(^uint32(0)), seg(0, mid), part(0, bytes.Repeat([]byte{9}, mid)), seg(mid, end)}, all, 0},
		"first that came wins, too early":   {[]Segment{syn(^uint32(0)), seg(at, end), part(5, bytes.Repeat([]byte{9}, end-5)), seg(0, at)}, append([][]byte{append(append([]byte{}, a[:3]...), bytes.Repeat([]byte{9}, len(a)-3)...)}, b, c), 0},
		"FIN before the last data":          {[]Segment{syn(^uint32(0)), fin(seg(mid, end)), seg(0, mid)}, all, 0},
		"FIN alone":                         {[]Segment{syn(^uint32(0)), seg(0, end), fin(seg(end, end))}, all, 0},
		"after FIN nothing comes":           {[]Segment{syn(^uint32(0)), fin(seg(0, at)), seg(at, end)}, [][]byte{a}, 0},
		"FIN within a message":              {[]Segment{syn(^uint32(0)), fin(seg(0, mid))}, [][]byte{a}, 1},
		"RST within a message":              {[]Segment{syn(^uint32(0)), seg(0, mid), rst(seg(mid, mid)), seg(0, end)}, [][]byte{a}, 1},
		"RST far off":                       {[]Segment{syn(^uint32(0)), seg(0, mid), rst(part(1<<30, nil)), seg(mid, end)}, all, 0},
		"the end within a message":          {[]Segment{syn(^uint32(0)), seg(0, mid)}, [][]byte{a}, 1},
		"the end within a length":           {[]Segment{syn(^uint32(0)), seg(0, at+1)}, [][]byte{a}, 0},
		"idle within a message":             {[]Segment{syn(^uint32(0)), seg(0, mid), after(seg(mid, end), 61*second)}, [][]byte{a}, 1},
		"a gap that does not fill":          {[]Segment{syn(^uint32(0)), seg(0, at+10), seg(len(ab), end), after(seg(at+10, len(ab)), 3*second)}, [][]byte{a, c}, 1},
		"a gap within a message":            {[]Segment{syn(^uint32(0)), seg(0, at+10), seg(mid, end)}, [][]byte{a, c}, 1},
		"a gap of whole messages":           {[]Segment{syn(^uint32(0)), seg(0, at), seg(len(ab), end)}, [][]byte{a, c}, 1},
		"a gap, then within a message":      {[]Segment{syn(^uint32(0)), seg(mid, len(ab)), seg(len(ab), end)}, [][]byte{c}, 1},
		"a gap before FIN":                  {[]Segment{syn(^uint32(0)), seg(0, at), fin(seg(end, end))}, [][]byte{a}, 1},
		"not captured":                      {[]Segment{syn(^uint32(0)), cut(seg(0, mid), at+9), seg(mid, end)}, [][]byte{a, c}, 1},
		"not captured, the rest unknown":    {[]Segment{syn(^uint32(0)), cut(seg(0, len(ab)+5), 9), seg(len(ab)+5, end)}, none, 1},
		"not captured, sent again":          {[]Segment{syn(^uint32(0)), cut(seg(0, mid), at), seg(0, end)}, [][]byte{a}, 1},
		"joined at a message":               {[]Segment{seg(at, mid), seg(mid, end)}, [][]byte{b, c}, 0},
		"joined within a message":           {[]Segment{seg(at+9, mid), seg(mid, len(ab)), seg(len(ab), end)}, [][]byte{c}, 0},
		"joined, the end in a message":      {[]Segment{seg(at, mid)}, none, 1},
		"an invalid length":                 {[]Segment{syn(^uint32(0)), part(0, badLength), part(uint32(len(badLength)), framed(c))}, [][]byte{a, c}, 1},
		"an invalid length of two segments": {[]Segment{syn(^uint32(0)), part(0, []byte{0}), part(1, []byte{3, 9, 9}), part(4, framed(c))}, [][]byte{c}, 1},
		"a zero length before a message":    {[]Segment{syn(^uint32(0)), part(0, append([]byte{0, 0, 0, 0}, ab...)), part(uint32(4+len(ab)), framed(c))}, all, 0},
		"zero lengths between messages":     {[]Segment{syn(^uint32(0)), part(0, slices.Concat(framed(a), []byte{0, 0}, framed(b), []byte{0, 0}, framed(c), []byte{0, 0}))}, all, 0},
		"a zero length in two segments":     {[]Segment{syn(^uint32(0)), part(0, []byte{0}), part(1, append([]byte{0}, abc...))}, all, 0},
		"zero lengths alone":                {[]Segment{syn(^uint32(0)), part(0, make([]byte, 101)), part(101, append([]byte{0}, abc...))}, all, 0},
		"SYNs only":                         {[]Segment{syn(5), syn(6), syn(7)}, none, 0},
		"the port is used again":            {[]Segment{syn(^uint32(0)), seg(0, mid), syn(1<<31 - 1), part(1<<31, framed(c))}, [][]byte{a, c}, 1},
		"used again after RST":              {[]Segment{syn(^uint32(0)), rst(seg(0, 0)), syn(99), part(100, framed(c))}, [][]byte{c}, 0},
		"used again without a SYN":          {[]Segment{syn(^uint32(0)), seg(0, mid), part(1<<30, abc[mid:mid+90]), part(1<<30, framed(c))}, [][]byte{a, c}, 1},
	} {
		t.Run(name, func(t *testing.T) {
			table, got := New(Limits{}), new(recordingSink)
			takeAll(t, table, got, row.segments...)
			table.Finish(got)
			check(t, table)
			expect(t, got, row.broken, row.want...)
			if s := table.Stats(); s.Bytes != 0 || s.Streams+s.Embryonic != 0 || s.Broken != uint64(row.broken) || s.Messages != uint64(len(row.want)) {
				t.Errorf("after the end: %+v", s)
			}
		})
	}
}

func TestTimeIsThatOfTheCompletingSegment(t *testing.T) {
	a, b := answer(t, 1, 100, ""), answer(t, 2, 100, "")
	ab := framed(a, b)
	n := uint32(len(framed(a)))
	table, got := New(Limits{}), new(recordingSink)
	takeAll(t, table, got, syn(0), after(part(1, ab[:5]), 10), after(part(1+n, ab[n:]), 20), after(part(6, ab[5:n]), 30))
	expect(t, got, 0, a, b)
	if want := [2]transform.Time{30, 20}; len(got.times) != 2 || [2]transform.Time(got.times) != want {
		t.Errorf("times: got %v, want %v", got.times, want)
	}
}

func TestRetransmissionAfterTheEndIsNoMessage(t *testing.T) {
	a := answer(t, 1, 100, "")
	table, got := New(Limits{}), new(recordingSink)
	query := fin(Segment{Flow: flow(1), Seq: 8})
	takeAll(t, table, got, syn(0), fin(part(1, framed(a))), query, after(fin(part(1, framed(a))), second))
	expect(t, got, 0, a)
	if s := table.Stats(); s.Ended != 1 || s.Retransmitted != 1 || s.Bytes != 0 {
		t.Errorf("got %+v, want one ended and one retransmitted", s)
	}
	table.Expire(5*second, got)
	if s := table.Stats(); s.Streams != 0 {
		t.Errorf("streams after %v: got %d, want 0", endedTime, s.Streams)
	}
}

func TestFINReleasesBuffersAtOnce(t *testing.T) {
	table, got := New(Limits{}), new(recordingSink)
	takeAll(t, table, got, syn(0), part(1, framed(answer(t, 1, 100, ""))[:50]))
	if s := table.Stats(); s.Bytes == 0 {
		t.Fatal("no bytes in use for a message that is not whole")
	}
	takeAll(t, table, got, fin(part(51, nil)))
	expect(t, got, 1)
	if s := table.Stats(); s.Bytes != 0 || s.Streams != 1 {
		t.Errorf("got %d bytes of %d streams, want 0 of 1", s.Bytes, s.Streams)
	}
}

func TestConnectionsExpireAfterTheClockWentBack(t *testing.T) {
	table, got := New(Limits{}), new(recordingSink)
	takeAll(t, table, got, after(syn(0), 1e9*second))
	table.Expire(second, got)
	table.Expire(62*second, got)
	if s := table.Stats(); s.Expired != 1 {
		t.Errorf("expired: got %d, want 1", s.Expired)
	}
}
