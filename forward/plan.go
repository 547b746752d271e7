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
	sinks    []*sink             // those of one form stand together
	forms    []form
}

// A form is one way in which records are encoded, once for all sinks that want it.
type form struct {
	message  nmsg.MessageType
	ids      nmsg.IDs
	from, to int // its sinks
}

func newPlan(policy *transform.Policy, handover *transform.Handover, sinks []*sink) *plan {
	p := &plan{policy: policy, handover: handover}
	for _, s := range sinks {
		if slices.Contains(p.sinks, s) {
			continue // it stands with an earlier one of its form
		}
		f := form{message: s.config.Message, ids: s.config.IDs, from: len(p.sinks)}
		for _, o := range sinks {
			if o.config.Message == f.message && o.config.IDs == f.ids {
				p.sinks = append(p.sinks, o)
			}
		}
		f.to = len(p.sinks)
		p.forms = append(p.forms, f)
	}
	return p
}
