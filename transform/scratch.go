package transform

import "github.com/dnstap-pdns/dnstap-pdns/transform/dnswire"

// smallMessage is the longest message that a lane works on in its own scratch, which
// takes up to 40 KiB then. Nearly all messages are shorter.
const smallMessage = 4 << 10

// A scratch is the memory for work on one message. It grows with the longest
// message and never shrinks: up to 1.2 MiB for messages of 65,535 octets.
type scratch struct {
	walker   dnswire.Walker
	searcher searcher
	rewriter rewriter
}

// use makes the Pairer work in s.
func (p *Pairer) use(s *scratch) {
	p.walker, p.searcher, p.rewriter = &s.walker, &s.searcher, &s.rewriter
}

// borrow returns the scratch that the budget lends the Pairer until Take returns.
func (p *Pairer) borrow() *scratch {
	if p.lent == nil {
		p.lent = p.pending.budget.lend()
	}
	return p.lent
}

// giveBack returns the scratch to the budget, and clears the record, which borrows it.
// The budget must not keep what the lane uses.
func (p *Pairer) giveBack() {
	p.record = Record{}
	p.lent.searcher.release()
	p.pending.budget.takeBack(p.lent)
	p.lent = nil
	p.use(&p.own)
}
