package main

import (
	"fmt"
	"sync"

	"github.com/miekg/dns"

	"github.com/dnstap-pdns/dnstap-pdns/transform"
)

// maxExamples is how many messages a witness remembers for each reason.
const maxExamples = 3

// A witness is the trace of all lanes, and remembers examples of what was dropped.
type witness struct {
	mu       sync.Mutex
	examples map[transform.Reason][]string
}

// Verdict notes a message that was dropped as soon as it came.
func (w *witness) Verdict(v *transform.Verdict) {
	if v.Message != nil && v.Reason != transform.Kept && v.Reason != transform.NotOutward {
		w.note(v.Reason, describe(v.Message))
	}
}

func (w *witness) note(r transform.Reason, example string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.examples == nil {
		w.examples = map[transform.Reason][]string{}
	}
	for _, known := range w.examples[r] {
		if known == example {
			return
		}
	}
	if len(w.examples[r]) < maxExamples {
		w.examples[r] = append(w.examples[r], example)
	}
}

// describe names a message by its question and its server.
func describe(m *transform.Message) string {
	var msg dns.Msg
	if err := msg.Unpack(m.Wire); err != nil || len(msg.Question) == 0 {
		return fmt.Sprintf("a message without a readable question from %v", m.Server.Addr())
	}
	q := msg.Question[0]
	return fmt.Sprintf("%s %s from %v", dns.CanonicalName(q.Name), dns.TypeToString[q.Qtype], m.Server.Addr())
}
