package transform

import (
	"net/netip"

	"github.com/dnstap-pdns/dnstap-pdns/transform/dnswire"
)

// A Trace is told what becomes of each message of a lane, by Take, Drop, Finish and
// Shrink before they return. It costs a lane what an ordinary sensor has no use for:
// it is there while somebody wants to know.
type Trace interface {
	// Verdict borrows v, and all that it points to, to the Trace.
	Verdict(v *Verdict)
}

// A Verdict is what became of one message. A query that is held has one when it
// comes, and another if it ends without a response; what the response that closes
// it becomes is the response's own.
type Verdict struct {
	Reason   Reason
	Message  *Message // nil: never one (see Drop), or a query that was held and has gone
	Response bool
	Server   netip.AddrPort // as the message tells
	Name     []byte         // of the question, in lowercase wire form; empty where none was read
	Type     uint16         // of the question
	Time     Time           // at which the message was on the wire, as its source tells

	Finding Finding // what forbade a record, where a rule did
	Record  *Record // what leaves; nil: nothing, or not yet
	Edits   []Edit  // by which the record's message came about
}

// A Finding is where something stands that forbids a record: octets From to To of
// the message. Both are 0 where it is not in the message, but in its zone, or where
// the message has gone.
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

// An Edit is what a rule changed: octets From to To of the message, and what stands
// in their place. From and To are 0 for what is beside the message (addresses,
// times, the query): the Verdict's Message and Record tell it. Of a response that
// was not [Rebuilt], all edits together make the record's.
type Edit struct {
	Rule     Rule
	From, To int
	After    []byte
}

// Trace has t told of every message from now on; nil: nobody.
func (p *Pairer) Trace(t Trace) {
	p.tracer = nil
	if t != nil {
		p.tracer = &tracer{trace: t}
	}
}

// A tracer makes verdicts in memory of its own.
type tracer struct {
	trace   Trace
	verdict Verdict
	name    [dnswire.MaxName]byte
	edits   []Edit
	folded  []byte // what CaseLowered put in place
}

// dropped tells of what never became a message.
func (t *tracer) dropped(r Reason) {
	t.verdict = Verdict{Reason: r, Time: NoTime}
	t.trace.Verdict(&t.verdict)
}

// taken tells of the message that Take has just dealt with.
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
	if w := p.walker; reason != Inward && w.Asked {
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

// ended tells of a query that was held and ended without a response.
func (t *tracer) ended(p *Pairer, q *pending, reason Reason) {
	t.verdict = Verdict{
		Reason:  reason,
		Server:  q.serverAddr(),
		Type:    q.qtype,
		Time:    q.queryTime,
		Finding: p.finding(reason), // without octets: there is no response
	}
	v := &t.verdict
	v.Name = append(t.name[:0], p.pending.name(q)...)
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

// finding is what the search that forbade a record has found.
func (p *Pairer) finding(reason Reason) Finding {
	if reason != Kept && p.found.Rule.Forbids() == reason {
		return p.found
	}
	return Finding{}
}

// editsOf lists what made the record's response of the walked message, rule by rule.
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

// foldedRuns lists the labels that were lowercased; if only the zone's or the query's were,
// that.
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
