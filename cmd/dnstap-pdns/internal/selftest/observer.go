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

// An observer searches for two names: in the verdicts of all lanes, as their SinkTrace, and in
// the units of all sinks, as their Observer. Lanes and sinks call it concurrently.
type observer struct {
	name, decoy target

	mu         sync.Mutex
	nameState  nameState
	decoyState nameState
	lastSeen   time.Time            // of either name
	sinks      map[string]sinkState // by the sink's name
}

// A nameState contains what lanes saw of one name.
type nameState struct {
	Seen
	pending int // queries without a response that did not expire
}

// A sinkState contains what became of the records of both names at a sink.
type sinkState struct {
	taken         bool // a record of the name passed the sink's filter
	filteredBy    [len(forward.FilterCounts{})]bool
	left, spooled bool // a unit with the name was sent or written; was put into the spool
	decoyLeft     bool // a unit with the decoy was sent, written or spooled
}

func newObserver(name, decoy target) *observer {
	return &observer{name: name, decoy: decoy, sinks: map[string]sinkState{}}
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

// Offered notes which sinks take a record of the name. The lane waits for it.
func (o *observer) Offered(sink string, r *transform.Record, by forward.FilterRule, filtered bool) {
	if !bytes.Equal(r.Name, o.name.name) {
		return
	}
	o.change(sink, func(s *sinkState) {
		if filtered {
			s.filteredBy[by] = true
		} else {
			s.taken = true
		}
	})
}

// Sent searches a unit for the names' first labels, at any place: in the payloads of a
// container, and otherwise in all octets, because no other format compresses or encodes names.
// It borrows the unit.
func (o *observer) Sent(sink string, unit []byte, spooled bool) {
	if !bytes.HasPrefix(unit, []byte(nmsg.Magic)) {
		o.search(sink, unit, spooled, nil)
		return
	}
	var lowered []byte
	r := nmsg.NewReader(bytes.NewReader(unit))
	for {
		m, err := r.Next()
		if _, damaged := errors.AsType[*nmsg.DamageError](err); damaged {
			continue
		}
		if err != nil {
			return
		}
		lowered = o.search(sink, m.Data, spooled, lowered)
	}
}

// search notes which names are in data. It uses the memory of scratch, and returns it.
func (o *observer) search(sink string, data []byte, spooled bool, scratch []byte) []byte {
	lowered := appendLower(scratch[:0], data)
	name, decoy := bytes.Contains(lowered, o.name.label), bytes.Contains(lowered, o.decoy.label)
	if name || decoy {
		o.change(sink, func(s *sinkState) {
			s.left = s.left || name && !spooled
			s.spooled = s.spooled || name && spooled
			s.decoyLeft = s.decoyLeft || decoy
		})
	}
	return lowered
}

// change changes the state of a sink, because one of the names was seen.
func (o *observer) change(sink string, change func(*sinkState)) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.lastSeen = time.Now()
	s := o.sinks[sink]
	change(&s)
	o.sinks[sink] = s
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
// the selftest; now returns the current ones.
func (o *observer) verdict(before []forward.SinkLedger, now func() []forward.SinkLedger) *Verdict {
	taken := o.taken() // before now, whose queues then contain what was taken and not sent
	ledgers := now()
	o.mu.Lock()
	defer o.mu.Unlock()
	v := &Verdict{Name: o.nameState.seen(), Decoy: o.decoyState.seen(), Sinks: []Sink{}}
	for i := range ledgers {
		l := &ledgers[i]
		if at := slices.IndexFunc(before, func(b forward.SinkLedger) bool { return b.Name == l.Name }); at >= 0 && !l.Removed {
			s := o.sinks[l.Name]
			s.taken = taken[l.Name]
			v.Sinks = append(v.Sinks, s.result(&before[at], l))
		}
	}
	for i := range v.Sinks {
		v.Sinks[i].waitForWindow(v.Sinks)
	}
	return v
}

// waitForWindow gives a sink of RRsets that did not send the name the stage of its aggregate: lanes
// offer it no records.
func (s *Sink) waitForWindow(all []Sink) {
	at := slices.IndexFunc(all, func(o Sink) bool { return o.Name == s.From })
	if at >= 0 && s.Stage != Left && s.Stage != Spooled {
		s.Stage = all[at].Stage
	}
}

// taken returns the names of the sinks that took a record of the name.
func (o *observer) taken() map[string]bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	all := map[string]bool{}
	for name, s := range o.sinks {
		all[name] = s.taken
	}
	return all
}

// seen returns a copy.
func (s *nameState) seen() Seen {
	seen := s.Seen
	seen.Dropped = append([]Drop{}, seen.Dropped...)
	return seen
}

// result returns the result at a sink.
func (s *sinkState) result(before, now *forward.SinkLedger) Sink {
	r := Sink{Name: now.Name, From: now.From, DecoyLeft: s.decoyLeft}
	if !now.FailingSince.IsZero() {
		r.Error = now.Error
	}
	for _, loss := range forward.Losses() {
		if n := now.Lost[loss]; n > before.Lost[loss] {
			if r.Lost == nil {
				r.Lost = map[string]uint64{}
			}
			r.Lost[loss.String()] = n - before.Lost[loss]
		}
	}
	for _, rule := range forward.FilterRules() {
		if s.filteredBy[rule] {
			r.FilteredBy = append(r.FilteredBy, rule.String())
		}
	}
	switch {
	case s.left:
		r.Stage = Left
	case s.spooled:
		r.Stage = Spooled
	case !s.taken && len(r.FilteredBy) > 0:
		r.Stage = Filtered
	case !s.taken:
		r.Stage = NoRecord
	case len(r.Lost) > 0:
		r.Stage = Lost
	case now.Queued > 0:
		r.Stage = Held
	case now.RRsets != nil:
		r.Stage = InWindow
	default:
		r.Stage = Missing
	}
	return r
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
