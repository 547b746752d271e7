package explain

import (
	"cmp"
	"crypto/sha256"
	"fmt"
	"hash"
	"slices"
	"sync"

	"github.com/dnstap-pdns/dnstap-pdns/cmd/dnstap-pdns/internal/canary"
)

// origin is who says that something must not be found in what leaves.
type origin uint8

const (
	given      origin = 1 << iota // --canary
	configured                    // as the resolver's address
	messages                      // told it as the resolver's address
	never                         // copied: what stands beside the message in a dnstap frame
)

// leaving searches what leaves.
type leaving struct {
	mu      sync.Mutex
	watched []*watched
	set     *canary.Set // of those; nil where one has come since
	outputs []*output
	errs    []error

	text canary.Text
	rest []byte
}

// A watched canary is looked for in each record from when it became known on.
type watched struct {
	canary.Canary
	origin   origin
	records  uint64 // that were searched for it
	found    uint64 // of those
	outside  uint64 // containers in which it is beside the records
	findings []Finding
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

// maxFindings is how many findings of one canary are shown, of each message type.
const maxFindings = 5

// shown is how many findings in this message type are.
func (w *watched) shown(message string) int {
	n := 0
	for i := range w.findings {
		if w.findings[i].Message == message {
			n++
		}
	}
	return n
}

// sorted are the findings, whichever sink was first.
func (w *watched) sorted() []Finding {
	all := append([]Finding{}, w.findings...)
	slices.SortStableFunc(all, func(a, b Finding) int { return cmp.Compare(a.Message, b.Message) })
	return all
}

// watch adds a canary, or another word for one.
func (l *leaving) watch(c canary.Canary, o origin) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, w := range l.watched {
		if w.Text != c.Text {
			continue
		}
		w.origin |= o
		if c.Addr.IsValid() && !w.Addr.IsValid() { // there is more to look for than its text
			*w = watched{Canary: c, origin: w.origin}
			l.set = nil
		}
		return
	}
	l.watched = append(l.watched, &watched{Canary: c, origin: o})
	l.set = nil
}

// Sent takes a container that has left.
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

// record searches one output record, which text shows.
func (l *leaving) record(o *output, payload []byte, text func() string) {
	o.records++
	o.octets += uint64(len(payload))
	o.sum.Write(payload)
	data, err := dataOf(payload)
	if err != nil {
		l.fail(err)
	}
	dns, err := messagesOf(data, o.message)
	if err != nil {
		l.fail(fmt.Errorf("record %d of %s: %w", o.records, o.message, err))
	}
	if l.text.Set(payload, dns...) != nil {
		o.unreadable++
	}
	for _, w := range l.watched {
		w.records++
	}
	l.set.Search(&l.text, func(f canary.Finding) {
		w := l.watched[f.Canary]
		w.found++
		if w.shown(o.message) < maxFindings {
			w.findings = append(w.findings, Finding{o.message, o.records, f.Form, string(f.Place), f.Offset, text()})
		}
	})
}

// fail keeps what has gone wrong, the first few times.
func (l *leaving) fail(err error) {
	if len(l.errs) < maxFindings {
		l.errs = append(l.errs, err)
	}
}
