package stream

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/dnstap-pdns/dnstap-pdns/transform"
)

// onConn returns the segment with the flow of connection n.
func onConn(n int, s Segment) Segment {
	s.Flow = flow(n)
	return s
}

func TestSYNFloodEvictsNoStream(t *testing.T) {
	a := framed(answer(t, 1, 100, ""))
	table, got := New(Limits{Embryonic: 10, Streams: 10}), new(recordingSink)
	takeAll(t, table, got, syn(0), part(1, a[:50]))
	for i := range 1000 {
		takeAll(t, table, got, onConn(100+i, syn(7)))
	}
	takeAll(t, table, got, part(51, a[50:]))
	expect(t, got, 0, a[2:])
	if s := table.Stats(); s.Embryonic != 10 || s.EvictedEmbryonic != 990 || s.Evicted != 0 {
		t.Errorf("got %+v, want 10 embryonic, 990 evicted, no stream evicted", s)
	}
}

func TestLeastRecentlyUsedStreamIsEvicted(t *testing.T) {
	a := framed(answer(t, 1, 100, ""))
	table, got := New(Limits{Streams: 2}), new(recordingSink)
	for i := range 2 {
		takeAll(t, table, got, onConn(i, syn(0)), onConn(i, part(1, a[:50])))
	}
	takeAll(t, table, got, onConn(0, part(51, a[50:60])), onConn(2, syn(0)), onConn(2, part(1, a[:50])))
	if s := table.Stats(); s.Evicted != 1 || got.broken != 1 {
		t.Errorf("got %d evicted and %d broken, want 1 and 1", s.Evicted, got.broken)
	}
	takeAll(t, table, got, onConn(0, part(61, a[60:])), onConn(2, part(51, a[50:])), onConn(1, part(51, a[50:])))
	expect(t, got, 1, a[2:], a[2:])
}

func TestEndedConnectionsAreEvictedFirst(t *testing.T) {
	a := framed(answer(t, 1, 100, ""))
	table, got := New(Limits{Streams: 2}), new(recordingSink)
	takeAll(t, table, got, onConn(0, syn(0)), onConn(0, part(1, a[:50])))
	takeAll(t, table, got, onConn(1, syn(0)), onConn(1, part(1, a)), onConn(1, rst(part(uint32(1+len(a)), nil))))
	takeAll(t, table, got, onConn(2, syn(0)), onConn(2, part(1, a)), onConn(0, part(51, a[50:])))
	expect(t, got, 0, a[2:], a[2:], a[2:])
	if s := table.Stats(); s.Evicted != 0 || s.Ended != 1 {
		t.Errorf("got %d evicted and %d ended, want 0 and 1", s.Evicted, s.Ended)
	}
}

func TestNoConnectionWithoutAMessage(t *testing.T) {
	table, got := New(Limits{}), new(recordingSink)
	a := framed(answer(t, 1, 100, ""))
	takeAll(t, table, got, part(1, a[5:]), fin(part(1, nil)), rst(part(1, nil)), part(1, nil))
	takeAll(t, table, got, Segment{Flow: flow(1), Payload: a}) // an answer from the resolver
	if s := table.Stats(); s.Streams+s.Embryonic != 0 || s.DroppedBytes != uint64(2*len(a)-5) {
		t.Errorf("got %+v, want no entry", s)
	}
}

func TestBytesOfAllStreamsAreBounded(t *testing.T) {
	m := answer(t, 1, 3000, "")
	a := framed(m, m)
	table, got := New(Limits{Bytes: 16 << 10}), new(recordingSink)
	for i := range 20 {
		takeAll(t, table, got, onConn(i, syn(0)), onConn(i, part(1, a[:1000])))
	}
	// The evicted connections lost the start of a message, and skip the rest of it by its length.
	for i := range 20 {
		takeAll(t, table, got, onConn(i, part(1001, a[1000:])))
	}
	s := table.Stats()
	if got.broken < 4 || got.broken == 20 || s.EvictedBuffers != uint64(got.broken) || len(got.messages)+got.broken != 40 || s.Bytes != 0 {
		t.Errorf("got %d messages and %+v, want some evicted, and only their messages of 40 lost", len(got.messages), s)
	}
}

