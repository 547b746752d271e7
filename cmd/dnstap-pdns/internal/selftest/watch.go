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

// inHouse are the reasons that speak of a name, or of who serves it.
var inHouse = map[string]bool{
	transform.LocalName.String():   true,
	transform.SpecialName.String(): true,
	transform.LocalServer.String(): true,
}

// A watch looks for two names: in the verdicts of all lanes, as their Trace, and in
// what all sinks have sent, as their Observer. All of them call it at once.
type watch struct {
	name, decoy target

	mu        sync.Mutex
	ofName    sightings
	ofDecoy   sightings
	last      time.Time // when either was seen
	left      map[string]bool
	decoyLeft map[string]bool // by sink
}

// sightings are what lanes saw of one name.
type sightings struct {
	Seen
	open     int  // queries that neither a response nor time has ended
	answered bool // a record has a response
}

func newWatch(name, decoy target) *watch {
	return &watch{name: name, decoy: decoy, left: map[string]bool{}, decoyLeft: map[string]bool{}}
}

// Verdict takes note of what became of a message about one of the names. A lane waits
// meanwhile.
func (w *watch) Verdict(v *transform.Verdict) {
	var s *sightings
	switch {
	case bytes.Equal(v.Name, w.name.name):
		s = &w.ofName
	case bytes.Equal(v.Name, w.decoy.name):
		s = &w.ofDecoy
	default:
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.last = time.Now()
	s.note(v)
}

func (s *sightings) note(v *transform.Verdict) {
	query := v.Message != nil && !v.Response
	switch {
	case query && v.Reason == transform.Kept:
		s.Queries++
		s.open++
		return
	case !query:
		s.open = max(0, s.open-1)
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

// Sent looks for both names in a container that has left. It looks for the decoy's
// label wherever it may stand.
func (w *watch) Sent(sink string, container []byte) {
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
		name, decoy := bytes.Contains(lowered, w.name.name), bytes.Contains(lowered, w.decoy.label)
		if name || decoy {
			w.saw(sink, name, decoy)
		}
	}
}

func (w *watch) saw(sink string, name, decoy bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.last = time.Now()
	w.left[sink] = w.left[sink] || name
	w.decoyLeft[sink] = w.decoyLeft[sink] || decoy
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

// verdict is what is known by now. The ledgers are those of the sinks from before
// anything was watched for, and as they are.
func (w *watch) verdict(before, now []forward.SinkLedger) *Verdict {
	w.mu.Lock()
	defer w.mu.Unlock()
	v := &Verdict{Name: w.ofName.seen(), Decoy: w.ofDecoy.seen(), Sinks: []Sink{}}
	for i := range now {
		l := &now[i]
		if at := slices.IndexFunc(before, func(o forward.SinkLedger) bool { return o.Name == l.Name }); at >= 0 && !l.Removed {
			v.Sinks = append(v.Sinks, w.sink(&before[at], l))
		}
	}
	return v
}

func (s *sightings) seen() Seen {
	seen := s.Seen
	seen.Dropped = append([]Drop{}, seen.Dropped...)
	return seen
}

func (w *watch) sink(before, now *forward.SinkLedger) Sink {
	s := Sink{Name: now.Name, DecoyLeft: w.decoyLeft[now.Name]}
	if !now.FailingSince.IsZero() {
		s.Error = now.Error
	}
	for _, why := range forward.Losses() {
		if n := now.Lost[why]; n > before.Lost[why] {
			if s.Lost == nil {
				s.Lost = map[string]uint64{}
			}
			s.Lost[why.String()] = n - before.Lost[why]
		}
	}
	answered := w.ofName.answered
	switch {
	case w.left[now.Name]:
		s.Stage = Left
	case w.ofName.Records == 0:
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

// settled reports whether both names have come to an end in the lanes, and nothing of
// either is on its way to a sink.
func (w *watch) settled() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.ofName.ended() && w.ofDecoy.ended()
}

func (s *sightings) ended() bool { return len(s.Dropped) > 0 && s.open == 0 && s.Records == 0 }

// calm reports whether neither name has been seen for so long. A resolver tries other
// servers, and holds back what it has to say; a sink tells that it fails right after
// what it sent.
func (w *watch) calm(now time.Time, atLeast time.Duration) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return now.Sub(w.last) >= atLeast
}
