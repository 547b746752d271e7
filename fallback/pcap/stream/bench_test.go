package stream

import (
	"testing"

	"github.com/dnstap-pdns/dnstap-pdns/transform"
)

// silence is a sink that hears nothing.
type silence struct{ messages int }

func (s *silence) Message(*Flow, bool, []byte, transform.Time) { s.messages++ }
func (*silence) Broken()                                       {}

// A talk brings one message after another on some connections.
type talk struct {
	table    *Table
	sink     silence
	next     []uint32
	segments []Segment
}

func newTalk(tb testing.TB, connections, size, segments int) *talk {
	m := answer(tb, 1, 10, "")
	for n := size; len(m) < n; size += 10 {
		m = answer(tb, 1, size, "")
	}
	data := framed(m)
	k := &talk{table: New(Limits{}), next: make([]uint32, connections)}
	for i := range segments {
		from, to := len(data)*i/segments, len(data)*(i+1)/segments
		k.segments = append(k.segments, part(uint32(from), data[from:to]))
	}
	for i := range k.next {
		s := on(i, syn(^uint32(0)))
		k.table.Take(&s, &k.sink)
	}
	k.message()
	return k
}

// message brings one on each connection, segment by segment in turn.
func (k *talk) message() {
	for _, s := range k.segments {
		for i := range k.next {
			s.Flow, s.Seq = flow(i), k.next[i]
			k.table.Take(&s, &k.sink)
			k.next[i] += uint32(len(s.Payload))
		}
	}
}

func (k *talk) bench(b *testing.B) {
	b.ReportAllocs()
	k.sink.messages = 0
	rounds := 0
	for b.Loop() {
		k.message()
		rounds++
	}
	if want := rounds * len(k.next); k.sink.messages != want {
		b.Fatalf("messages: got %d, want %d", k.sink.messages, want)
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(rounds*len(k.next)*len(k.segments)), "ns/segment")
}

func BenchmarkOneMessageASegment(b *testing.B)         { newTalk(b, 1, 300, 1).bench(b) }
func BenchmarkMessageOf20Segments(b *testing.B)        { newTalk(b, 1, 28000, 20).bench(b) }
func Benchmark1000ConnectionsInTurn(b *testing.B)      { newTalk(b, 1000, 300, 1).bench(b) }
func Benchmark1000ConnectionsIn2Segments(b *testing.B) { newTalk(b, 1000, 1500, 2).bench(b) }

func TestAllocNothingOnKnownConnections(t *testing.T) {
	for name, k := range map[string]*talk{
		"one message a segment":  newTalk(t, 1, 300, 1),
		"message of 20 segments": newTalk(t, 1, 28000, 20),
		"100 connections":        newTalk(t, 100, 1500, 3),
	} {
		k.message()
		if n := testing.AllocsPerRun(100, k.message); n != 0 {
			t.Errorf("%s: got %v allocations, want none", name, n)
		}
	}
}

func TestAllocNothingForNewConnectionsOnceWarm(t *testing.T) {
	k := newTalk(t, 1, 300, 1)
	data := k.segments[0].Payload
	n := 0
	connection := func() {
		n++
		f := flow(n % 2)
		for _, s := range []Segment{
			{Flow: f, Seq: 0, SYN: true}, {Flow: f, Response: true, Seq: 0, SYN: true},
			{Flow: f, Response: true, Seq: 1, Payload: data},
			{Flow: f, RST: true, Seq: 1},
		} {
			k.table.Take(&s, &k.sink)
		}
		k.table.Finish(&k.sink)
	}
	connection()
	if n := testing.AllocsPerRun(100, connection); n != 0 {
		t.Errorf("got %v allocations a connection, want none", n)
	}
}
