package transform

import "time"

const (
	maxStep   = Time(60 * time.Second) // a larger step of the clock must be confirmed
	agreement = 16                     // by so many messages in a row
	maxLull   = Time(time.Hour)        // between two of those, of a resolver with little to do

	// longestStep bounds how much lane time one confirmed jump lets pass, so that no
	// sum of jumps overflows; it is more than any pairing timeout.
	longestStep = Time(48 * time.Hour)
)

// A clock tells a lane's time by its messages alone. now is the highest time
// seen; a time further off than maxStep, either way, is believed only when
// agreement messages in a row confirm it, so that a single broken one disturbs
// nothing. elapsed never goes back: it is what expiry counts in.
type clock struct {
	set     bool
	now     Time
	elapsed Time

	candidate Time   // the highest time in the present run of messages far off
	run       int    // how many those are
	since     uint32 // arrivals when the run began
}

// see takes one message's time, and the count of queries that arrived before it.
// It reports whether a jump was confirmed just now: what arrived since the jump's
// first message then belongs to the new time.
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

// follows reports whether t agrees with the messages of a run up to last: it is
// about the same time, or some time later.
func follows(t, last Time) bool {
	return within(t, last) || t > last && distance(t, last) <= uint64(maxLull)
}

func within(a, b Time) bool { return distance(max(a, b), min(a, b)) <= uint64(maxStep) }

// distance is how far a lies behind b, which may be more than a Time can hold.
func distance(a, b Time) uint64 { return uint64(a) - uint64(b) }
