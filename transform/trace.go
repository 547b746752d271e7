package transform

import (
	"net/netip"

	"github.com/dnstap-pdns/dnstap-pdns/transform/dnswire"
)

// A Trace receives the verdict on each message of a lane from Take, Drop, Finish and Shrink
// before they return. Verdicts cost time, so a lane without a reader has no Trace.
type Trace interface {
	// Verdict borrows v, and everything that v points to, until it returns.
	Verdict(v *Verdict)
}

// A Verdict is the result for one message. A query has a Verdict when it is held, and another
// one if it ends without a response. A response has its own, which an early response gets when
// it is not held any more.
type Verdict struct {
	Reason   Reason
	Message  *Message // nil: of Drop, or of a message that was held and had to end
	Response bool
	Server   netip.AddrPort // as the message states it
	Name     []byte         // of the question, in lowercase wire form; empty if there is none
	Type     uint16         // of the question
	Time     Time           // of the message, as its source states it

	Finding Finding // what forbade a record; the zero Finding if no rule did
	Record  *Record // nil: there is none, or not yet
	Edits   []Edit  // changes by rules
}

// A Finding is what forbids a record, and its place: octets From to To of the message. Both
// are 0 if it is in the zone, which is not in the message, and for queries that were held.
type Finding struct {
	Rule     Rule
	From, To int
	Entry    Entry // what matched; the zero Entry for rules without entries
}

// An Entry is one item of what a policy forbids.
type Entry struct {
	Name   string       // a local name or lookup zone, as the configuration has it
	Prefix netip.Prefix // a local network, an address or prefix of the resolver, or a client subnet
}

// String returns the entry as an operator would write it; "" for the zero Entry.
func (e Entry) String() string {
	switch {
	case e.Name != "":
		return e.Name
	case !e.Prefix.IsValid():
		return ""
	case e.Prefix.IsSingleIP():
		return e.Prefix.Addr().String()
	}
	return e.Prefix.String()
}

// An Edit is what a rule changed: octets From to To of the message, and the octets that replace
// them. From and To are 0 for changes outside the message (addresses, times, the query), which
// the Verdict's Message and Record show. All edits of a response together give the record's
// response, unless it was [Rebuilt].
type Edit struct {
	Rule        Rule
	From, To    int
	Replacement []byte
}

// Trace makes the lane pass the verdict on every message to t; nil: to none.
func (p *Pairer) Trace(t Trace) {
	p.tracer = nil
	if t != nil {
		p.tracer = &tracer{trace: t}
	}
}

// A tracer makes verdicts in its own memory.
type tracer struct {
	trace   Trace
	verdict Verdict
	name    [dnswire.MaxName]byte
	edits   []Edit
	folded  []byte // the message in lowercase
}

// dropped passes the verdict on what Drop counted to the Trace.
func (t *tracer) dropped(r Reason) {
	t.verdict = Verdict{Reason: r, Time: NoTime}
	t.trace.Verdict(&t.verdict)
}

// taken passes the verdict on a message that Take took to the Trace.
func (t *tracer) taken(p *Pairer, m *Message, reason Reason) {
	t.verdict = Verdict{
		Reason:   reason,
		Message:  m,
		Response: m.Role.response(),
		Server:   m.Server,
		Time:     m.time(),
		Finding:  p.finding(reason),
	}
	v := &t.verdict
	if w := p.walker; reason != NotOutward && w.HasQuestion {
		v.Name = append(t.name[:0], w.Qname()...)
		dnswire.Lower(v.Name)
		v.Type = w.Qtype
	}
	if reason == Kept && v.Response {
		v.Record = &p.record
		v.Edits = t.editsOf(p)
	}
	t.trace.Verdict(v)
	*v = Verdict{} // the lane must not keep the memory that it borrows
	if p.lent != nil {
		t.edits, t.folded = nil, nil
	}
}

// ended passes the verdict on a query of a table that was held and ended without a response, or
// on an early response that was evicted.
func (t *tracer) ended(p *Pairer, of *table, q *pending, reason Reason) {
	t.verdict = Verdict{
		Reason:   reason,
		Response: of != &p.pending,
		Server:   q.serverAddr(),
		Type:     q.qtype,
		Time:     q.sent,
		Finding:  p.finding(reason), // without octets: there is no response
	}
	v := &t.verdict
	v.Name = append(t.name[:0], of.name(q)...)
	dnswire.Lower(v.Name)
	if reason == Kept {
		v.Record = &p.record
		t.edits = t.edits[:0]
		for _, r := range Rules() {
			if p.applied.has(r) {
				t.edits = append(t.edits, Edit{Rule: r})
			}
		}
		v.Edits = t.edits
	}
	t.trace.Verdict(v)
}

// finding returns what forbade the record that was judged last, if that was for this reason, else
// the zero Finding.
func (p *Pairer) finding(reason Reason) Finding {
	if reason != Kept && p.found.Rule.ForbidsAs() == reason {
		return p.found
	}
	return Finding{}
}

// editsOf lists the edits that turn the walked message into the record's response, rule by rule.
func (t *tracer) editsOf(p *Pairer) []Edit {
	w, out := p.walker, p.record.Response
	t.edits = t.edits[:0]
	for _, r := range Rules() {
		switch {
		case !p.applied.has(r):
		case r == IDZeroed:
			t.edit(r, 0, 2, out[:2])
		case r == HeaderBitsCleared && w.Flags&cleared != 0:
			t.edit(r, 2, 4, out[2:4])
		case r == OPTRemoved:
			t.edit(r, 10, 12, out[10:12])
			opt := w.Records[w.OPT]
			t.edit(r, int(opt.Owner), int(opt.End), nil)
		case r == RRsetRemoved:
			for i := range w.Records {
				if w.Records[i].Omitted {
					t.edit(r, int(w.Records[i].Owner), int(w.Records[i].End), nil)
				}
			}
		case r == TrailingCut:
			t.edit(r, w.End, len(w.Msg), nil)
		case r == CaseLowered:
			t.foldedRuns(w)
		case r == Rebuilt:
			t.edit(r, 0, len(w.Msg), out)
		default:
			t.edit(r, 0, 0, nil)
		}
	}
	return t.edits
}

func (t *tracer) edit(r Rule, from, to int, after []byte) {
	t.edits = append(t.edits, Edit{r, from, to, after})
}

// foldedRuns adds an edit for each label run that was lowercased, or one edit without octets if
// only the zone or the query had letters in upper case.
func (t *tracer) foldedRuns(w *dnswire.Walker) {
	n := len(t.edits)
	t.folded = append(t.folded[:0], w.Msg...)
	for _, r := range w.Runs {
		if !r.KeepCase && dnswire.Lower(t.folded[r.Start:r.End]) {
			t.edit(CaseLowered, int(r.Start), int(r.End), t.folded[r.Start:r.End])
		}
	}
	if len(t.edits) == n {
		t.edit(CaseLowered, 0, 0, nil)
	}
}
