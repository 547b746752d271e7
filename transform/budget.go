package transform

import (
	"math"
	"sync/atomic"
)

// Budget is the number of queries that all lanes together may hold, and memory for long
// messages that it lends to lanes. Lanes share nothing else. It is safe for concurrent use.
type Budget struct {
	max, held atomic.Int64
	each      atomic.Int64 // limit of one lane

	scratches [maxScratches]atomic.Pointer[scratch] // not lent; nil: a free element
}

// maxScratches is the number of scratches that a budget keeps. It makes another one when all
// are lent.
const maxScratches = 8

// NewBudget returns a budget of maxQueries queries.
func NewBudget(maxQueries int) *Budget {
	b := new(Budget)
	b.SetMax(maxQueries)
	b.Relax()
	return b
}

// SetMax changes the budget. If lanes hold more already, they drop their oldest queries as
// they take new ones.
func (b *Budget) SetMax(maxQueries int) { b.max.Store(int64(maxQueries)) }

// Max is the number of queries that lanes may hold together.
func (b *Budget) Max() int { return int(b.max.Load()) }

// Ration limits each lane to n, until Relax. A lane that holds more already drops its oldest
// queries as it takes new ones, or in [Pairer.Shrink].
func (b *Budget) Ration(n int) { b.each.Store(int64(n)) }

// Relax removes the limit of each lane.
func (b *Budget) Relax() { b.each.Store(math.MaxInt64) }

// Held is how much of the budget is in use.
func (b *Budget) Held() int64 { return b.held.Load() }

// take takes n of the budget for a lane that holds mine of it, or reports false: lanes do not
// drop queries for each other.
func (b *Budget) take(n, mine int) bool {
	if int64(mine+n) > b.each.Load() {
		return false
	}
	for {
		held := b.held.Load()
		if held+int64(n) > b.max.Load() {
			return false
		}
		if b.held.CompareAndSwap(held, held+int64(n)) {
			return true
		}
	}
}

func (b *Budget) give(n int) { b.held.Add(-int64(n)) }

// lend returns a scratch; the lane returns it by takeBack.
func (b *Budget) lend() *scratch {
	for i := range b.scratches {
		if s := b.scratches[i].Swap(nil); s != nil {
			return s
		}
	}
	return new(scratch)
}

func (b *Budget) takeBack(s *scratch) {
	for i := range b.scratches {
		if b.scratches[i].CompareAndSwap(nil, s) {
			return
		}
	}
}

// A share is what the tables of one lane have in common: their part of the budget, and the
// order in which messages arrived.
type share struct {
	budget   *Budget
	cost     int    // of the budget
	wanted   int    // of the budget, when it last refused that
	arrivals uint32 // messages that were held so far
}

// take takes n of the budget, or reports false.
func (s *share) take(n int) bool {
	if !s.budget.take(n, s.cost) {
		s.wanted = n
		return false
	}
	s.cost += n
	return true
}

func (s *share) give(n int) {
	s.cost -= n
	s.budget.give(n)
}
