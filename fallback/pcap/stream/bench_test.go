package stream

import (
	"testing"

	"github.com/dnstap-pdns/dnstap-pdns/transform"
)

// A countingSink counts messages.
type countingSink struct{ messages int }

func (s *countingSink) Message(*Flow, bool, []byte, transform.Time) { s.messages++ }
func (*countingSink) Broken()                                       {}

// A workload sends one message after another on some connections.
type workload struct {
	table    *Table
	sink     countingSink
	next     []uint32
	segments []Segment
}

func newWorkload(tb testing.TB, connections, size, segments int) *workload {
	m := answer(tb, 1, 10, "")
	for n := size; len(m) < n; size += 10 {
		m = answer(tb, 1, size, "")
	}
	data := framed(m)
	k := &workload{table: New(Limits{}), next: make([]uint32, connections)}
	for i := range segments {
		from, to := len(data)*i/segments, len(data)*(i+1)/segments
		k.segments = append(k.segments, part(uint32(from), data[from:to]))
	}
	for i := range k.next {
		s := onConn(i, syn(^uint32(0)))
		k.table.Take(&s, &k.sink)
	}
	k.message()
	return k
}

// message sends one message on each connection. Connections take turns after each segment.
func (k *workload) message() {
	for _, s := range k.segments {
		for i := range k.next {
			s.Flow, s.Seq = flow(i), k.next[i]
			k.table.Take(&s, &k.sink)
			k.next[i] += uint32(len(s.Payload))
		}
	}
}

func (k *workload) bench(b *testing.B) {
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

func BenchmarkOneMessageASegment(b *testing.B)         { newWorkload(b, 1, 300, 1).bench(b) }
func BenchmarkMessageOf20Segments(b *testing.B)        { newWorkload(b, 1, 28000, 20).bench(b) }
func Benchmark1000ConnectionsInTurn(b *testing.B)      { newWorkload(b, 1000, 300, 1).bench(b) }
func Benchmark1000ConnectionsIn2Segments(b *testing.B) { newWorkload(b, 1000, 1500, 2).bench(b) }

func TestKnownConnectionsDoNotAlloc(t *testing.T) {
	for name, k := range map[string]*workload{
		"one message a segment":  newWorkload(t, 1, 300, 1),
		"message of 20 segments": newWorkload(t, 1, 28000, 20),
		"100 connections":        newWorkload(t, 100, 1500, 3),
	} {
		k.message()
		if n := testing.AllocsPerRun(100, k.message); n != 0 {
			t.Errorf("%s: got %v allocations, want none", name, n)
		}
	}
}

func TestNewConnectionsDoNotAllocOnceWarm(t *testing.T) {
	k := newWorkload(t, 1, 300, 1)
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
