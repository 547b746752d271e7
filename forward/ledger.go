package forward

import (
	"context"
	"log/slog"
	"slices"
	"time"

	"github.com/dnstap-pdns/dnstap-pdns/forward/nmsg"
	"github.com/dnstap-pdns/dnstap-pdns/transform"
)

// Ledger accounts for every message and every record, at one instant.
type Ledger struct {
	Total   transform.Counts // of all sources
	Sources []SourceLedger   // in the order in which they first had a lane
	Sinks   []SinkLedger     // as configured; then those that a reload removed. No two have one name

	Resolver ResolverLedger
}

// SourceLedger accounts for the messages of a source: of its lanes, living and gone.
type SourceLedger struct {
	Name   string
	Lanes  int // that live
	Counts transform.Counts

	// When the latest message that may be outward came, as [Lane.Passes] says, and what
	// time it was by the messages that came then, transform.NoTime if they tell none. In
	// Replay, or where none has come, LastOutward is zero and Clock means nothing.
	LastOutward time.Time
	Clock       transform.Time

	ResolverKnown bool // messages of any source have shown an address of the resolver
}

// SinkLedger accounts for the records that sinks of a name were offered: the one that is
// configured, and those that a reload has replaced or removed. Offered = Delivered +
// Queued + Filtered + the sum of Lost.
type SinkLedger struct {
	Name    string
	Target  Target
	Message nmsg.MessageType
	Removed bool // by a reload: none of this name is configured
	Leaving bool // one that a reload removed or replaced still drains

	Offered   uint64
	Delivered uint64 // UDP: the kernel took the datagram; file and stdout: it was written whole
	Queued    uint64 // in open batches, in the queue and in the sink's hands
	Filtered  uint64 // the message type has no form for them
	Lost      LossCounts

	OnRotate   Kicks // beside the sum: these are files, not records
	Sent       Sent
	QueueBytes int64 // that wait
	QueueMax   int64 // of those, at most

	Error        string    // of the latest failure, while the sink fails
	FailingSince time.Time // zero: it does not
}

// Sum is what Offered must equal.
func (l *SinkLedger) Sum() uint64 { return l.Account().Sum() }

// Account returns the account of the records that the sink was offered.
func (l *SinkLedger) Account() transform.Account {
	return transform.Account{
		Whole: transform.Row{Name: "offered", Metric: "sink_records_offered_total", Meaning: "records for this sink", Value: l.Offered},
		Parts: []transform.Row{
			{Name: "delivered", Metric: "sink_records_delivered_total", Meaning: "records that were delivered", Value: l.Delivered},
			{Name: "queued", Metric: "sink_records_queued", Meaning: "records that wait", Kind: transform.Gauge, Value: l.Queued},
			{Name: "filtered", Metric: "sink_records_filtered_total", Meaning: "records that the message type has no form for", Value: l.Filtered},
		},
		Lost: l.Lost.group(),
	}
}

// Rows returns what the sink counts outside the sum: its queue and what it sent.
func (l *SinkLedger) Rows() []transform.Row {
	return []transform.Row{
		{Name: "queue_bytes", Metric: "sink_queue_bytes", Meaning: "what waits in the queue", Kind: transform.Gauge, Value: uint64(l.QueueBytes)},
		{Name: "queue_max_bytes", Metric: "sink_queue_limit_bytes", Meaning: "what may wait there, before the oldest is given up", Kind: transform.Gauge, Value: uint64(l.QueueMax)},
		{Name: "containers", Metric: "sink_sent_containers_total", Meaning: "NMSG containers that were delivered", Value: l.Sent.Containers},
		{Name: "datagrams", Metric: "sink_sent_datagrams_total", Meaning: "UDP: datagrams that were delivered, fragments included", Value: l.Sent.Datagrams},
		{Name: "bytes", Metric: "sink_sent_bytes_total", Meaning: "bytes that were delivered", Value: l.Sent.Bytes},
	}
}

// Rows returns how many files the on_rotate command was run for, and how it ended.
func (k *Kicks) Rows() []transform.Row {
	return []transform.Row{
		{Name: "done", Metric: "sink_on_rotate_done_total", Meaning: "files whose on_rotate command ended well", Value: k.Done},
		{Name: "failed", Metric: "sink_on_rotate_failed_total", Meaning: "files whose on_rotate command failed", Value: k.Failed},
		{Name: "skipped", Metric: "sink_on_rotate_skipped_total", Meaning: "files whose on_rotate command was not run", Value: k.Skipped},
		{Name: "waiting", Meaning: "files whose on_rotate command runs or is about to", Kind: transform.Gauge, Value: k.Waiting},
	}
}

