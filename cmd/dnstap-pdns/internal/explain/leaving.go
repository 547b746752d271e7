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

// origin is why something must not be found in what leaves.
type origin uint8

const (
	given      origin = 1 << iota // --canary
	configured                    // an address of the resolver, in the configuration
	messages                      // an address of the resolver, in messages
	local                         // a local name
	never                         // in a dnstap frame next to the message, which is never copied
)

// leaving searches what leaves: for what the policy forbids, and for canaries as octets.
type leaving struct {
	mu        sync.Mutex
	forbidden *canary.Forbidden
	exact     exacts
	watched   []*watched
	set       *canary.Set // of those; nil if one was added since
	records   uint64
	outputs   []*output
	errs      []error

	text canary.Text
	rest []byte
}

// A watched canary is searched for in each record from when it became known on. Unless
// it was given with --canary, it is a fault only where the exact search finds it too.
type watched struct {
	canary.Canary
	shown    string // printable ASCII
	origin   origin
	records  uint64 // that were searched
	found    uint64 // records
	loose    uint64 // records in which the exact search does not find it
	outside  uint64 // containers that have it outside their records
	findings []Finding
	notes    []Finding // where only this search finds it
}

// rule is the rule by which the exact search finds a canary too; none if "".
func (w *watched) rule() canary.Rule {
	switch {
	case w.origin&(configured|messages) != 0:
		return canary.Resolver
	case w.origin&local != 0:
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

// maxFindings is how many findings of one canary are kept, of each message type.
const maxFindings = 5

// watch adds a canary, or another origin of one.
func (l *leaving) watch(c canary.Canary, o origin, shown string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.add(c, o, shown)
}

func (l *leaving) add(c canary.Canary, o origin, shown string) {
	w := l.find(c.Text)
	if w == nil {
		l.watched = append(l.watched, &watched{Canary: c, shown: shown, origin: o})
		l.set = nil
		return
	}
	w.origin |= o
	if o&local != 0 {
		w.shown = shown // its entry
	}
	if c.Addr.IsValid() && !w.Addr.IsValid() { // an address has more forms than its text
		*w = watched{Canary: c, shown: shown, origin: w.origin}
		l.set = nil
	}
}

// find returns the canary with this text, or nil.
func (l *leaving) find(text string) *watched {
	i := slices.IndexFunc(l.watched, func(w *watched) bool { return w.Text == text })
	if i < 0 {
		return nil
	}
	return l.watched[i]
}

// learn adds an address of the resolver; watch: as octets too.
func (l *leaving) learn(a netip.Addr, watch bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.forbidden.AddResolver(a)
	if watch {
		l.add(canary.OfAddr(a), messages, a.String())
	}
}

// Sent searches a container that has left.
func (e *Explainer) Sent(sink string, container []byte) {
	l := &e.leaving
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.set == nil {
		var all []canary.Canary
		for _, w := range l.watched {
			all = append(all, w.Canary)
		}
		l.set = canary.NewSet(all)
	}
	o := l.output(sink)
	o.containers++
	var err error
	first := o.records
	l.rest, err = takeApart(container, l.rest[:0], func(payload []byte) {
		l.record(o, payload, func() string { return textOf(container, int(o.records-first)-1) })
	})
	if err != nil {
		l.fail(err)
	}
	l.text.Set(l.rest)
	l.set.Search(&l.text, func(f canary.Finding) { l.watched[f.Canary].outside++ })
}

func (l *leaving) output(message string) *output {
	for _, o := range l.outputs {
		if o.message == message {
			return o
		}
	}
	o := &output{message: message, sum: sha256.New()}
	l.outputs = append(l.outputs, o)
	return o
}

// record searches one output record; text presents it.
func (l *leaving) record(o *output, payload []byte, text func() string) {
	o.records++
	o.octets += uint64(len(payload))
	o.sum.Write(payload)
	data, err := dataOf(payload)
	if err != nil {
		l.fail(err)
	}
	r, err := recordOf(data, o.message)
	if err != nil {
		l.fail(fmt.Errorf("record %d of %s: %w", o.records, o.message, err))
	}
	l.records++
	hits := l.forbidden.Record(&r)
	at := Finding{Message: o.message, Record: o.records}
	if len(hits) > 0 {
		at.Text = text()
	}
	l.exact.note(hits, at)
	if l.text.Set(payload, r.Messages...) != nil {
		o.unreadable++
	}
	for _, w := range l.watched {
		w.records++
	}
	l.set.Search(&l.text, func(f canary.Finding) {
		w := l.watched[f.Canary]
		kept := &w.findings
		w.found++
		if rule := w.rule(); rule != "" && !found(hits, rule, w.shown) {
			w.loose++
			kept = &w.notes
		}
		if shown(*kept, o.message) < maxFindings {
			*kept = append(*kept, Finding{Message: o.message, Record: o.records, Form: f.Form, Place: string(f.Place), Offset: f.Offset, Text: text()})
		}
	})
}

// fail keeps the first few errors.
func (l *leaving) fail(err error) {
	if len(l.errs) < maxFindings {
		l.errs = append(l.errs, err)
	}
}
