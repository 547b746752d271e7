package collector

import (
	"time"
)

// probation is how long after its first message a connection may bring nothing
// outward before that is reported: the clients of a small resolver may for a while
// ask only what it has in its cache.
const probation = time.Minute

// report says at the end of probation if nothing has come that can become a
// record, and what helps.
func (c *conn) report() {
	t := &c.stream.tally
	remedy, due := t.remedy()
	if !due {
		return
	}
	c.mu.Lock()
	c.shown.Remedy = remedy
	c.mu.Unlock()
	says := "only messages that are not outward have come"
	if t.outward > 0 {
		says = "only forwarded messages have come"
	}
	c.log.Warn(says, "from", remedy.Sender, "remedy", remedy.Advice, t.types.attr())
}

// rehabilitate takes a report back once something outward has come after all.
func (c *conn) rehabilitate() {
	if c.shown.Remedy == (Remedy{}) { // nobody else writes it
		return
	}
	if _, due := c.stream.tally.remedy(); due {
		return
	}
	c.mu.Lock()
	c.shown.Remedy = Remedy{}
	c.mu.Unlock()
	c.log.Info("outward messages have come after all")
}