// Ledger returns the account as of now. It waits for bursts under way.
func (f *Forwarder) Ledger() Ledger {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, l := range f.lanes {
		l.mu.Lock()
		defer l.mu.Unlock()
	}
	ledger := Ledger{Resolver: f.resolverLedger()}
	for _, src := range f.sources {
		s := f.sourceLedger(src)
		ledger.Total.Add(&s.Counts)
		s.ResolverKnown = ledger.Resolver.Known > 0
		ledger.Sources = append(ledger.Sources, s)
	}
	for _, s := range f.sinks {
		ledger.Sinks = append(ledger.Sinks, f.sinkLedger(s))
	}
	for _, s := range f.leaving {
		l := f.sinkLedger(s)
		l.Removed, l.Leaving = true, true
		ledger.Sinks = join(ledger.Sinks, &l)
	}
	for i := range f.gone {
		ledger.Sinks = join(ledger.Sinks, &f.gone[i])
	}
	return ledger
}

func (f *Forwarder) sourceLedger(src *source) SourceLedger {
	s := SourceLedger{Name: src.name, Counts: src.gone}
	last := src.last
	for _, l := range f.lanes {
		if l.source == src {
			c := l.pairer.Counts()
			s.Counts.Add(&c)
			s.Lanes++
			last = last.later(l.last)
		}
	}
	s.LastOutward, s.Clock = last.at, last.clock
	return s
}

// keep adds the closing account of a sink that a reload removed to what is kept of its
// name.
func (f *Forwarder) keep(l SinkLedger) {
	l.Removed = true
	l.Error, l.FailingSince, l.QueueMax = "", time.Time{}, 0 // it is past
	f.gone = join(f.gone, &l)
}

// join adds an account to the one of its name, or puts it behind all.
func join(all []SinkLedger, l *SinkLedger) []SinkLedger {
	i := slices.IndexFunc(all, func(o SinkLedger) bool { return o.Name == l.Name })
	if i < 0 {
		return append(all, *l)
	}
	all[i].add(l)
	return all
}

// add adds the account of another sink of the name, which was there before.
func (l *SinkLedger) add(o *SinkLedger) {
	l.Leaving = l.Leaving || o.Leaving
	l.Offered += o.Offered
	l.Delivered += o.Delivered
	l.Queued += o.Queued
	l.Filtered += o.Filtered
	for why, n := range o.Lost {
		l.Lost[why] += n
	}
	l.OnRotate.add(&o.OnRotate)
	l.Sent.add(&o.Sent)
	l.QueueBytes += o.QueueBytes
	l.QueueMax += o.QueueMax
	if l.FailingSince.IsZero() && !o.FailingSince.IsZero() {
		l.Error, l.FailingSince = "as it was before the reload: "+o.Error, o.FailingSince
	}
}

// sinkLedger adds what lanes have not handed over to what the queue knows. Lanes
// are locked, so nothing enters the queue meanwhile.
func (f *Forwarder) sinkLedger(s *sink) SinkLedger {
	l := s.ledger()
	for _, lane := range f.lanes {
		for i := range lane.feeds {
			if feed := &lane.feeds[i]; feed.sink == s {
				feed.tell(&l)
			}
		}
	}
	return l
}

func (f *feed) tell(l *SinkLedger) {
	l.Offered += f.counts.offered
	l.Filtered += f.counts.filtered
	l.Lost[TooBig] += f.counts.tooBig
	if f.open != nil {
		l.Queued += uint64(f.open.records)
	}
}

// ledger is the sink's account without its feeds'.
func (s *sink) ledger() SinkLedger {
	l := SinkLedger{Name: s.config.Name, Target: s.config.Target, Message: s.config.Message}
	l.Error, l.FailingSince = s.health.tell(time.Now())
	if t, ok := s.transport.(teller); ok {
		t.tell(&l)
	}
	q := s.queue
	q.mu.Lock()
	defer q.mu.Unlock()
	t := &q.tally
	l.Offered, l.Delivered, l.Filtered = t.offered, t.delivered, t.filtered
	l.Queued = q.waiting + q.inHand
	l.Lost = t.lost
	l.Lost[TooBig] += t.tooBig
	l.Sent, l.QueueBytes, l.QueueMax = t.sent, q.bytes, q.limit
	return l
}

// logClosing writes the closing account of a sink that no ledger will show again.
func (s *sink) logClosing() {
	if s.err != nil {
		s.log.Error("sink failed while it was removed", "error", s.err)
	}
	l := s.ledger()
	level := slog.LevelInfo
	if l.Lost != (LossCounts{}) {
		level = slog.LevelWarn
	}
	s.log.Log(context.Background(), level, "sink removed",
		"offered", l.Offered, "delivered", l.Delivered, "filtered", l.Filtered, "lost", l.Lost,
		"passed_on", s.queue.passedOn(), "on_rotate", l.OnRotate)
}
