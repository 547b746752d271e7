package forward

import (
	"log/slog"
	"net/netip"
	"slices"
	"time"

	"github.com/dnstap-pdns/dnstap-pdns/transform"
)

// Ledger accounts for every message and every record, at one instant.
type Ledger struct {
	Total   transform.Counts // of all sources
	Sources []SourceLedger   // in the order in which they first had a lane
	Sinks   []SinkLedger     // as configured; then those that a reload removed. Names are unique

	Resolver ResolverLedger
}

// SourceLedger accounts for the messages of a source, over its open and closed lanes and inlets. What
// an [Inlet] took is a message that became a record, also if it is an RRset.
type SourceLedger struct {
	Name   string
	Lanes  int // open lanes and inlets
	Counts transform.Counts

	// LastOutward is when the latest message that may be outward arrived (see
	// [Lane.MayBeOutward]), and Clock the time that messages stated then, transform.NoTime if
	// they state none. LastOutward is zero in Replay and if there was no such message;
	// then Clock has no meaning.
	LastOutward time.Time
	Clock       transform.Time

	ResolverKnown bool // messages of any source have shown an address of the resolver
}

// SinkLedger accounts for the records offered to a sink, over all configurations of its
// name. Offered + Resumed = Delivered + Queued + Written + Spooled + the sums of Filtered and
// Lost.
type SinkLedger struct {
	Name     string
	Target   string // as a URL
	From     string // the aggregate sink that feeds it with RRsets, which are its records; empty: lanes feed it
	Removed  bool   // by a reload: no sink of this name is configured
	Draining bool   // a sender that a reload removed or replaced still sends its batches

	Offered   uint64
	Resumed   uint64 // found in a spool that an earlier run left
	Delivered uint64 // UDP: the kernel took the datagram; file: it was synced and has its name; stdout: the unit was written whole; otherwise: the peer acknowledged it
	Queued    uint64 // in open batches, in the queue, and taken by senders
	Written   uint64 // in files that are not complete
	Spooled   uint64 // in a spool
	Filtered  FilterCounts
	Lost      LossCounts

	OnRotate   CommandRuns   // outside the sum: these are files, not records
	Files      Files         // outside the sum too
	Network    NetworkErrors // outside the sum: these are errors, not records
	Sent       Sent
	RRsets     *RRsets          // nil: it is not an aggregate sink
	Spool      *SpoolState      // nil: there is none
	Peer       *Acknowledgement // nil: the peer acknowledges nothing
	Buffered   *Buffered        // nil: the transport buffers nothing
	Expires    time.Time        // of the sink's certificate; zero: it has none
	QueueBytes int64            // in the queue
	QueueMax   int64            // in the queue at most

	Error        string    // of the latest failure, while the sink fails
	FailingSince time.Time // zero: the sink works
}

// An Acknowledgement is the latest one of a sink's peer.
type Acknowledgement struct{ Last time.Time } // zero: there was none

// CommandRuns accounts for a sink's on_rotate command: each file that got its final name
// is counted in one of the fields.
type CommandRuns struct {
	Done    uint64 // the command ended with exit status 0
	Failed  uint64 // the command could not be started, ended with another status, or was killed
	Skipped uint64 // the command was not started: too many files waited, or the sensor stopped. The next start runs it
	Waiting uint64 // the command runs, or has not been started yet
}

// Files accounts for the files of a sink.
type Files struct {
	Retried uint64 // full files whose completion failed, and is retried
	Deleted uint64 // old finished files, which keep deleted
}

func (f *Files) add(o Files) {
	f.Retried += o.Retried
	f.Deleted += o.Deleted
}

// Rows returns a row for each count.
func (f *Files) Rows() []transform.Row {
	return []transform.Row{
		{Name: "retried", Metric: "sink_files_retried", Meaning: "files whose completion failed, and is retried", Kind: transform.Gauge, Value: f.Retried},
		{Name: "deleted", Metric: "sink_files_deleted_total", Meaning: "old files that keep deleted", Value: f.Deleted},
	}
}

