package forward

import (
	"time"

	"github.com/dnstap-pdns/dnstap-pdns/forward/nmsg"
	"github.com/dnstap-pdns/dnstap-pdns/transform"
	"github.com/dnstap-pdns/dnstap-pdns/transform/rrset"
)

// keptScratch is the largest scratch, in bytes, that is kept after a burst. Nearly all encoded
// records fit.
const keptScratch = 16 << 10

// feeds are the feeds of a lane, an inlet or a stage: one for each sender. Its mutex guards them.
type feeds struct {
	senders   []*sender // those with one format are adjacent
	encodings []encoding
	each      []Feed // one for each sender, in the same order
	encoded   []byte // scratch for the current record or RRset
}

// set replaces the senders. Feeds of senders that remain keep their open batch.
func (s *feeds) set(senders []*sender, encodings []encoding) {
	s.senders, s.encodings = senders, encodings
	s.each = moveFeeds(s.each, senders)
}

// record is the callback that takes records from the Pairer.
func (l *Lane) record(r *transform.Record) {
	clock := transform.NoTime
	if l.forwarder.mode == Replay {
		clock = l.fileClock.at(r.Time(), l.pairer.Clock())
	}
	if l.offers != nil {
		l.traceOffers(r)
	}
	l.feeds.record(r, l.ids, l.now, clock)
}

// record encodes a record once per encoding in use, and copies it into the feeds. now is the time
// of the burst (Live only), clock the time that selects the file (Replay only).
func (s *feeds) record(r *transform.Record, ids nmsg.IDs, now time.Time, clock transform.Time) {
	for i := range s.encodings {
		e := &s.encodings[i]
		s.feedRecord(e, r, s.each[e.from:e.to], ids, now, clock)
	}
}

// feedRecord encodes a record, unless no feed with that encoding takes it, and copies it into those
// that take it.
func (s *feeds) feedRecord(e *encoding, r *transform.Record, each []Feed, ids nmsg.IDs, now time.Time, clock transform.Time) {
	accepts, encoded := e.records.Accepts(r), false
	var err error
	for i := range each {
		feed := &each[i]
		if rule := feed.judge(r, accepts); rule != accepted {
			feed.counts.filtered[rule]++
			continue
		}
		if !encoded {
			encoded = true
			s.encoded, err = e.records.Append(s.encoded[:0], r, ids)
		}
		if err != nil {
			feed.counts.tooBig++
			continue
		}
		feed.add(s.encoded, now, clock)
	}
}

// rrset is record for an RRset, which only feeds with a format for RRsets get.
func (s *feeds) rrset(a *rrset.Aggregate, ids nmsg.IDs, now time.Time, clock transform.Time) {
	for i := range s.encodings {
		e := &s.encodings[i]
		if e.rrsets != nil {
			s.feedRRset(e.rrsets, a, s.each[e.from:e.to], ids, now, clock)
		}
	}
}

// feedRRset is feedRecord for an RRset.
func (s *feeds) feedRRset(format RRsetFormat, a *rrset.Aggregate, each []Feed, ids nmsg.IDs, now time.Time, clock transform.Time) {
	encoded := false
	var err error
	for i := range each {
		feed := &each[i]
		if rule := feed.to.filter.judgeRRset(a); rule != accepted {
			feed.counts.filtered[rule]++
			continue
		}
		if !encoded {
			encoded = true
			s.encoded, err = format.AppendRRset(s.encoded[:0], a, ids)
		}
		switch {
		case err != nil:
			feed.counts.tooBig++
		case len(s.encoded) == 0:
			feed.counts.filtered[ByFormat]++
		default:
			feed.add(s.encoded, now, clock)
		}
	}
}

// shrink releases the scratch if a large record has grown it.
func (s *feeds) shrink() {
	if cap(s.encoded) > keptScratch {
		s.encoded = nil
	}
}

// seal gives all open batches to the sinks.
func (s *feeds) seal() {
	for i := range s.each {
		s.each[i].seal()
	}
}

// sealDue seals the open batches that have waited for the flush time of their sink.
func (s *feeds) sealDue(now time.Time) {
	for i := range s.each {
		f := &s.each[i]
		if f.open != nil && now.Sub(f.open.opened) >= f.to.config.Flush {
			f.seal()
		}
	}
}

// account adds the counts of the feeds of a sink.
func (s *feeds) account(to *sink, l *SinkLedger) {
	for i := range s.each {
		if s.each[i].to.sink == to {
			s.each[i].account(l)
		}
	}
}

// A Feed is the input of one sink from one lane, inlet or stage: the open batch, and counts of
// records that never entered a batch.
type Feed struct {
	to      *sender
	framer  Framer
	open    *Batch // nil: none
	records int    // in open
	counts  feedCounts
}

// feedCounts are the records, since the feed began, that never entered a batch.
type feedCounts struct {
	filtered FilterCounts
	tooBig   uint64
}

func (c *feedCounts) add(o *feedCounts) {
	c.filtered.add(&o.filtered)
	c.tooBig += o.tooBig
}

func newFeed(to *sender) Feed {
	return Feed{to: to, framer: to.config.Format.NewFramer(to.config.limit())}
}

// judge returns the rule by which the sink does not take the record, or accepted. represents: its
// format can represent the record.
func (f *Feed) judge(r *transform.Record, represents bool) FilterRule {
	if !represents {
		return ByFormat
	}
	return f.to.filter.judge(r)
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
	f.Push(b) // if the sink has ended, the queue counts the records as lost
}

// Push gives a sealed batch, made with the feed's framer, to the sink, which owns it from
// then on. It never blocks: in Live, a full queue drops its oldest batches, unless the sink waits. An
// error states that the sink accepts no more batches; the records are counted as lost.
func (f *Feed) Push(b *Batch) error {
	b.edition = f.to.edition
	return f.to.queue.push(b, f.framer)
}

// moveFeeds returns a feed for each sender, and ends the old feeds of all other senders. A feed of the
// same sender keeps its open batch.
func moveFeeds(old []Feed, senders []*sender) []Feed {
	feeds := make([]Feed, len(senders))
	for i, s := range senders {
		feeds[i] = takeFeed(old, s)
	}
	for i := range old {
		if old[i].to != nil {
			old[i].end()
		}
	}
	return feeds
}

// takeFeed moves the sender's feed out of feeds, or makes a new one.
func takeFeed(feeds []Feed, s *sender) Feed {
	for i := range feeds {
		if feeds[i].to == s {
			f := feeds[i]
			feeds[i] = Feed{}
			return f
		}
	}
	return newFeed(s)
}

// end seals the open batch and adds the feed's counts to the queue. The feed must not be
// used after that.
func (f *Feed) end() {
	f.seal()
	f.to.queue.addCounts(&f.counts)
}
