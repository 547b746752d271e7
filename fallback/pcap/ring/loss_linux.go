package ring

// lossEndPolls is the number of polls without a dropped packet after which a loss ends.
const lossEndPolls = 60

// A loss records whether an interface's dropped packets were logged. Run owns it.
type loss struct {
	lastDrops uint64 // drops at the last poll
	quiet     int    // polls since the last drop, while reported
	reported  bool   // the loss was logged and has not ended
}

// logLoss logs when an interface begins and ceases to lose packets. It does not log
// each loss, because the load is highest then.
func (c *Capture) logLoss(i *netInterface) {
	drops := i.drops.Load()
	lost := drops - i.loss.lastDrops
	i.loss.lastDrops = drops
	switch {
	case lost > 0:
		i.loss.quiet = 0
		if !i.loss.reported {
			i.loss.reported = true
			c.log.Warn("packets are lost: a ring is full", "interface", i.name, "lost", lost,
				"remedy", "set a larger ring, or more lanes if processors are idle")
		}
	case i.loss.reported:
		if i.loss.quiet++; i.loss.quiet == lossEndPolls {
			i.loss.reported = false
			c.log.Info("packets are no longer lost", "interface", i.name, "lost", drops)
		}
	}
}