func (k *CommandRuns) add(o CommandRuns) {
	k.Done += o.Done
	k.Failed += o.Failed
	k.Skipped += o.Skipped
	k.Waiting += o.Waiting
}

// LogValue returns the counts that are not zero.
func (f Files) LogValue() slog.Value { return nonzero(f.Rows()) }

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

// Sum returns the sum that Offered and Resumed must equal.
func (l *SinkLedger) Sum() uint64 { return l.Account().Sum() }

// Account returns the account of the records that were offered to the sink, or resumed by it.
func (l *SinkLedger) Account() transform.Account {
	return transform.Account{
		Whole: []transform.Row{
			{Name: "offered", Metric: "sink_records_offered_total", Meaning: "records for this sink", Value: l.Offered},
			{Name: "resumed", Metric: "sink_records_resumed_total", Meaning: "records that an earlier run left in the spool", Value: l.Resumed},
		},
		Parts: []transform.Row{
			{Name: "delivered", Metric: "sink_records_delivered_total", Meaning: "records that were delivered", Value: l.Delivered},
			{Name: "written", Metric: "sink_records_written", Meaning: "records in files that are not complete", Kind: transform.Gauge, Value: l.Written},
			{Name: "queued", Metric: "sink_records_queued", Meaning: "records that wait to be sent", Kind: transform.Gauge, Value: l.Queued},
			{Name: "spooled", Metric: "sink_records_spooled", Meaning: "records that wait in the spool", Kind: transform.Gauge, Value: l.Spooled},
			{Name: "filtered", Metric: "sink_records_filtered_total", Meaning: "records that the format cannot represent, or that the policy of the sink narrows away", Value: l.Filtered.Sum()},
		},
		Lost: l.Lost.group(),
	}
}

// Rows returns the counts that are not part of the sum: those of the queue, and of sent
// containers, datagrams and bytes.
func (l *SinkLedger) Rows() []transform.Row {
	return []transform.Row{
		{Name: "queue_bytes", Metric: "sink_queue_bytes", Meaning: "bytes that wait in the queue", Kind: transform.Gauge, Value: uint64(l.QueueBytes)},
		{Name: "queue_max_bytes", Metric: "sink_queue_limit_bytes", Meaning: "bytes that may wait in the queue before the oldest batch is dropped", Kind: transform.Gauge, Value: uint64(l.QueueMax)},
		{Name: "containers", Metric: "sink_sent_containers_total", Meaning: "containers, frames and lines that were sent or written", Value: l.Sent.Containers},
		{Name: "datagrams", Metric: "sink_sent_datagrams_total", Meaning: "UDP: datagrams that were sent, fragments included", Value: l.Sent.Datagrams},
		{Name: "bytes", Metric: "sink_sent_bytes_total", Meaning: "bytes that were sent or written", Value: l.Sent.Bytes},
	}
}

