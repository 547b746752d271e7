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
	Sinks   []SinkLedger     // as configured; then those that a reload removed. No two have one name

	Resolver ResolverLedger
}

// SourceLedger accounts for the messages of a source: of its lanes, living and gone.
type SourceLedger struct {
	Name   string
	Lanes  int // that live
	Counts transform.Counts

	// When the latest message that may be outward came, as [Lane.Passes] says, and the
	// time in the messages that came then, transform.NoTime if they have none. In
	// Replay, or where none has come, LastOutward is zero and Clock means nothing.
	LastOutward time.Time
	Clock       transform.Time

	ResolverKnown bool // messages of any source have shown an address of the resolver
}

// SinkLedger accounts for the records that the sink of a name was offered, over all its
// configurations. Offered = Delivered + Queued + Written + Spooled + Filtered + the sum
// of Lost.
type SinkLedger struct {
	Name    string
	Target  Target
	Message nmsg.MessageType
	Removed bool // by a reload: none of this name is configured
	Leaving bool // one that a reload removed or replaced still drains

	Offered   uint64
	Delivered uint64 // UDP: the kernel took the datagram; file and stdout: it was written whole
	Queued    uint64 // in open batches, in the queue and in the sink's hands
	Written   uint64 // in files that are not complete; 0: no transport says so yet
	Spooled   uint64 // in a spool; 0: there is none yet
	Filtered  uint64 // the message type has no form for them
	Lost      LossCounts

	OnRotate   CommandRuns // outside the sum: these are files, not records
	Sent       Sent
	QueueBytes int64 // that wait
	QueueMax   int64 // of those, at most

	Error        string    // of the latest failure, while the sink fails
	FailingSince time.Time // zero: it does not
}

// CommandRuns accounts for a sink's on_rotate command: each file that got its final name
// is in one of these.
type CommandRuns struct {
	Done    uint64 // the command ended with exit status 0
	Failed  uint64 // it could not be started, ended otherwise, or was killed
	Skipped uint64 // it was not started: too many files waited, or the sensor stopped
	Waiting uint64 // it runs, or is about to
}

func (k *CommandRuns) add(o CommandRuns) {
	k.Done += o.Done
	k.Failed += o.Failed
	k.Skipped += o.Skipped
	k.Waiting += o.Waiting
}

// LogValue leaves out what is zero.
func (k CommandRuns) LogValue() slog.Value {
	var attrs []slog.Attr
	for _, n := range []struct {
		name  string
		value uint64
	}{{"done", k.Done}, {"failed", k.Failed}, {"skipped", k.Skipped}, {"waiting", k.Waiting}} {
		if n.value > 0 {
			attrs = append(attrs, slog.Uint64(n.name, n.value))
		}
	}
	return slog.GroupValue(attrs...)
}

// Sum is what Offered must equal.
func (l *SinkLedger) Sum() uint64 { return l.Account().Sum() + l.Written + l.Spooled }

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
func (k *CommandRuns) Rows() []transform.Row {
	return []transform.Row{
		{Name: "done", Metric: "sink_on_rotate_done_total", Meaning: "files whose on_rotate command ended well", Value: k.Done},
		{Name: "failed", Metric: "sink_on_rotate_failed_total", Meaning: "files whose on_rotate command failed", Value: k.Failed},
		{Name: "skipped", Metric: "sink_on_rotate_skipped_total", Meaning: "files whose on_rotate command was not run", Value: k.Skipped},
		{Name: "waiting", Meaning: "files whose on_rotate command runs or is about to", Kind: transform.Gauge, Value: k.Waiting},
	}
}

// ResolverLedger is how far the resolver's own addresses are known.
type ResolverLedger struct {
	Known  int  // addresses that messages of any source contained
	Public bool // one of these or of the configured ones is public
	Full   bool // there were more than are remembered: the oldest are forgotten
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

// resolverLedger expects every lane to be locked.
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

// sinkLedger adds what lanes have not handed over to what the queue knows. Lanes are
// locked, so they put nothing into the queue meanwhile.
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

// account adds what the queue and the senders know.
func (q *queue) account(l *SinkLedger) {
	q.mu.Lock()
	defer q.mu.Unlock()
	t := &q.tally
	l.Offered = t.entered + t.filtered + t.tooBig
	l.Delivered, l.Filtered, l.Lost = t.delivered, t.filtered, t.lost
	l.Lost[TooBig] += t.tooBig
	l.Queued = q.waiting + t.inHand
	l.Written, l.Spooled = t.tentative[Written], t.tentative[Spooled]
	l.Sent, l.QueueBytes, l.QueueMax = t.sent, q.bytes, q.limit
}

// account adds what the feed knows.
func (f *Feed) account(l *SinkLedger) {
	l.Offered += uint64(f.records) + f.counts.filtered + f.counts.tooBig
	l.Filtered += f.counts.filtered
	l.Lost[TooBig] += f.counts.tooBig
	l.Queued += uint64(f.records)
}
