package forward

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/dnstap-pdns/dnstap-pdns/forward/nmsg"
	"github.com/dnstap-pdns/dnstap-pdns/transform"
	"github.com/dnstap-pdns/dnstap-pdns/transform/rrset"
)

// An Inlet is the input of records and RRsets that other sensors made: a source that is not the
// place where they are judged. Unlike a [Lane] it neither pairs nor scrubs, and it waits for room
// in the queues of sinks, whose configurations have Waits. It exists in Live only. Its owner calls
// it from one goroutine, and closes it before the Forwarder stops.
type Inlet struct {
	forwarder *Forwarder
	source    *source // the Forwarder's mutex guards it

	mu     sync.Mutex
	counts transform.Counts
	last   outwardBurst // the latest record or RRset
	feeds  feeds        // to the senders of the plan

	known map[*sink]damage // when the inlet began, or at the latest Confirm that reported it; the owner uses it
}

// Inlet returns an inlet of the source of that name, which the ledger shows. An Apply must precede
// it.
func (f *Forwarder) Inlet(source string) *Inlet {
	f.mu.Lock()
	defer f.mu.Unlock()
	i := &Inlet{forwarder: f, source: f.source(source), known: map[*sink]damage{}}
	for _, s := range f.allSinks() {
		i.known[s] = s.queue.damage()
	}
	i.setPlan(f.plan)
	f.inlets = append(f.inlets, i)
	return i
}

// Record passes a record, which it borrows, to the sinks that lanes feed, and waits for room in
// their queues until ctx ends. The record has been counted as read.
func (i *Inlet) Record(ctx context.Context, r *transform.Record, ids nmsg.IDs) {
	i.mu.Lock()
	now := i.begin()
	i.feeds.record(r, ids, now, transform.NoTime)
	i.end(ctx)
}

// RRset passes an RRset, which it borrows, to the aggregate sinks, and waits like Record. It is
// counted as a record. Without an aggregate sink, no sink gets it.
func (i *Inlet) RRset(ctx context.Context, a *rrset.Aggregate, ids nmsg.IDs) {
	i.mu.Lock()
	now := i.begin()
	i.feeds.rrset(a, ids, now, transform.NoTime)
	i.end(ctx)
}

// begin counts a record or an RRset, and returns the time. i.mu is held.
func (i *Inlet) begin() time.Time {
	now := time.Now()
	i.counts.Read++
	i.counts.Records++
	// What others saw may be old: its times say nothing about a clock.
	i.last = outwardBurst{now, transform.NoTime}
	return now
}

// end releases i.mu, and waits for room. As for a stage, a queue exceeds its limit by the batches of
// one record, and those that become due, at most.
func (i *Inlet) end(ctx context.Context) {
	i.feeds.shrink()
	senders := i.feeds.senders
	i.mu.Unlock()
	for _, s := range senders {
		s.queue.awaitRoom(ctx)
	}
}

// Drop counts a payload that became neither.
func (i *Inlet) Drop(why transform.Reason) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.counts.Read++
	i.counts.Dropped[why]++
}

// Confirm seals the open batches, and waits until all sinks have made final what they got: it is
// delivered, or in a spool and synced. Aggregates emit their windows, and then the sinks that they
// feed confirm, too. A sink that fails is tried again until ctx ends. An error states that ctx has
// ended, that the Forwarder stops, or that a sink has lost records since the last Confirm without
// an error, or may have: these losses are not reported again, because the owner passes the records
// again.
func (i *Inlet) Confirm(ctx context.Context) error {
	i.seal()
	err := i.forwarder.confirm(ctx)
	if err == nil {
		i.known, err = i.forwarder.damagesSince(i.known)
	}
	return err
}

// Close ends the inlet: open batches are sealed, and the source keeps the counts. The inlet must
// not be used after that.
func (i *Inlet) Close() {
	f := i.forwarder
	f.mu.Lock()
	defer f.mu.Unlock()
	at := slices.Index(f.inlets, i)
	if at < 0 {
		return // closed already
	}
	f.inlets = slices.Delete(f.inlets, at, at+1)
	i.mu.Lock()
	defer i.mu.Unlock()
	i.feeds.set(nil, nil)
	i.source.counts.Add(&i.counts)
	i.source.last = i.source.last.later(i.last)
}

// setPlan replaces the senders. Feeds of senders that are in both plans keep their open batch. The
// Forwarder's mutex is held.
func (i *Inlet) setPlan(p *plan) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.feeds.set(p.senders, p.encodings)
}

// seal seals the open batches.
func (i *Inlet) seal() {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.feeds.seal()
}

// sealDue seals the open batches that have waited for the flush time of their sink.
func (i *Inlet) sealDue(now time.Time) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.feeds.sealDue(now)
}
