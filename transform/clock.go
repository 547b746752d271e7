package transform

import "time"

const (
	maxStep   = Time(60 * time.Second) // a larger step of the clock must be confirmed
	agreement = 16                     // by so many messages in a row

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

	candidate Time // the highest time in the present run of messages far off
	run       int
}

// see takes one message's time. It reports whether a jump was confirmed just
// now: what came since the jump's first message then belongs to the new time.
func (c *clock) see(t Time) (jumped bool) {
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
	if c.run == 0 || !within(t, c.candidate) {
		c.run, c.candidate = 0, t
	}
	c.run++
	c.candidate = max(c.candidate, t)
	if c.run < agreement {
		return false
	}
	if c.candidate > c.now {
		c.elapsed += min(c.candidate-c.now, longestStep)
	}
	c.now, c.run = c.candidate, 0
	return true
}

func within(a, b Time) bool { return a-b <= maxStep && b-a <= maxStep }
