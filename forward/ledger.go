package forward

import (
	"log/slog"
	"net/netip"
	"slices"
	"time"

	"github.com/dnstap-pdns/dnstap-pdns/forward/nmsg"
	"github.com/dnstap-pdns/dnstap-pdns/transform"
)

// Ledger accounts for every message and every record, at one instant.
type Ledger struct {
	Total   transform.Counts // of all sources
	Sources []SourceLedger   // in the order in which they first had a lane
	Sinks   []SinkLedger     // as configured; then those that a reload removed. Names are unique

	Resolver ResolverLedger
}

// SourceLedger accounts for the messages of a source, over its open and closed lanes.
type SourceLedger struct {
	Name   string
	Lanes  int // open lanes
	Counts transform.Counts

	// LastOutward is when the latest message that may be outward arrived (see
	// [Lane.Passes]), and Clock the time that messages stated then, transform.NoTime if
	// they state none. LastOutward is zero in Replay and if there was no such message;
	// then Clock has no meaning.
	LastOutward time.Time
	Clock       transform.Time

	ResolverKnown bool // messages of any source have shown an address of the resolver
}

// SinkLedger accounts for the records offered to a sink, over all configurations of its
// name. Offered = Delivered + Queued + Written + Spooled + Filtered + the sum of Lost.
type SinkLedger struct {
	Name    string
	Target  Target
	Message nmsg.MessageType
	Removed bool // by a reload: no sink of this name is configured
	Leaving bool // a sender that a reload removed or replaced still sends its batches

	Offered   uint64
	Delivered uint64 // UDP: the kernel took the datagram; file and stdout: the unit was written whole
	Queued    uint64 // in open batches, in the queue, and taken by senders
	Written   uint64 // in files that are not complete; 0: no transport reports it yet
	Spooled   uint64 // in a spool; 0: no transport has one yet
	Filtered  uint64 // the message type cannot represent them
	Lost      LossCounts

	OnRotate   CommandRuns // outside the sum: these are files, not records
	Sent       Sent
	QueueBytes int64 // in the queue
	QueueMax   int64 // in the queue at most

	Error        string    // of the latest failure, while the sink fails
	FailingSince time.Time // zero: the sink works
}

// CommandRuns accounts for a sink's on_rotate command: each file that got its final name
// is counted in one of the fields.
type CommandRuns struct {
	Done    uint64 // the command ended with exit status 0
	Failed  uint64 // the command could not be started, ended with another status, or was killed
	Skipped uint64 // the command was not started: too many files waited, or the sensor stopped
	Waiting uint64 // the command runs, or has not been started yet
}

func (k *CommandRuns) add(o CommandRuns) {
	k.Done += o.Done
	k.Failed += o.Failed
	k.Skipped += o.Skipped
	k.Waiting += o.Waiting
}

// LogValue returns the counts that are not zero.
func (k CommandRuns) LogValue() slog.Value { return nonzero(k.Rows()) }

// nonzero returns the values of rows that are not zero, by name.
func nonzero(rows []transform.Row) slog.Value {
	var attrs []slog.Attr
	for i := range rows {
		if rows[i].Value > 0 {
			attrs = append(attrs, slog.Uint64(rows[i].Name, rows[i].Value))
		}
	}
	return slog.GroupValue(attrs...)
}

// Sum returns the sum that Offered must equal.
func (l *SinkLedger) Sum() uint64 { return l.Account().Sum() + l.Written + l.Spooled }

// Account returns the account of the records that were offered to the sink.
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

// Rows returns the counts that are not part of the sum: those of the queue, and of sent
// containers, datagrams and bytes.
func (l *SinkLedger) Rows() []transform.Row {
	return []transform.Row{
		{Name: "queue_bytes", Metric: "sink_queue_bytes", Meaning: "what waits in the queue", Kind: transform.Gauge, Value: uint64(l.QueueBytes)},
		{Name: "queue_max_bytes", Metric: "sink_queue_limit_bytes", Meaning: "what may wait there, before the oldest is given up", Kind: transform.Gauge, Value: uint64(l.QueueMax)},
		{Name: "containers", Metric: "sink_sent_containers_total", Meaning: "NMSG containers that were delivered", Value: l.Sent.Containers},
		{Name: "datagrams", Metric: "sink_sent_datagrams_total", Meaning: "UDP: datagrams that were delivered, fragments included", Value: l.Sent.Datagrams},
		{Name: "bytes", Metric: "sink_sent_bytes_total", Meaning: "bytes that were delivered", Value: l.Sent.Bytes},
	}
}

