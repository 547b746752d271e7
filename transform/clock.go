package transform

import "time"

const (
	maxStep   = Time(60 * time.Second) // a larger step of the clock must be confirmed
	agreement = 16                     // messages in a row that confirm it
	maxLull   = Time(time.Hour)        // between two of these messages, if the resolver has little to do

	// longestStep bounds the lane time that passes by one confirmed jump, so that no sum of
	// jumps overflows. It is more than any pairing timeout.
	longestStep = Time(48 * time.Hour)
)

// A clock derives a lane's time from its messages alone. now is the highest time seen. A
// time further away than maxStep, in either direction, is accepted only if agreement
// messages in a row confirm it, so that a single wrong time has no effect. elapsed never
// decreases: expiry is measured in it.
type clock struct {
	set     bool
	now     Time
	elapsed Time

	candidate Time   // the highest time in the present run of messages far away
	run       int    // number of messages in the run
	since     uint32 // arrivals when the run began
}

// see takes one message's time, and the number of queries that arrived before it. It reports
// whether this message confirmed a jump: then the queries that arrived since the first
// message of the run belong to the new time.
func (c *clock) see(t Time, arrivals uint32) (jumped bool) {
	if t == NoTime {
		return false
	}
	if !c.set {
		c.set, c.now = true, t
		return false
	}
	if within(t, c.now) {
		c.run = 0
		if t > c.now {
			c.elapsed += t - c.now
			c.now = t
		}
		return false
	}
	if c.run == 0 || !follows(t, c.candidate) {
		c.run, c.candidate, c.since = 0, t, arrivals
	}
	c.run++
	c.candidate = max(c.candidate, t)
	if c.run < agreement {
		return false
	}
	if c.candidate > c.now {
		c.elapsed += Time(min(distance(c.candidate, c.now), uint64(longestStep)))
	}
	c.now, c.run = c.candidate, 0
	return true
}

// follows reports whether t continues a run of messages up to last: about the same time, or
// at most maxLull later.
func follows(t, last Time) bool {
	return within(t, last) || t > last && distance(t, last) <= uint64(maxLull)
}

// within reports whether two times differ by at most maxStep.
func within(a, b Time) bool { return distance(max(a, b), min(a, b)) <= uint64(maxStep) }

// distance is a - b for a >= b, which may be more than a Time can hold.
func distance(a, b Time) uint64 { return uint64(a) - uint64(b) }

// A Clock derives the time from records, as a lane derives it from messages. Its zero value is
// ready.
type Clock struct{ clock clock }

// See takes the time of a record. now is the clock's time, and NoTime before the first; elapsed
// never decreases.
func (c *Clock) See(t Time) (now, elapsed Time) {
	c.clock.see(t, 0)
	if !c.clock.set {
		return NoTime, 0
	}
	return c.clock.now, c.clock.elapsed
}
