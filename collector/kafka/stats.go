package kafka

import (
	"sync"
	"time"

	"github.com/dnstap-pdns/dnstap-pdns/transform"
)

// Stats is the account of a source, outside the sum of the ledger. Its counters never decrease. As
// JSON it is part of the response of /ledger, its numbers under the names of its rows.
type Stats struct {
	Containers uint64 `json:"containers"` // read and parsed
	Bytes      uint64 `json:"bytes"`      // of messages
	NotNMSG    uint64 `json:"not_nmsg"`   // messages that are not exactly one container
	Repeated   uint64 `json:"repeated"`   // containers whose sequence id and number were read before in the same partition
	Commits    uint64 `json:"commits"`
	Failures   uint64 `json:"failures"`     // attempts to confirm or commit that failed: the member reads again what it had read
	OutOfRange uint64 `json:"out_of_range"` // offsets at which there was no message any more: the member continued at the first that exists
	Rebalances uint64 `json:"rebalances"`   // partitions were assigned or revoked
	Partitions int    `json:"partitions"`   // assigned now
	Lag        int64  `json:"lag"`          // messages in these partitions that are not read yet

	Committed   time.Time `json:"last_commit,omitzero"`       // the latest commit; zero: none
	Uncommitted time.Time `json:"uncommitted_since,omitzero"` // when the first message was read that is not committed; zero: none

	Error   string    `json:"-"` // of the latest failure, while the source fails
	Failing time.Time `json:"-"` // since when the source fails; zero: it does not
}

// Rows returns the numbers with their meanings.
func (s *Stats) Rows() []transform.Row {
	return []transform.Row{
		{Name: "containers", Metric: "source_kafka_containers_total", Meaning: "containers that were read from Kafka, repeated ones included", Value: s.Containers},
		{Name: "bytes", Metric: "source_kafka_bytes_total", Meaning: "bytes of the messages that were read from Kafka", Value: s.Bytes},
		{Name: "not_nmsg", Metric: "source_kafka_not_nmsg_total", Meaning: "messages of Kafka that are not exactly one NMSG container, which are skipped", Value: s.NotNMSG},
		{Name: "repeated", Metric: "source_kafka_repeated_total", Meaning: "containers that were read before from the same partition, which are skipped", Value: s.Repeated},
		{Name: "commits", Metric: "source_kafka_commits_total", Meaning: "commits of what the sinks have confirmed", Value: s.Commits},
		{Name: "failures", Metric: "source_kafka_failures_total", Meaning: "confirmations and commits that failed, after which the member reads again from the latest commit", Value: s.Failures},
		{Name: "out_of_range", Metric: "source_kafka_out_of_range_total", Meaning: "times that messages had been deleted before they were read, or the topic was made anew", Value: s.OutOfRange},
		{Name: "rebalances", Metric: "source_kafka_rebalances_total", Meaning: "times that partitions were assigned to this member or revoked", Value: s.Rebalances},
		{Name: "partitions", Metric: "source_kafka_partitions", Meaning: "partitions of the topic that are assigned to this member", Kind: transform.Gauge, Value: uint64(s.Partitions)},
		{Name: "lag", Metric: "source_kafka_lag", Meaning: "messages in these partitions that are not read yet, as of the latest fetch", Kind: transform.Gauge, Value: uint64(s.Lag)},
	}
}

// Stats returns the account. Any goroutine may call it.
func (s *Source) Stats() Stats {
	s.account.mu.Lock()
	defer s.account.mu.Unlock()
	return s.account.stats
}

// A task is what can fail until it succeeds.
type task uint8

const (
	committing task = iota // is shown if both fail
	connecting             // to brokers, to the group, and fetching
	numTasks
)

// An account is a Stats that several goroutines update.
type account struct {
	mu     sync.Mutex
	stats  Stats
	member bool
	tasks  [numTasks]struct {
		err      error
		failures int // in a row
	}
}

func (a *account) update(change func(*Stats)) {
	a.mu.Lock()
	defer a.mu.Unlock()
	change(&a.stats)
}

func (a *account) message(size int, parsed, repeated bool) {
	a.update(func(s *Stats) {
		s.Bytes += uint64(size)
		switch {
		case !parsed:
			s.NotNMSG++
		case repeated:
			s.Containers++
			s.Repeated++
		default:
			s.Containers++
		}
	})
}

func (a *account) notNMSG()      { a.update(func(s *Stats) { s.NotNMSG++ }) }
func (a *account) outOfRange()   { a.update(func(s *Stats) { s.OutOfRange++ }) }
func (a *account) commitFailed() { a.update(func(s *Stats) { s.Failures++ }) }

// began notes that a message was read after a commit. If the commit failed, an earlier one was the
// first.
func (a *account) began(now time.Time) {
	a.update(func(s *Stats) {
		if s.Uncommitted.IsZero() {
			s.Uncommitted = now
		}
	})
}

func (a *account) committed(now time.Time) {
	a.update(func(s *Stats) { s.Commits, s.Committed, s.Uncommitted = s.Commits+1, now, time.Time{} })
}

// joined notes that the member is in the group and has this many partitions.
func (a *account) joined(partitions int, more bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.member = true
	a.stats.rebalanced(partitions, more)
}

// gave notes that the member has this many partitions left. Without any it has nothing to commit.
func (a *account) gave(partitions int, fewer bool) {
	a.update(func(s *Stats) {
		if s.rebalanced(partitions, fewer); partitions == 0 {
			s.Uncommitted = time.Time{}
		}
	})
}

func (s *Stats) rebalanced(partitions int, changed bool) {
	if s.Partitions = partitions; changed {
		s.Rebalances++
	}
}

func (a *account) left() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.member = false
}

func (a *account) isMember() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.member
}

// showLag updates the lag.
func (s *Source) showLag() {
	lag := int64(0)
	for _, p := range s.partitions {
		lag += max(p.end-p.next, 0)
	}
	s.account.update(func(a *Stats) { a.Lag = lag })
}

// failed notes that a task failed, logs it unless the source failed before, and returns how long to wait
// before the next attempt.
func (s *Source) failed(t task, err error) (pause time.Duration) {
	a := &s.account
	a.mu.Lock()
	defer a.mu.Unlock()
	x := &a.tasks[t]
	if a.stats.Error == "" {
		s.log.Warn("the Kafka source fails, and tries again", "topic", s.config.Topic, "group", s.config.Group, "error", err)
	}
	x.err = err
	if x.failures++; a.stats.Failing.IsZero() {
		a.stats.Failing = time.Now()
	}
	a.show()
	return min(s.firstPause<<min(x.failures-1, 10), longestPause)
}

// succeeded notes that a task succeeded, and logs it if nothing fails any more.
func (s *Source) succeeded(t task) {
	a := &s.account
	a.mu.Lock()
	defer a.mu.Unlock()
	x := &a.tasks[t]
	x.failures = 0
	if x.err == nil {
		return
	}
	x.err = nil
	a.show()
	if a.stats.Error == "" {
		s.log.Info("the Kafka source works again", "topic", s.config.Topic, "group", s.config.Group)
	}
}

// show sets what Stats shows of the tasks.
func (a *account) show() {
	for _, t := range a.tasks {
		if t.err != nil {
			a.stats.Error = t.err.Error()
			return
		}
	}
	a.stats.Error, a.stats.Failing = "", time.Time{}
}