// Rows returns a row for each count.
func (k *CommandRuns) Rows() []transform.Row {
	return []transform.Row{
		{Name: "done", Metric: "sink_on_rotate_done_total", Meaning: "files whose on_rotate command ended well", Value: k.Done},
		{Name: "failed", Metric: "sink_on_rotate_failed_total", Meaning: "files whose on_rotate command failed", Value: k.Failed},
		{Name: "skipped", Metric: "sink_on_rotate_skipped_total", Meaning: "files whose on_rotate command was not run", Value: k.Skipped},
		{Name: "waiting", Meaning: "files whose on_rotate command runs or is about to", Kind: transform.Gauge, Value: k.Waiting},
	}
}

// ResolverLedger describes what is known about the resolver's own addresses.
type ResolverLedger struct {
	Known  int  // number of addresses that messages of any source contained
	Public bool // one of these or of the configured addresses is public
	Full   bool // the limit was reached, and the oldest addresses were evicted
}

// Ledger returns the account as of now. It waits for open bursts.
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
	for _, s := range slices.Concat(f.sinks, f.removed) {
		ledger.Sinks = append(ledger.Sinks, f.sinkLedger(s))
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

// resolverLedger requires that every lane is locked.
func (f *Forwarder) resolverLedger() ResolverLedger {
	known := map[netip.Addr]bool{}
	l := ResolverLedger{Public: f.plan != nil && f.plan.policy.NamesPublicResolver(), Full: f.learned.Full()}
	learn := func(addrs []netip.Addr) {
		for _, a := range addrs {
			known[a] = true
			l.Public = l.Public || transform.IsPublic(a)
		}
	}
	learn(f.learned.Addrs())
	for _, lane := range f.lanes {
		learn(lane.pairer.Seen())
	}
	l.Known = len(known)
	return l
}

// sinkLedger adds the records in the open batches of lanes to the account of the queue.
// Lanes are locked, so that no batch enters the queue meanwhile.
func (f *Forwarder) sinkLedger(s *sink) SinkLedger {
	c := &s.current().config
	l := SinkLedger{Name: s.name, Target: c.Target, Removed: s.removed, OnRotate: s.past}
	if n, ok := c.Format.(NMSG); ok {
		l.Message = n.Message
	}
	l.Leaving = len(s.senders) > 1 || s.removed && len(s.senders) > 0
	for i, n := range slices.Backward(s.senders) {
		l.OnRotate.add(n.commandRuns())
		if text, since := n.health.failure(time.Now()); l.FailingSince.IsZero() && !since.IsZero() {
			l.Error, l.FailingSince = text, since
			if i < len(s.senders)-1 {
				l.Error = "as it was before the reload: " + text
			}
		}
	}
	s.queue.account(&l)
	if s.removed && len(s.senders) == 0 {
		l.QueueMax = 0
	}
	for _, lane := range f.lanes {
		for i := range lane.feeds {
			if feed := &lane.feeds[i]; feed.to != nil && feed.to.sink == s {
				feed.account(&l)
			}
		}
	}
	return l
}

// account adds the counts of the queue and of its senders.
func (q *queue) account(l *SinkLedger) {
	q.mu.Lock()
	defer q.mu.Unlock()
	t := &q.tally
	l.Offered = t.entered + t.filtered + t.tooBig
	l.Delivered, l.Filtered, l.Lost = t.delivered, t.filtered, t.lost
	l.Lost[TooBig] += t.tooBig
	l.Queued = q.waiting + t.inFlight
	l.Written, l.Spooled = t.tentative[Written], t.tentative[Spooled]
	l.Sent, l.QueueBytes, l.QueueMax = t.sent, q.bytes, q.limit
}

// account adds the counts of the feed.
func (f *Feed) account(l *SinkLedger) {
	l.Offered += uint64(f.records) + f.counts.filtered + f.counts.tooBig
	l.Filtered += f.counts.filtered
	l.Lost[TooBig] += f.counts.tooBig
	l.Queued += uint64(f.records)
}
