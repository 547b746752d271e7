package selftest

import (
	"bytes"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/dnstap-pdns/dnstap-pdns/forward"
	"github.com/dnstap-pdns/dnstap-pdns/forward/nmsg"
	"github.com/dnstap-pdns/dnstap-pdns/transform"
)

// localReasons are the reasons that prove that a name, or its server, is local.
var localReasons = map[string]bool{
	transform.LocalName.String():   true,
	transform.SpecialName.String(): true,
	transform.LocalServer.String(): true,
}

// An observer searches for two names: in the verdicts of all lanes, as their Trace, and in
// the containers of all sinks, as their Observer. Lanes and sinks call it concurrently.
type observer struct {
	name, decoy target

	mu         sync.Mutex
	nameState  nameState
	decoyState nameState
	lastSeen   time.Time       // of either name
	left       map[string]bool // by sink
	decoyLeft  map[string]bool // by sink
}

// A nameState contains what lanes saw of one name.
type nameState struct {
	Seen
	pending  int  // queries without a response that did not expire
	answered bool // a record has a response
}

func newObserver(name, decoy target) *observer {
	return &observer{name: name, decoy: decoy, left: map[string]bool{}, decoyLeft: map[string]bool{}}
}

// Verdict counts a message about one of the names. The lane waits for it.
func (o *observer) Verdict(v *transform.Verdict) {
	var s *nameState
	switch {
	case bytes.Equal(v.Name, o.name.name):
		s = &o.nameState
	case bytes.Equal(v.Name, o.decoy.name):
		s = &o.decoyState
	default:
		return
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	o.lastSeen = time.Now()
	s.count(v)
}

func (s *nameState) count(v *transform.Verdict) {
	query := v.Message != nil && !v.Response
	switch {
	case query && v.Reason == transform.Kept:
		s.Queries++
		s.pending++
		return
	case !query:
		s.pending = max(0, s.pending-1)
	}
	if v.Reason == transform.Kept {
		s.Records++
		s.answered = s.answered || v.Response
		return
	}
	d := Drop{Reason: v.Reason.String()}
	if v.Finding.Rule != transform.NoRule {
		d.Rule = v.Finding.Rule.String()
	}
	if !slices.Contains(s.Dropped, d) {
		s.Dropped = append(s.Dropped, d)
	}
}

// Sent searches a container for the name, and for the first label of the decoy at any place.
// It borrows the container.
func (o *observer) Sent(sink string, container []byte) {
	var lowered []byte
	r := nmsg.NewReader(bytes.NewReader(container))
	for {
		m, err := r.Next()
		if _, damaged := errors.AsType[*nmsg.DamageError](err); damaged {
			continue
		}
		if err != nil {
			return
		}
		lowered = appendLower(lowered[:0], m.Data)
		name, decoy := bytes.Contains(lowered, o.name.name), bytes.Contains(lowered, o.decoy.label)
		if name || decoy {
			o.found(sink, name, decoy)
		}
	}
}

// found records that a sink has sent one of the names, or both.
func (o *observer) found(sink string, name, decoy bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.lastSeen = time.Now()
	o.left[sink] = o.left[sink] || name
	o.decoyLeft[sink] = o.decoyLeft[sink] || decoy
}

func appendLower(to, b []byte) []byte {
	for _, c := range b {
		if 'A' <= c && c <= 'Z' {
			c |= 0x20
		}
		to = append(to, c)
	}
	return to
}

// verdict returns the results so far. before contains the ledgers of the sinks from before
// the selftest, now the current ones.
func (o *observer) verdict(before, now []forward.SinkLedger) *Verdict {
	o.mu.Lock()
	defer o.mu.Unlock()
	v := &Verdict{Name: o.nameState.seen(), Decoy: o.decoyState.seen(), Sinks: []Sink{}}
	for i := range now {
		l := &now[i]
		if at := slices.IndexFunc(before, func(b forward.SinkLedger) bool { return b.Name == l.Name }); at >= 0 && !l.Removed {
			v.Sinks = append(v.Sinks, o.sink(&before[at], l))
		}
	}
	return v
}

// seen returns a copy.
func (s *nameState) seen() Seen {
	seen := s.Seen
	seen.Dropped = append([]Drop{}, seen.Dropped...)
	return seen
}

func (o *observer) sink(before, now *forward.SinkLedger) Sink {
	s := Sink{Name: now.Name, DecoyLeft: o.decoyLeft[now.Name]}
	if !now.FailingSince.IsZero() {
		s.Error = now.Error
	}
	for _, loss := range forward.Losses() {
		if n := now.Lost[loss]; n > before.Lost[loss] {
			if s.Lost == nil {
				s.Lost = map[string]uint64{}
			}
			s.Lost[loss.String()] = n - before.Lost[loss]
		}
	}
	answered := o.nameState.answered
	switch {
	case o.left[now.Name]:
		s.Stage = Left
	case o.nameState.Records == 0:
		s.Stage = NoRecord
	case !now.Message.Takes(&transform.Record{HasResponse: answered, HasQuery: !answered}):
		s.Stage = Filtered
	case len(s.Lost) > 0:
		s.Stage = Lost
	default:
		s.Stage = Waiting
	}
	return s
}

// bothDropped reports whether lanes dropped both names, have no pending query for them, and
// made no record of them.
func (o *observer) bothDropped() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.nameState.dropped() && o.decoyState.dropped()
}

func (s *nameState) dropped() bool { return len(s.Dropped) > 0 && s.pending == 0 && s.Records == 0 }

// quietFor reports whether neither name has been seen for atLeast. A resolver may still query
// other servers, and buffers its dnstap; a sink reports a failure only after it has sent.
func (o *observer) quietFor(now time.Time, atLeast time.Duration) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return now.Sub(o.lastSeen) >= atLeast
}
