package transform

import (
	"fmt"
	"math"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// Times that a broken sender may state.
const (
	in1970 = Time(0)
	in2106 = Time(math.MaxUint32) * second
	in2262 = Time(math.MaxInt64)
)

// outOfTime gives a query this time.
func outOfTime(when Time) func(*sketch) {
	return func(d *sketch) {
		d.QueryTime = when
		if d.Role.response() {
			d.ResponseTime = when
		}
	}
}

// sees calls see without arrivals.
func (c *clock) sees(t Time) bool { return c.see(t, 0) }

func TestClockIsTheHighestTimeSeen(t *testing.T) {
	var c clock
	c.sees(NoTime)
	if c.set {
		t.Error("set by no time")
	}
	for _, step := range []struct{ see, now, elapsed time.Duration }{
		{0, 0, 0},
		{5 * time.Second, 5 * time.Second, 5 * time.Second},
		{4400 * time.Millisecond, 5 * time.Second, 5 * time.Second},
		{5 * time.Second, 5 * time.Second, 5 * time.Second},
		{-55 * time.Second, 5 * time.Second, 5 * time.Second},
		{65 * time.Second, 65 * time.Second, 65 * time.Second},
	} {
		if c.sees(epoch + Time(step.see)) {
			t.Errorf("%v: a jump", step.see)
		}
		if c.now != epoch+Time(step.now) || c.elapsed != Time(step.elapsed) {
			t.Errorf("%v: now %v, elapsed %v", step.see, time.Duration(c.now-epoch), time.Duration(c.elapsed))
		}
	}
	c.sees(NoTime)
	if c.now != epoch+65*second {
		t.Error("moved by no time")
	}
}

// TestJumpsAreAcceptedWhenSixteenAgree covers both directions.
func TestJumpsAreAcceptedWhenSixteenAgree(t *testing.T) {
	const hour = 3600 * second
	for _, row := range []struct {
		name    string
		offsets []Time // of messages, from epoch, a millisecond apart
		jumped  bool
		elapsed Time // in whole seconds
	}{
		{"15 ahead", repeat(15, hour), false, 0},
		{"16 ahead", repeat(16, hour), true, hour},
		{"15 back", repeat(15, -hour), false, 0},
		{"16 back", repeat(16, -hour), true, 0},
		{"15 ahead, one right, 15 ahead", append(append(repeat(15, hour), 0), repeat(15, hour)...), false, 0},
		{"interleaved", interleave(64, 0, hour), false, 0},
		{"two jumps interleaved", interleave(64, hour, -hour), false, 0},
		{"15 each in another hour", []Time{1 * hour, 2 * hour, 3 * hour, 4 * hour, 5 * hour, 6 * hour, 7 * hour, 8 * hour,
			9 * hour, 10 * hour, 11 * hour, 12 * hour, 13 * hour, 14 * hour, 15 * hour, 16 * hour}, false, 0},
		{"15 in one place, 16 in another", append(repeat(15, hour), repeat(16, 2*hour)...), true, 2 * hour},
		{"16 in 1970", repeat(16, in1970-epoch), true, 0},
		{"16 in 2106", repeat(16, in2106-epoch), true, longestStep},
		{"ahead and back", append(repeat(16, hour), repeat(16, 0)...), true, hour},
		{"six, nearly a minute apart", []Time{59 * second, 118 * second, 177 * second, 236 * second, 295 * second, 354 * second}, false, 354 * second},
		{"16, more than a minute apart, of a quiet resolver", []Time{61 * second, 122 * second, 183 * second, 244 * second, 305 * second, 366 * second, 427 * second, 488 * second,
			549 * second, 610 * second, 671 * second, 732 * second, 793 * second, 854 * second, 915 * second, 976 * second}, true, 976 * second},
	} {
		t.Run(row.name, func(t *testing.T) {
			var c clock
			jumped := false
			c.sees(epoch)
			for i, offset := range row.offsets {
				jumped = c.sees(epoch+offset+Time(i)*Time(time.Millisecond)) || jumped
			}
			if jumped != row.jumped || c.elapsed/second != row.elapsed/second {
				t.Errorf("jumped %v, elapsed %v, want %v and %v",
					jumped, time.Duration(c.elapsed), row.jumped, time.Duration(row.elapsed))
			}
		})
	}
}

func repeat(n int, offset Time) []Time {
	offsets := make([]Time, n)
	for i := range offsets {
		offsets[i] = offset
	}
	return offsets
}

func interleave(n int, a, b Time) []Time {
	offsets := make([]Time, n)
	for i := range offsets {
		offsets[i] = a
		if i%2 == 1 {
			offsets[i] = b
		}
	}
	return offsets
}

// TestQuietResolverMovesTheClock has bursts minutes apart, each of which is too short to
// confirm the jump alone.
func TestQuietResolverMovesTheClock(t *testing.T) {
	var c clock
	at := epoch
	c.sees(at)
	for range 10 {
		at += Time(5 * time.Minute)
		c.sees(at)
		c.sees(at + second)
	}
	if lag := at - c.now; lag > Time(40*time.Minute) {
		t.Errorf("the clock is %v late", time.Duration(lag))
	}
	if c.elapsed != c.now-epoch {
		t.Errorf("%v elapsed in %v", time.Duration(c.elapsed), time.Duration(c.now-epoch))
	}
}

// TestClockAtTheEndsOfTime checks that nothing overflows.
func TestClockAtTheEndsOfTime(t *testing.T) {
	ends := []Time{NoTime + 1, NoTime + 2, -1, in1970, epoch, in2262 - 1, in2262}
	for _, a := range ends {
		for _, b := range ends {
			var c clock
			c.sees(a)
			for range agreement {
				before := c.elapsed
				c.sees(b)
				if c.elapsed < before || c.elapsed > longestStep {
					t.Errorf("from %d to %d: elapsed %d", a, b, c.elapsed)
				}
			}
			if c.now != max(a, b) && c.now != b {
				t.Errorf("from %d to %d: now %d", a, b, c.now)
			}
		}
	}
}

// TestOneFrameOutOfTimeExpiresNothing has one wrong time, at each position among the queries:
// all other queries expire on time.
// Query n is sent at n seconds.
func TestOneFrameOutOfTimeExpiresNothing(t *testing.T) {
	for _, when := range []Time{in1970, in2106, in2262} {
		for _, n := range []int{1, 15} {
			for _, place := range []int{0, 1, 40, 80} {
				t.Run(fmt.Sprintf("%d frames at %d/%d", n, place, when/second), func(t *testing.T) {
					l := newLane(t, testPolicy(t))
					for i := range 100 {
						if i == place {
							for j := range n {
								l.take(aResponse(outOfTime(when), withID(uint16(10000+j))))
							}
						}
						l.take(aQuery(withID(uint16(i)), at(time.Duration(i)*time.Second)))
					}
					want := count(40, 60)
					if d := cmp.Diff(want, heldTimes(l.Pairer)); d != "" {
						t.Errorf("held (-want +got):\n%s", d)
					}
				})
			}
		}
	}
}

func count(from, n int) []int {
	s := make([]int, n)
	for i := range s {
		s[i] = from + i
	}
	return s
}

// TestSixteenFramesOutOfTimeAreAccepted checks that pending queries have expired then, and
// that after the return to the old time, later queries wait for the whole timeout.
func TestSixteenFramesOutOfTimeAreAccepted(t *testing.T) {
	l := newLane(t, testPolicy(t))
	query := func(i int) *sketch { return aQuery(withID(uint16(i)), at(time.Duration(i)*time.Second)) }
	for i := range 40 {
		l.take(query(i))
	}
	for j := range agreement {
		l.take(aResponse(outOfTime(in2106), withID(uint16(10000+j))))
	}
	if held := heldTimes(l.Pairer); len(held) != 0 || l.Clock() != in2106 {
		t.Errorf("held %v at %d", held, l.Clock())
	}
	for i := 40; i < 140; i++ {
		l.take(query(i))
		want := count(max(40, i-59), min(i-39, 60))
		if i < 40+15+60 {
			want = count(40, i-39) // the first 15 wait until the jump is confirmed, and then for the whole timeout
		} else if i == 40+15+60-1 {
			want = count(54, 60)
		}
		if d := cmp.Diff(want, heldTimes(l.Pairer)); d != "" {
			t.Fatalf("at %d held (-want +got):\n%s", i, d)
		}
	}
}

// TestSilence checks that the clock continues after a silence when 16 messages agree, and
// that these messages do not count as old.
func TestSilence(t *testing.T) {
	l := newLane(t, testPolicy(t))
	for i := range 10 {
		l.take(aQuery(withID(uint16(i)), at(time.Duration(i)*time.Second)))
	}
	const gap = 7200
	for i := gap; i < gap+100; i++ {
		// A message without a time has no effect.
		l.take(aQuery(withID(60000), func(d *sketch) { d.QueryTime = NoTime }))
		l.take(aResponse(withID(60000), func(d *sketch) { d.ResponseTime, d.Role = NoTime, ForwarderResponse }))
		l.take(aQuery(withID(uint16(i)), at(time.Duration(i)*time.Second)))
		var want []int
		switch done := i - gap; {
		case done < 15:
			want = append(count(0, 10), count(gap, done+1)...)
		case done < 75:
			want = count(gap, done+1)
		default:
			want = count(i-59, 60)
		}
		if d := cmp.Diff(want, heldTimes(l.Pairer)); d != "" {
			t.Fatalf("%d after the silence held (-want +got):\n%s", i-gap, d)
		}
	}
}

// TestTimeStepsBack has times that step back like those of resolvers: nothing expires twice or
// late.
func TestTimeStepsBack(t *testing.T) {
	l := newLane(t, testPolicy(t))
	for i := range 200 {
		back := time.Duration(i%2) * 600 * time.Millisecond
		l.take(aQuery(withID(uint16(i)), at(time.Duration(i)*100*time.Millisecond-back)))
	}
	if held := l.Counts().Held; held != 200 {
		t.Errorf("%d held after 20 s", held)
	}
	l.take(aQuery(at(79 * time.Second)))
	l.take(aQuery(at(80 * time.Second)))
	if held := l.Counts().Held; held != 2 {
		t.Errorf("%d held", held)
	}
}

func TestElapsedNeverDecreases(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var c clock
		near := rapid.Int64Range(-90e9, 90e9)
		for range 200 {
			when := Time(rapid.Int64().Draw(t, "time"))
			if rapid.IntRange(0, 20).Draw(t, "near") > 0 {
				when = c.now + Time(near.Draw(t, "step"))
			}
			before := c
			jumped := c.sees(when)
			if c.elapsed < before.elapsed {
				t.Fatalf("elapsed went back from %d to %d", before.elapsed, c.elapsed)
			}
			if before.set && !jumped && (c.now < before.now || c.elapsed-before.elapsed != c.now-before.now) {
				t.Fatalf("now from %d to %d, elapsed from %d to %d", before.now, c.now, before.elapsed, c.elapsed)
			}
		}
	})
}

