package transform

import "sync/atomic"

// Budget is the number of queries that all lanes together may hold. It is the
// one thing that lanes share.
type Budget struct {
	max, held atomic.Int64
}

// NewBudget returns a budget of so many queries.
func NewBudget(maxQueries int) *Budget {
	b := new(Budget)
	b.SetMax(maxQueries)
	return b
}

// SetMax changes the budget. Where more is held already, lanes give up their
// oldest as they take new ones.
func (b *Budget) SetMax(maxQueries int) { b.max.Store(int64(maxQueries)) }

// Held is the number of queries' room in use.
func (b *Budget) Held() int64 { return b.held.Load() }

// take adds to what is held only what has room: a lane that is refused does not
// make another one give up its oldest.
func (b *Budget) take(n int) bool {
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
