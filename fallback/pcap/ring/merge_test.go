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
	wait    = transform.Time(settleTime)
)

// take hands out what a merge has to give at a time.
func take(m *merge, now, until transform.Time) (out []string) {
	m.settle(now, until)
	for t := m.first(until); t != nil; t = m.first(until) {
		out = append(out, string(t.head.Data))
		t.held = false
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
	a, b := blank(2), blank(2)
	m := &merge{tracks: []*track{a, b}}
	fill(a.nth(0), arp(10, "query 1"), arp(20, "query 2"), arp(50, "query 3"))
	fill(b.nth(0), arp(15, "response 1"), arp(40, "response 2"))
	check(t, "while b may yet bring an earlier one", take(m, 100, forever), "query 1", "response 1", "query 2", "response 2")
	fill(b.nth(1), arp(45, "late"))
	check(t, "b's next block", take(m, 200, forever), "late")
	check(t, "when b had its time", take(m, 50+wait, forever), "query 3")
	check(t, "and no more", take(m, forever-1, forever))
}

func TestMergeOfOneWaitsForNone(t *testing.T) {
	a := blank(1)
	m := &merge{tracks: []*track{a}}
	fill(a.nth(0), arp(10, "one"), arp(20, "two"))
	check(t, "at once", take(m, 20, forever), "one", "two")
}

func TestMergeSaysHowLongToWait(t *testing.T) {
	a, b := blank(1), blank(2)
	m := &merge{tracks: []*track{a, b}}
	for _, c := range []struct {
		what string
		do   func()
		now  transform.Time
		want time.Duration
	}{
		{"nothing is there", func() {}, 1000, -1},
		{"b is silent", func() { fill(a.nth(0), arp(1000, "one")) }, 1500, settleTime - 500},
		{"b had its time", func() {}, 1000 + wait, 0},
		{"b has one", func() { fill(b.nth(0), arp(2000, "two")) }, 2000, 0},
	} {
		c.do()
		if got := m.settle(c.now, forever); got != c.want {
			t.Errorf("%s: got %s, want %s", c.what, got, c.want)
		}
	}
}

// A clock that is set back leaves packets of the future, which must not wait for it.
func TestMergeDoesNotWaitForAClockSetBack(t *testing.T) {
	a, b := blank(2), blank(1)
	m := &merge{tracks: []*track{a, b}}
	fill(a.nth(0), arp(forever/2, "before"))
	fill(a.nth(1), arp(1000, "after"))
	check(t, "at once", take(m, 2000, forever), "before", "after")
	fill(a.nth(0), arp(3000, "later"))
	check(t, "then in order again", take(m, 3000, forever))
	check(t, "which takes its time", take(m, 3000+wait, forever), "later")
}

func TestMergeEndsAtTheInstant(t *testing.T) {
	a, b := blank(1), blank(1)
	m := &merge{tracks: []*track{a, b}}
	fill(a.nth(0), arp(10, "in"), arp(31, "out"), arp(20, "in, though behind"))
	fill(b.nth(0), arp(30, "in, just"), arp(32, "out"))
	check(t, "until 30", take(m, 30+wait, 30), "in", "in, though behind", "in, just")
}

// However packets are spread over rings and blocks, they come in order, each once.
func TestMergeOfAnySpread(t *testing.T) {
	const packets = 300
	for seed := range uint64(50) {
		r := rand.New(rand.NewPCG(seed, 1))
		m := &merge{}
		for range 1 + r.IntN(4) {
			m.tracks = append(m.tracks, blank(packets+1))
		}
		pending := make([][]stamped, len(m.tracks))
		turn := make([]int, len(m.tracks))
		retire := func(at int) {
			fill(m.tracks[at].nth(turn[at]), pending[at]...)
			turn[at]++
			pending[at] = nil
		}
		var want, got []string
		for i := range transform.Time(packets) {
			want = append(want, fmt.Sprint(i))
			at := r.IntN(len(m.tracks))
			pending[at] = append(pending[at], arp(i, fmt.Sprint(i)))
			if r.IntN(5) == 0 {
				retire(at)
			}
			if r.IntN(3) == 0 {
				got = append(got, take(m, i, forever)...)
			}
		}
		for at := range pending {
			retire(at)
		}
		got = append(got, take(m, packets+wait, forever)...)
		if diff := cmp.Diff(want, got); diff != "" {
			t.Fatalf("seed %d: %s", seed, diff)
		}
	}
}
