package ring

// lossOver is how many looks without a lost packet end a loss.
const lossOver = 60

// A loss is whether an interface's packets are being lost. It is Run's.
type loss struct {
	known uint64 // drops at the last look
	quiet int    // looks since the last drop; lossOver or more: there is no loss
	told  bool
}

// watchLoss tells when packets begin to be lost, and when that is over: a line for
// each would come at the worst time.
func (c *Capture) watchLoss(l *link) {
	drops := l.drops.Load()
	lost := drops - l.loss.known
	l.loss.known = drops
	switch {
	case lost > 0:
		l.loss.quiet = 0
		if !l.loss.told {
			l.loss.told = true
			c.log.Warn("packets are lost: a ring is full", "interface", l.name, "lost", lost,
				"remedy", "a larger ring, or more lanes if there are processors for them")
		}
	case l.loss.told:
		if l.loss.quiet++; l.loss.quiet == lossOver {
			l.loss.told = false
			c.log.Info("no packets are lost any more", "interface", l.name, "lost", drops)
		}
	}
}
