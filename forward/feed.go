package forward

import (
	"time"

	"github.com/dnstap-pdns/dnstap-pdns/transform"
)

// A Feed is the input of one sink from one lane or another stage: the open batch, and
// counts of records that never entered a batch. A lane's mutex guards its feeds.
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

// record is the callback that takes records from the Pairer. It encodes a record once per
// encoding in use, and copies it into the feeds.
func (l *Lane) record(r *transform.Record) {
	clock := transform.NoTime
	if l.forwarder.mode == Replay {
		clock = l.filed.at(r.Time(), l.pairer.Clock())
	}
	for i := range l.plan.encodings {
		f := &l.plan.encodings[i]
		l.feed(f, r, l.feeds[f.from:f.to], clock)
	}
}

// feed encodes a record and copies it into the feeds with that encoding.
func (l *Lane) feed(f *encoding, r *transform.Record, feeds []Feed, clock transform.Time) {
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

// add copies an encoded record into the open batch. now is the time of the burst (Live
// only), clock the time that selects the file (Replay only).
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

// seal gives the open batch, if any, to the sink.
func (f *Feed) seal() {
	if f.open == nil {
		return
	}
	b := f.open
	f.framer.Seal(b)
	f.open, f.records = nil, 0
	f.Push(b, false) // if the sink has ended, the queue counts the records as lost
}

// Push gives a sealed batch, made with the feed's framer, to the sink, which owns it from
// then on. With wait it first waits for room in the queue, and drops no batch; the caller
// must hold no lock. Without wait it never blocks: in Live, a full queue drops its oldest
// batches. An error states that the sink accepts no more batches; the records are counted
// as lost.
func (f *Feed) Push(b *Batch, wait bool) error {
	b.edition = f.to.edition
	if wait {
		f.to.queue.awaitRoom()
	}
	return f.to.queue.push(b, f.framer, wait)
}

// end seals the open batch and adds the feed's counts to the queue. The feed must not be
// used after that.
func (f *Feed) end() {
	f.seal()
	f.to.queue.addCounts(&f.counts)
}
