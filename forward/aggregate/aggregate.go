package aggregate

import (
	"context"
	"fmt"
	"math"
	"sync"
	"time"

	"github.com/dnstap-pdns/dnstap-pdns/forward"
	"github.com/dnstap-pdns/dnstap-pdns/transform"
	"github.com/dnstap-pdns/dnstap-pdns/transform/rrset"
)

// A transport verifies the RRsets of records and counts them in a table.
type transport struct {
	config Config
	env    forward.Env
	seed   *rrset.Seed // nil: there is no root zone file
	state  *state      // nil: the table is emitted at the end

	open        bool
	delegations *rrset.Delegations
	verifier    *rrset.Verifier
	table       *rrset.Table

	start   time.Time       // Live: the zero of the table's clock
	clock   transform.Clock // Replay: of the records
	elapsed time.Duration   // on the table's clock
	now     transform.Time  // Replay: of the clock

	ctx     context.Context                            // of the current call
	record  transform.Record                           // the current one
	rrset   rrset.Aggregate                            // the current one of another sensor
	observe func(*rrset.RRset, transform.Time, uint32) // observeVerified, bound once
	counts  struct {
		received, refused, emitted, lost uint64
		withheld                         transform.ReasonCounts
	}

	mu      sync.Mutex
	account forward.RRsets // as of the end of the latest call
}

// Open loads the state.
func (t *transport) Open(ctx context.Context) error {
	if t.open {
		return nil
	}
	t.ctx = ctx
	t.tick()
	t.delegations = rrset.NewDelegations(t.config.RootServers, delegationBytes)
	if t.state != nil {
		if err := t.load(); err != nil {
			return err
		}
	}
	if t.seed != nil {
		t.delegations.Plant(t.seed)
		t.seed = nil
	}
	t.verifier = rrset.NewVerifier(rrset.Config{Wait: t.config.BailiwickWait, MaxHeld: heldBytes}, t.delegations)
	t.open = true
	t.publish()
	return nil
}

// load locks the state, and reads the table and the delegations if they are saved.
func (t *transport) load() error {
	if err := t.state.lock(); err != nil {
		return err
	}
	delegations, err := t.state.loadDelegations(t.config.RootServers)
	if err == nil && delegations != nil {
		t.delegations = delegations
	}
	var table *rrset.Table
	if err == nil {
		table, err = t.state.loadTable(t.limits(), t.elapsed, t.emit)
	}
	if err != nil {
		t.state.unlock()
		return fmt.Errorf("loading the state: %w", err)
	}
	if table != nil {
		t.table = table
	}
	return nil
}

func (t *transport) limits() rrset.Limits {
	return rrset.Limits{
		Window: t.config.Window, MaxEntries: t.config.MaxEntries, MaxBytes: int(t.config.MaxBytes), Insertions: t.config.Insertions,
		Release: t.config.Release,
	}
}

// tick sets the table's clock in Live.
func (t *transport) tick() {
	if t.env.Mode == forward.Live {
		t.elapsed = time.Since(t.start)
	}
}

// Send handles the records and RRsets of the first batch.
func (t *transport) Send(ctx context.Context, bs []*forward.Batch, from int) (r forward.Result, err error) {
	t.ctx = ctx
	b, n := bs[0], from
	for ; n < len(b.Units) && ctx.Err() == nil; n++ {
		t.take(b.Bytes(n))
	}
	if n > 0 {
		r.Deliver(b, from, b.Units[n-1].End-b.Start(from))
		r.Sent = forward.Sent{} // nothing left
	}
	t.save()
	t.publish()
	return r, nil
}

// take handles a unit: a record or an RRset.
func (t *transport) take(unit []byte) {
	if isRRset(unit) {
		t.takeRRset(unit)
		return
	}
	readRecord(unit, &t.record)
	t.setClock(t.record.Time())
	t.verifier.Take(&t.record, sourceOf(unit), t.observe)
	t.record = transform.Record{} // it borrows the batch
}

// takeRRset merges an RRset that another sensor verified.
func (t *transport) takeRRset(unit []byte) {
	a := &t.rrset
	readRRset(unit, a)
	t.setClock(transform.Time(a.TimeLast) * transform.Time(time.Second))
	t.counts.received++
	t.count(&a.RRset, a.Sighting, sourceOf(unit))
	clear(a.Rdata) // they borrow the batch
	a.RRset = rrset.RRset{Rdata: a.Rdata[:0]}
}

// setClock sets the table's clock, in Replay by the time of a unit.
func (t *transport) setClock(at transform.Time) {
	if t.env.Mode == forward.Live {
		t.tick()
		return
	}
	var elapsed transform.Time
	t.now, elapsed = t.clock.See(at)
	t.elapsed = time.Duration(elapsed)
}

