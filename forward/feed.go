package forward

import (
	"time"

	"github.com/dnstap-pdns/dnstap-pdns/forward/nmsg"
	"github.com/dnstap-pdns/dnstap-pdns/transform"
)

// A feed is a lane's way into one sink: the batch that fills, and what was counted
// before anything entered it. The lane's mutex guards it.
type feed struct {
	sink      *sink
	open      *batch // its last container is open and holds a payload; nil: none
	container nmsg.Container
	counts    feedCounts
}

// feedCounts are records, since the feed began.
type feedCounts struct {
	offered, filtered, tooBig uint64
}

func (c *feedCounts) add(o *feedCounts) {
	c.offered += o.offered
	c.filtered += o.filtered
	c.tooBig += o.tooBig
}

// add copies a payload into the open batch. now is the burst's time in Live,
// clock the lane's file clock in Replay.
func (f *feed) add(p nmsg.Payload, now time.Time, clock transform.Time) {
	f.counts.offered++
	if f.open != nil && f.sink.crosses(f.open.clock, clock) {
		f.seal()
	}
	switch {
	case f.open == nil:
		f.begin(now, clock)
	case !f.container.Fits(f.open.buf, p, f.sink.containerMax, f.sink.queue.seqID):
		f.open.finish(&f.container, f.sink.queue.seqID)
		if f.open.room() < f.sink.roomFor(p) {
			f.push()
			f.begin(now, clock)
		} else {
			f.open.buf = f.container.Begin(f.open.buf)
		}
	}
	f.open.buf = f.container.Add(f.open.buf, p)
	f.open.records++
}

func (f *feed) begin(now time.Time, clock transform.Time) {
	f.open = f.sink.queue.blank()
	f.open.opened, f.open.clock = now, clock
	f.open.buf = f.container.Begin(f.open.buf)
}

// seal sends the open batch on its way, full or not.
func (f *feed) seal() {
	if f.open == nil {
		return
	}
	f.open.finish(&f.container, f.sink.queue.seqID)
	f.push()
}

func (f *feed) push() {
	f.sink.queue.push(f.open)
	f.open = nil
}

// end seals the feed for good: the sink goes on with its counts.
func (f *feed) end() {
	f.seal()
	f.sink.queue.inherit(&f.counts)
}
