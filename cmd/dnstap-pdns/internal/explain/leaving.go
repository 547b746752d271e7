package explain

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"hash"
	"sync"

	"github.com/dnstap-pdns/dnstap-pdns/cmd/dnstap-pdns/internal/canary"
	"github.com/dnstap-pdns/dnstap-pdns/cmd/dnstap-pdns/internal/present"
	"github.com/dnstap-pdns/dnstap-pdns/forward/nmsg"
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

// maxFindings is how many findings of one canary are shown.
const maxFindings = 5

// watch adds a canary, or another word for one.
func (l *leaving) watch(c canary.Canary, o origin) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, w := range l.watched {
		if w.Text == c.Text {
			w.origin |= o
			return
		}
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
	l.rest, err = takeApart(container, l.rest[:0], func(payload []byte) { l.record(o, payload) })
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

// record searches one output record.
func (l *leaving) record(o *output, payload []byte) {
	o.records++
	o.octets += uint64(len(payload))
	o.sum.Write(payload)
	m, err := readPayload(payload)
	if err != nil {
		l.fail(err)
	}
	dns, err := messagesOf(m.Data, o.message)
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
		if len(w.findings) < maxFindings {
			w.findings = append(w.findings, findingOf(f, o, m))
		}
	})
}

// fail keeps what has gone wrong, the first few times.
func (l *leaving) fail(err error) {
	if len(l.errs) < maxFindings {
		l.errs = append(l.errs, err)
	}
}

// longestText is how much of a record's text is shown with a finding.
const longestText = 2000

func findingOf(f canary.Finding, o *output, m nmsg.Message) Finding {
	var text bytes.Buffer
	p := present.Printer{Format: present.Text}
	if err := p.Print(&text, m); err != nil {
		fmt.Fprintf(&text, "%v\n", err)
	}
	shown := text.Bytes()
	if len(shown) > longestText {
		shown = append(shown[:longestText], "...\n"...)
	}
	return Finding{
		Message: o.message,
		Record:  o.records,
		Form:    f.Form,
		Place:   string(f.Place),
		Offset:  f.Offset,
		Text:    string(shown),
	}
}
