package main

import (
	"fmt"
	"sync"

	"github.com/miekg/dns"

	"github.com/dnstap-pdns/dnstap-pdns/transform"
)

// maxExamples is the number of examples for each reason.
const maxExamples = 3

// dropExamples is a trace of all lanes that collects examples of dropped messages.
type dropExamples struct {
	mu       sync.Mutex
	byReason map[transform.Reason][]string
}

// Verdict adds a message that was dropped when it arrived, unless it was dropped as not outward.
func (d *dropExamples) Verdict(v *transform.Verdict) {
	if v.Message != nil && v.Reason != transform.Kept && v.Reason != transform.NotOutward {
		d.add(v.Reason, describe(v.Message))
	}
}

func (d *dropExamples) add(r transform.Reason, example string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.byReason == nil {
		d.byReason = map[transform.Reason][]string{}
	}
	for _, known := range d.byReason[r] {
		if known == example {
			return
		}
	}
	if len(d.byReason[r]) < maxExamples {
		d.byReason[r] = append(d.byReason[r], example)
	}
}

// describe returns the question and the server of a message.
func describe(m *transform.Message) string {
	var msg dns.Msg
	if err := msg.Unpack(m.Wire); err != nil || len(msg.Question) == 0 {
		return fmt.Sprintf("a message without a valid question from %v", m.Server.Addr())
	}
	q := msg.Question[0]
	return fmt.Sprintf("%s %s from %v", dns.CanonicalName(q.Name), dns.TypeToString[q.Qtype], m.Server.Addr())
}
