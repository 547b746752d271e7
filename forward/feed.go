package forward

import (
	"time"

	"github.com/dnstap-pdns/dnstap-pdns/transform"
)

// A Feed is the way of a lane, or of another stage, into one sink: the batch that it
// fills and the records that never entered one. A lane's mutex guards its feeds.
type Feed struct {
	to      *sender
	framer  Framer
	open    *Batch // nil: none
	records int    // in open
	counts  feedCounts
}

// feedCounts are the records, since the feed began, that never entered a batch.
type feedCounts struct{ filtered, tooBig uint64 }

func (c *feedCounts) add(o *feedCounts) {
	c.filtered += o.filtered
	c.tooBig += o.tooBig
}

func newFeed(to *sender) Feed {
	return Feed{to: to, framer: to.config.Format.NewFramer(to.config.limit())}
}

// record is the lane's emit for its Pairer: it encodes a record once for each form in use,
// and copies it into the feeds.
func (l *Lane) record(r *transform.Record) {
	clock := transform.NoTime
	if l.forwarder.mode == Replay {
		clock = l.filed.at(r.Time(), l.pairer.Clock())
	}
	for i := range l.plan.forms {
		f := &l.plan.forms[i]
		l.feed(f, r, l.feeds[f.from:f.to], clock)
	}
}

// feed encodes a record in one form, and copies it into the feeds of that form.
func (l *Lane) feed(f *form, r *transform.Record, feeds []Feed, clock transform.Time) {
	if !f.format.Accepts(r) {
		for i := range feeds {
			feeds[i].counts.filtered++
		}
		return
	}
	encoded, err := f.format.Append(l.encoded[:0], r, f.ids)
	l.encoded = encoded
	for i := range feeds {
		if err != nil {
			feeds[i].counts.tooBig++
			continue
		}
		feeds[i].add(encoded, l.now, clock)
	}
}

// add copies an encoded record into the open batch. now is the burst's time in Live,
// clock the lane's file clock in Replay.
func (f *Feed) add(record []byte, now time.Time, clock transform.Time) {
	if f.open != nil && f.to.divides(f.open.Time, clock) {
		f.seal()
	}
	if f.open == nil {
		f.begin(now, clock)
	}
	if !f.framer.Add(f.open, record) {
		f.seal()
		f.begin(now, clock)
		f.framer.Add(f.open, record)
	}
	f.records++
}

func (f *Feed) begin(now time.Time, clock transform.Time) {
	f.open = f.to.queue.empty()
	f.open.opened, f.open.Time = now, clock
}

// seal sends the open batch to the sink, full or not.
func (f *Feed) seal() {
	if f.open == nil {
		return
	}
	b := f.open
	f.framer.Seal(b)
	f.open, f.records = nil, 0
	f.Push(b, false) // what a sink that has ended does not take is counted there
}

// Push gives a sealed batch, made with the feed's framer, to the sink, which owns it
// from then on. With wait it first waits for room in the queue, and gives up nothing
// that waits there; the caller then holds no lock. Without, it never blocks: in Live,
// a queue that is full gives up its oldest batches. An error says that the sink takes
// nothing more; the records are counted as lost.
func (f *Feed) Push(b *Batch, wait bool) error {
	b.edition = f.to.edition
	if wait {
		f.to.queue.awaitRoom()
	}
	return f.to.queue.push(b, f.framer, wait)
}

// end seals the feed for good. The queue takes over its counts.
func (f *Feed) end() {
	f.seal()
	f.to.queue.inherit(&f.counts)
}
