package forward

import (
	"slices"

	"github.com/dnstap-pdns/dnstap-pdns/forward/nmsg"
	"github.com/dnstap-pdns/dnstap-pdns/transform"
)

// A plan is what lanes work by. It is immutable; a reload gives each lane another.
type plan struct {
	policy   *transform.Policy
	handover *transform.Handover // what packets have recorded already; nil: nothing
	senders  []*sender           // one for each sink; those of one form are adjacent
	forms    []form
}

// A form is one way in which records are encoded, once for all sinks that use it.
type form struct {
	format   Format
	ids      nmsg.IDs
	from, to int // its senders
}

func newPlan(policy *transform.Policy, handover *transform.Handover, senders []*sender) *plan {
	p := &plan{policy: policy, handover: handover}
	for _, s := range senders {
		if slices.Contains(p.senders, s) {
			continue // it follows an earlier one of its form
		}
		f := form{format: s.config.Format, ids: s.config.IDs, from: len(p.senders)}
		for _, o := range senders {
			if o.config.Format == f.format && o.config.IDs == f.ids {
				p.senders = append(p.senders, o)
			}
		}
		f.to = len(p.senders)
		p.forms = append(p.forms, f)
	}
	return p
}
