package transform

import (
	"math"
	"sync/atomic"
)

// Budget is the number of queries that all lanes together may hold, and the memory
// that it lends them for long messages. It is the one thing that lanes share.
type Budget struct {
	max, held atomic.Int64
	each      atomic.Int64 // what one lane may hold

	scratches [maxScratches]atomic.Pointer[scratch] // not lent; nil: a free place
}

// maxScratches is how many scratches a budget keeps. It makes another when all are lent.
const maxScratches = 8

// NewBudget returns a budget of so many queries.
func NewBudget(maxQueries int) *Budget {
	b := new(Budget)
	b.SetMax(maxQueries)
	b.Relax()
	return b
}

// SetMax changes the budget. Where more is held already, lanes give up their
// oldest as they take new ones.
func (b *Budget) SetMax(maxQueries int) { b.max.Store(int64(maxQueries)) }

// Max is the number of queries that lanes may hold together.
func (b *Budget) Max() int { return int(b.max.Load()) }

// Ration lets each lane hold n at most, until Relax. Where a lane holds more
// already, it gives up its oldest as it takes new ones, or at [Pairer.Shrink].
func (b *Budget) Ration(n int) { b.each.Store(int64(n)) }

// Relax lets each lane hold what the others leave.
func (b *Budget) Relax() { b.each.Store(math.MaxInt64) }

// Held is the number of queries' room in use.
func (b *Budget) Held() int64 { return b.held.Load() }

// take adds to what is held, for a lane that holds mine of it, only what has room:
// a lane that is refused does not make another one give up its oldest.
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

// lend returns a scratch, which is to be given to takeBack.
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