// Rows returns a row for each count.
func (k *CommandRuns) Rows() []transform.Row {
	return []transform.Row{
		{Name: "done", Metric: "sink_on_rotate_done_total", Meaning: "files whose on_rotate command succeeded", Value: k.Done},
		{Name: "failed", Metric: "sink_on_rotate_failed_total", Meaning: "files whose on_rotate command failed", Value: k.Failed},
		{Name: "skipped", Metric: "sink_on_rotate_skipped_total", Meaning: "files whose on_rotate command was not run; the next start runs it", Value: k.Skipped},
		{Name: "waiting", Meaning: "files whose on_rotate command runs or waits to run", Kind: transform.Gauge, Value: k.Waiting},
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
	for _, i := range f.inlets {
		i.mu.Lock()
		defer i.mu.Unlock()
	}
	for _, s := range f.stages() {
		s.mu.Lock()
		defer s.mu.Unlock()
	}
	ledger := Ledger{Resolver: f.resolverLedger()}
	for _, src := range f.sources {
		s := f.sourceLedger(src)
		ledger.Total.Add(&s.Counts)
		s.ResolverKnown = ledger.Resolver.Known > 0
		ledger.Sources = append(ledger.Sources, s)
	}
	for _, s := range f.allSinks() {
		ledger.Sinks = append(ledger.Sinks, f.sinkLedger(s))
	}
	return ledger
}

func (f *Forwarder) sourceLedger(src *source) SourceLedger {
	s := SourceLedger{Name: src.name, Counts: src.counts}
	last := src.last
	for _, l := range f.lanes {
		if l.source == src {
			c := l.pairer.Counts()
			s.Counts.Add(&c)
			s.Lanes++
			last = last.later(l.last)
		}
	}
	for _, i := range f.inlets {
		if i.source == src {
			s.Counts.Add(&i.counts)
			s.Lanes++
			last = last.later(i.last)
		}
	}
	s.LastOutward, s.Clock = last.at, last.clock
	return s
}

// resolverLedger combines the addresses that each lane has seen. Every lane is locked.
func (f *Forwarder) resolverLedger() ResolverLedger {
	known := map[netip.Addr]bool{}
	l := ResolverLedger{Public: f.plan != nil && f.plan.policy.HasPublicResolver(), Full: f.learned.Full()}
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

// sinkLedger adds the records in the open batches of lanes, inlets and stages to the account of the queue.
// These are locked, unless the sink was removed and nothing feeds it, so that no batch enters the queue
// meanwhile.
func (f *Forwarder) sinkLedger(s *sink) SinkLedger {
	c := &s.current().config
	l := SinkLedger{Name: s.name, Target: c.Target.String(), From: c.From, Removed: s.removed, OnRotate: s.pastRuns, Files: s.pastFiles}
	l.Draining = len(s.senders) > 1 || s.removed && len(s.senders) > 0
	if n := len(s.senders); n > 0 {
		s.senders[n-1].stateOf(&l)
	}
	l.RRsets = s.rrsets()
	for i, n := range slices.Backward(s.senders) {
		l.OnRotate.add(n.commandRuns())
		l.Files.add(n.files())
		if text, since := n.health.failure(time.Now()); l.FailingSince.IsZero() && !since.IsZero() {
			l.Error, l.FailingSince = text, since
			if i < len(s.senders)-1 {
				l.Error = "before the reload: " + text
			}
		}
	}
	s.queue.account(&l)
	if s.removed && len(s.senders) == 0 {
		l.QueueMax = 0
	}
	for _, lane := range f.lanes {
		lane.feeds.account(s, &l)
	}
	for _, inlet := range f.inlets {
		inlet.feeds.account(s, &l)
	}
	for _, stage := range f.stages() {
		stage.feeds.account(s, &l)
	}
	return l
}

// account adds the counts of the queue and of its senders.
func (q *queue) account(l *SinkLedger) {
	q.mu.Lock()
	defer q.mu.Unlock()
	t := &q.tally
	l.Offered, l.Resumed = t.entered+t.filtered.Sum()+t.tooBig, t.resumed
	l.Delivered, l.Filtered, l.Lost = t.delivered, t.filtered, t.lost
	l.Lost[TooBig] += t.tooBig
	l.Queued = q.waiting + t.inFlight
	l.Written, l.Spooled = t.tentative[Written], t.tentative[Spooled]
	l.Network, l.Sent, l.QueueBytes, l.QueueMax = t.errors, t.sent, q.bytes, q.limit
}

// account adds the counts of the feed.
func (f *Feed) account(l *SinkLedger) {
	l.Offered += uint64(f.records) + f.counts.filtered.Sum() + f.counts.tooBig
	l.Filtered.add(&f.counts.filtered)
	l.Lost[TooBig] += f.counts.tooBig
	l.Queued += uint64(f.records)
}
