package ring

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/dnstap-pdns/dnstap-pdns/transform"
)

const (
	forever = transform.Time(math.MaxInt64)
	wait    = transform.Time(orderDelay)
)

// takeAll returns the packets that a merge returns at now.
func takeAll(m *merge, now, until transform.Time) (out []string) {
	m.advance(now, until)
	for t := m.first(until); t != nil; t = m.first(until) {
		out = append(out, string(t.head.Data))
		t.hasHead = false
	}
	return out
}

func check(t *testing.T, what string, got []string, want ...string) {
	t.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("%s:\n%s", what, diff)
	}
}

func TestMergeOrdersByTime(t *testing.T) {
	a, b := newLookahead(2), newLookahead(2)
	m := &merge{inputs: []*lookahead{a, b}}
	fill(a.blockAt(0), textPacket(10, "query 1"), textPacket(20, "query 2"), textPacket(50, "query 3"))
	fill(b.blockAt(0), textPacket(15, "response 1"), textPacket(40, "response 2"))
	check(t, "while b may yet bring an earlier one", takeAll(m, 100, forever), "query 1", "response 1", "query 2", "response 2")
	fill(b.blockAt(1), textPacket(45, "late"))
	check(t, "b's next block", takeAll(m, 200, forever), "late")
	check(t, "after b had its time", takeAll(m, 50+wait, forever), "query 3")
	check(t, "and no more", takeAll(m, forever-1, forever))
}

func TestMergeOfOneInputDoesNotWait(t *testing.T) {
	a := newLookahead(1)
	m := &merge{inputs: []*lookahead{a}}
	fill(a.blockAt(0), textPacket(10, "one"), textPacket(20, "two"))
	check(t, "at once", takeAll(m, 20, forever), "one", "two")
}

func TestAdvanceReturnsHowLongToWait(t *testing.T) {
	a, b := newLookahead(1), newLookahead(2)
	m := &merge{inputs: []*lookahead{a, b}}
	for _, c := range []struct {
		what string
		do   func()
		now  transform.Time
		want time.Duration
	}{
		{"nothing is there", func() {}, 1000, -1},
		{"b is silent", func() { fill(a.blockAt(0), textPacket(1000, "one")) }, 1500, orderDelay - 500},
		{"b had its time", func() {}, 1000 + wait, 0},
		{"b has one", func() { fill(b.blockAt(0), textPacket(2000, "two")) }, 2000, 0},
	} {
		c.do()
		if got := m.advance(c.now, forever); got != c.want {
			t.Errorf("%s: got %s, want %s", c.what, got, c.want)
		}
	}
}

// TestMergeDoesNotWaitForAClockSetBack: a clock that is set back leaves packets of the future,
// which must not be delayed until then.
func TestMergeDoesNotWaitForAClockSetBack(t *testing.T) {
	a, b := newLookahead(2), newLookahead(1)
	m := &merge{inputs: []*lookahead{a, b}}
	fill(a.blockAt(0), textPacket(forever/2, "before"))
	fill(a.blockAt(1), textPacket(1000, "after"))
	check(t, "at once", takeAll(m, 2000, forever), "before", "after")
	fill(a.blockAt(0), textPacket(3000, "later"))
	check(t, "then in order again", takeAll(m, 3000, forever))
	check(t, "which takes its time", takeAll(m, 3000+wait, forever), "later")
}

func TestMergeReturnsNoPacketAfterTheEnd(t *testing.T) {
	a, b := newLookahead(1), newLookahead(1)
	m := &merge{inputs: []*lookahead{a, b}}
	fill(a.blockAt(0), textPacket(10, "in"), textPacket(31, "out"), textPacket(20, "in, though out of order"))
	fill(b.blockAt(0), textPacket(30, "in, just"), textPacket(32, "out"))
	check(t, "until 30", takeAll(m, 30+wait, 30), "in", "in, though out of order", "in, just")
}

// TestMergeOrdersPacketsOfAnyDistribution: packets come in order and once each, regardless of
// how they are spread over rings and blocks.
func TestMergeOrdersPacketsOfAnyDistribution(t *testing.T) {
	const packets = 300
	for seed := range uint64(50) {
		r := rand.New(rand.NewPCG(seed, 1))
		m := &merge{}
		for range 1 + r.IntN(4) {
			m.inputs = append(m.inputs, newLookahead(packets+1))
		}
		pending := make([][]testPacket, len(m.inputs))
		turn := make([]int, len(m.inputs))
		retire := func(at int) {
			fill(m.inputs[at].blockAt(turn[at]), pending[at]...)
			turn[at]++
			pending[at] = nil
		}
		var want, got []string
		for i := range transform.Time(packets) {
			want = append(want, fmt.Sprint(i))
			at := r.IntN(len(m.inputs))
			pending[at] = append(pending[at], textPacket(i, fmt.Sprint(i)))
			if r.IntN(5) == 0 {
				retire(at)
			}
			if r.IntN(3) == 0 {
				got = append(got, takeAll(m, i, forever)...)
			}
		}
		for at := range pending {
			retire(at)
		}
		got = append(got, takeAll(m, packets+wait, forever)...)
		if diff := cmp.Diff(want, got); diff != "" {
			t.Fatalf("seed %d: %s", seed, diff)
		}
	}
}