// TestOneOutlierChangesNothing compares a lane with one that sees, anywhere after its first
// message, one more message with any time.
func TestOneOutlierChangesNothing(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		policy := testPolicy(t)
		plain, disturbed := newLane(t, policy), newLane(t, policy)
		n := rapid.IntRange(2, 80).Draw(t, "messages")
		place := rapid.IntRange(1, n-1).Draw(t, "place")
		outlier := Time(rapid.OneOf(rapid.Int64Range(firstTime, math.MaxInt64),
			rapid.SampledFrom([]int64{0, int64(in2106), int64(in2262)})).Draw(t, "outlier"))
		now := time.Duration(0)
		for i := range n {
			now += time.Duration(rapid.Int64Range(-600e6, 20e9).Draw(t, "step"))
			if i == place && !within(outlier, plain.clock.now) {
				disturbed.take(aResponse(outOfTime(outlier), withID(60000)))
			}
			q := aQuery(withID(uint16(i)), at(now))
			plain.take(q)
			disturbed.take(q)
			if d := cmp.Diff(heldTimes(plain.Pairer), heldTimes(disturbed.Pairer)); d != "" {
				t.Fatalf("held (-without +with):\n%s", d)
			}
		}
	})
}

// firstTime is the first valid Time.
const firstTime = int64(NoTime) + 1

// TestClockOfRecords takes a wrong time, and times of another year.
func TestClockOfRecords(t *testing.T) {
	var c Clock
	if now, elapsed := c.See(NoTime); now != NoTime || elapsed != 0 {
		t.Errorf("without a time: %d, %d", now, elapsed)
	}
	for _, step := range []struct{ see, now, elapsed Time }{
		{epoch, epoch, 0}, {epoch + 5*second, epoch + 5*second, 5 * second}, {in2106, epoch + 5*second, 5 * second},
		{NoTime, epoch + 5*second, 5 * second}, {epoch + 4*second, epoch + 5*second, 5 * second},
	} {
		if now, elapsed := c.See(step.see); now != step.now || elapsed != step.elapsed {
			t.Errorf("at %d: %d, %d", step.see, now, elapsed)
		}
	}
	for range agreement {
		c.See(in1970)
	}
	if now, elapsed := c.See(in1970); now != in1970 || elapsed != 5*second {
		t.Errorf("after a step back: %d, %d", now, elapsed)
	}
}
