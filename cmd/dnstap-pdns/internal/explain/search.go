package explain

import (
	"crypto/sha256"
	"fmt"
	"hash"
	"net/netip"
	"slices"
	"sync"

	"github.com/dnstap-pdns/dnstap-pdns/cmd/dnstap-pdns/internal/canary"
)

// origin is a set of reasons to search for a canary.
type origin uint8

const (
	given      origin = 1 << iota // --canary
	configured                    // an address of the resolver, in the configuration
	messages                      // an address of the resolver, in messages
	local                         // a local name
	never                         // in a field of a dnstap frame that is never copied
)

// An outputSearch searches the output for what the policy forbids, and for canaries as octets.
type outputSearch struct {
	mu        sync.Mutex
	forbidden *canary.ForbiddenSearch
	exact     exactFindings
	targets   []*target
	set       *canary.Set // of the targets; nil if one was added since
	records   uint64
	outputs   []*output
	errs      []error

	text canary.Text
	rest []byte
}

// A target is a canary that is searched for in every record after it became known. Unless it was
// given with --canary, it is a fault only if the exact search finds it too.
type target struct {
	canary.Canary
	shown    string // printable ASCII
	origin   origin
	records  uint64 // searched for it
	found    uint64 // records that contain it
	loose    uint64 // records in which only this search finds it
	outside  uint64 // containers that contain it outside their records
	findings []Finding
	notes    []Finding // in records that loose counts
}

// rule returns the rule by which the exact search finds the item of the target; "" if it does not
// search for it.
func (t *target) rule() canary.Rule {
	switch {
	case t.origin&(configured|messages) != 0:
		return canary.Resolver
	case t.origin&local != 0:
		return canary.LocalName
	}
	return ""
}

// An output is the records of one message type.
type output struct {
	message    string
	records    uint64
	containers uint64
	octets     uint64
	unreadable uint64 // records with a DNS message that miekg/dns does not read
	sum        hash.Hash
}

// maxFindings is how many findings of one canary are kept for each message type.
const maxFindings = 5

// add adds a canary, or another origin of a canary that was added before.
func (s *outputSearch) add(c canary.Canary, o origin, shown string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.addLocked(c, o, shown)
}

func (s *outputSearch) addLocked(c canary.Canary, o origin, shown string) {
	t := s.find(c.Text)
	if t == nil {
		s.targets = append(s.targets, &target{Canary: c, shown: shown, origin: o})
		s.set = nil
		return
	}
	t.origin |= o
	if o&local != 0 {
		t.shown = shown // its entry
	}
	if c.Addr.IsValid() && !t.Addr.IsValid() { // an address has more forms than its text
		*t = target{Canary: c, shown: shown, origin: t.origin}
		s.set = nil
	}
}

// find returns the target with this text, or nil.
func (s *outputSearch) find(text string) *target {
	i := slices.IndexFunc(s.targets, func(t *target) bool { return t.Text == text })
	if i < 0 {
		return nil
	}
	return s.targets[i]
}

// learn adds an address of the resolver. If asOctets is true, it is also searched for as octets.
func (s *outputSearch) learn(a netip.Addr, asOctets bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.forbidden.AddResolver(a)
	if asOctets {
		s.addLocked(canary.OfAddr(a), messages, a.String())
	}
}

// Sent searches a container that a sink sent. The name of the sink is its message type. It
// implements forward.Observer.
func (e *Explainer) Sent(sink string, container []byte, _ bool) {
	s := &e.search
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.set == nil {
		var all []canary.Canary
		for _, t := range s.targets {
			all = append(all, t.Canary)
		}
		s.set = canary.NewSet(all)
	}
	o := s.output(sink)
	o.containers++
	var err error
	first := o.records
	s.rest, err = splitContainer(container, s.rest[:0], func(payload []byte) {
		s.record(o, payload, func() string { return textOf(container, int(o.records-first)-1) })
	})
	if err != nil {
		s.fail(err)
	}
	s.text.Reset(s.rest)
	s.set.Search(&s.text, func(f canary.Finding) { s.targets[f.Canary].outside++ })
}

func (s *outputSearch) output(message string) *output {
	for _, o := range s.outputs {
		if o.message == message {
			return o
		}
	}
	o := &output{message: message, sum: sha256.New()}
	s.outputs = append(s.outputs, o)
	return o
}

// record searches one output record; text returns it as text.
func (s *outputSearch) record(o *output, payload []byte, text func() string) {
	o.records++
	o.octets += uint64(len(payload))
	o.sum.Write(payload)
	data, err := dataOf(payload)
	if err != nil {
		s.fail(err)
	}
	r, err := recordOf(data, o.message)
	if err != nil {
		s.fail(fmt.Errorf("record %d of %s: %w", o.records, o.message, err))
	}
	s.records++
	hits := s.forbidden.Record(&r)
	at := Finding{Message: o.message, Record: o.records}
	if len(hits) > 0 {
		at.Text = text()
	}
	s.exact.add(hits, at)
	if s.text.Reset(payload, r.Messages...) != nil {
		o.unreadable++
	}
	for _, t := range s.targets {
		t.records++
	}
	s.set.Search(&s.text, func(f canary.Finding) {
		t := s.targets[f.Canary]
		kept := &t.findings
		t.found++
		if rule := t.rule(); rule != "" && !found(hits, rule, t.shown) {
			t.loose++
			kept = &t.notes
		}
		if findingsIn(*kept, o.message) < maxFindings {
			*kept = append(*kept, Finding{Message: o.message, Record: o.records, Form: f.Form, Place: string(f.Place), Offset: f.Offset, Text: text()})
		}
	})
}

// fail keeps an error, if it is one of the first maxFindings.
func (s *outputSearch) fail(err error) {
	if len(s.errs) < maxFindings {
		s.errs = append(s.errs, err)
	}
}