func TestPiecesAreEvictedForOtherStreams(t *testing.T) {
	m, c := answer(t, 1, 3000, ""), framed(answer(t, 2, 10, ""))
	a := framed(m)
	table, got := New(Limits{Bytes: 4 << 10}), new(recordingSink)
	takeAll(t, table, got, onConn(1, syn(0)), onConn(1, part(101, a[100:900])), onConn(1, part(1001, a[1000:1900])))
	takeAll(t, table, got, onConn(2, syn(0)), onConn(2, part(1, a[:2500])))
	if s := table.Stats(); got.broken != 1 || s.EvictedBuffers != 1 || s.LostBytes != 1900 {
		t.Errorf("got %d broken and %+v, want one, evicted with 1900 octets", got.broken, s)
	}
	takeAll(t, table, got, onConn(1, part(1901, c)), onConn(2, part(2501, a[2500:])))
	expect(t, got, 1, c[2:], m)
}

func TestASingleStreamStaysWithinTheBound(t *testing.T) {
	m := answer(t, 1, 3000, "")
	a := framed(m, m, answer(t, 2, 10, ""))
	n := len(m) + 2
	table, got := New(Limits{Bytes: 1 << 10}), new(recordingSink)
	takeAll(t, table, got, syn(0), part(1, a[:2000]), part(2001, a[2000:n+5]), part(uint32(n+6), a[n+5:]))
	expect(t, got, 2, a[2*n+2:])
}

func TestOutOfOrderIsBounded(t *testing.T) {
	m := answer(t, 1, 60000, "")
	a := framed(m, m, m, answer(t, 2, 10, ""))
	table, got := New(Limits{}), new(recordingSink)
	takeAll(t, table, got, syn(0))
	for at := 1000; at < len(a); at += 1000 {
		takeAll(t, table, got, part(uint32(1+at), a[at:min(at+1000, len(a))]))
	}
	if len(got.messages) != 0 {
		t.Fatalf("got %d messages after a gap at the start of the stream", len(got.messages))
	}
	if s := table.Stats(); got.broken != 1 || s.Gaps != 1 || s.LostBytes != 1000 {
		t.Errorf("got %+v, want one gap of 1000 octets, which broke one message", s)
	}
}

func TestIdleConnectionsExpire(t *testing.T) {
	table, got := New(Limits{}), new(recordingSink)
	takeAll(t, table, got, onConn(1, syn(0)), onConn(2, syn(0)), onConn(2, part(1, framed(answer(t, 1, 10, "")))))
	table.Expire(59*second, got)
	if s := table.Stats(); s.Streams != 1 || s.Embryonic != 1 {
		t.Errorf("after 59 s: %+v, want both", s)
	}
	table.Expire(60*second, got)
	if s := table.Stats(); s.Streams != 0 || s.Embryonic != 0 || s.Expired != 2 || got.broken != 0 {
		t.Errorf("after 60 s: %+v, want none", s)
	}
}

// TestHostileSegmentsCostNoMoreThanTheirOctets: the number of copied octets must grow in
// proportion to the input. Octets are copied if they come too early, if they are added to an
// incomplete message, and when the buffer of that message grows.
func TestHostileSegmentsCostNoMoreThanTheirOctets(t *testing.T) {
	big := framed(make([]byte, 65535))
	r := rand.New(rand.NewPCG(1, 2))
	for name, seq := range map[string]func(i int) int{
		"one octet a segment":          func(i int) int { return i },
		"every other octet":            func(i int) int { return 2 * i },
		"backwards in windows":         func(i int) int { return i ^ 63 },
		"backwards":                    func(i int) int { return len(big) - 1 - i },
		"anywhere":                     func(int) int { return r.IntN(len(big)) },
		"after a hole, every other":    func(i int) int { return 1 + 2*(i%4096) },
		"a hole, and again in reverse": func(i int) int { return 1 + (i*2)%128 ^ 62 },
	} {
		table, got := New(Limits{}), new(recordingSink)
		takeAll(t, table, got, syn(0))
		const segments = 60000
		begun := time.Now()
		for i := range segments {
			at := min(max(seq(i), 0), len(big)-1)
			s := after(part(uint32(1+at), big[at:at+1]), transform.Time(i))
			table.Take(&s, got)
		}
		took := time.Since(begun)
		check(t, table)
		if s := table.Stats(); s.CopiedBytes > 4*segments {
			t.Errorf("%s: %d octets copied for %d", name, s.CopiedBytes, segments)
		}
		t.Logf("%s: %v a segment", name, took/segments)
	}
}