// observeVerified counts a verified RRset of a record.
func (t *transport) observeVerified(r *rrset.RRset, at transform.Time, source uint32) {
	second := seconds(at)
	t.count(r, rrset.Sighting{TimeFirst: second, TimeLast: second, Count: 1}, source)
}

// count counts the sightings of an RRset in the table.
func (t *transport) count(r *rrset.RRset, seen rrset.Sighting, source uint32) {
	if err := t.table.Observe(r, seen, source, t.elapsed); err != nil {
		t.counts.refused++
	}
}

// seconds returns a time as databases store it. Times that they cannot store become the nearest one.
func seconds(t transform.Time) uint32 {
	return uint32(min(max(int64(t)/int64(time.Second), 0), math.MaxUint32))
}

// emit passes an RRset to the sinks, unless it is withheld, and waits for room there. When the context
// has ended, the sinks end, too.
func (t *transport) emit(a *rrset.Aggregate) {
	if t.ctx.Err() != nil {
		t.counts.lost++
		return
	}
	if reason := t.env.Emit(t.ctx, a, t.now); reason != transform.Kept {
		t.counts.withheld[reason]++
		return
	}
	t.counts.emitted++
}

// Idle ends the windows that are over, and saves the state when that is due.
func (t *transport) Idle(ctx context.Context) (next time.Time, err error) {
	if t.env.Mode == forward.Replay {
		return time.Time{}, nil
	}
	t.ctx = ctx
	t.tick()
	t.table.Expire(t.elapsed)
	t.save()
	t.publish()
	if end, ok := t.table.NextExpiration(); ok {
		next = t.start.Add(end)
	}
	if t.state == nil {
		return next, nil
	}
	if due := t.state.next(time.Now()); next.IsZero() || due.Before(next) {
		next = due
	}
	return next, nil
}

// save continues to save the state, or starts it when that is due.
func (t *transport) save() {
	if t.state != nil {
		t.state.advance(time.Now(), t.snapshot)
	}
}

// snapshot returns what is to be saved as of now, with the delegations if all is true.
func (t *transport) snapshot(all bool) snapshot {
	s := snapshot{table: t.table.NewSaver(t.elapsed)}
	if all {
		s.delegations = t.delegations.Save()
	}
	return s
}

// MayTake returns no limit: the sinks may not take RRsets for any time. They report what is wrong.
func (t *transport) MayTake([]*forward.Batch) time.Duration { return unlimited }

const unlimited = 10 * 365 * 24 * time.Hour

// Close saves the table, or emits it if there is no state file.
func (t *transport) Close(ctx context.Context) error {
	if !t.open {
		return nil
	}
	t.ctx = ctx
	t.tick()
	t.verifier.Finish()
	err := t.finish()
	t.publish() // for the last counts of the table
	t.table, t.open = nil, false
	t.publish()
	return err
}

func (t *transport) finish() error {
	if t.state != nil {
		return t.state.finish(t.table.NewSaver(t.elapsed), t.delegations.Save)
	}
	return t.flush()
}

// flush emits the table.
func (t *transport) flush() error {
	before := t.counts.lost
	t.table.Flush()
	if lost := t.counts.lost - before; lost > 0 {
		return fmt.Errorf("%d RRsets of the window were lost, because the sinks did not take them in time: set state, to keep the window over restarts", lost)
	}
	return nil
}

// Confirm emits the table. Held responses that cannot be verified yet never will be.
func (t *transport) Confirm(ctx context.Context) error {
	t.ctx = ctx
	t.tick()
	t.verifier.Finish()
	err := t.flush()
	t.publish()
	return err
}

// publish updates the account.
func (t *transport) publish() {
	a := forward.RRsets{
		Outcomes: t.verifier.Counts(), Received: t.counts.received, Refused: t.counts.refused,
		Emitted: t.counts.emitted, Withheld: t.counts.withheld, Lost: t.counts.lost,
	}
	if t.state != nil {
		a.Saved, a.SaveFailures = t.state.saved, t.state.failures
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	a.Evicted, a.Unreleased = t.account.Evicted, t.account.Unreleased
	if t.table != nil {
		s := t.table.Stats()
		a.Entries, a.Bytes, a.Evicted = s.Entries, s.Bytes, s.Evicted
		a.Waiting, a.FullDomains, a.Unreleased = s.Waiting, s.FullDomains, s.Unreleased
	}
	t.account = a
}

// RRsets returns the account.
func (t *transport) RRsets() forward.RRsets {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.account
}
