package ring

// lossEndPolls is the number of polls without a dropped packet after which a loss ends.
const lossEndPolls = 60

// A loss is the state of the log about an interface's dropped packets. Run owns it.
type loss struct {
	lastDrops uint64 // drops at the last poll
	quiet     int    // polls since the last drop, while reported
	reported  bool   // the loss was logged and has not ended
}

// logLoss logs when an interface begins and ceases to lose packets. It does not log
// each loss, because the load is highest then.
func (c *Capture) logLoss(l *link) {
	drops := l.drops.Load()
	lost := drops - l.loss.lastDrops
	l.loss.lastDrops = drops
	switch {
	case lost > 0:
		l.loss.quiet = 0
		if !l.loss.reported {
			l.loss.reported = true
			c.log.Warn("packets are lost: a ring is full", "interface", l.name, "lost", lost,
				"remedy", "set a larger ring, or more lanes if processors are idle")
		}
	case l.loss.reported:
		if l.loss.quiet++; l.loss.quiet == lossEndPolls {
			l.loss.reported = false
			c.log.Info("packets are no longer lost", "interface", l.name, "lost", drops)
		}
	}
}
