package forward

import (
	"math"
	"slices"
)

// headroom is the part of the budget for pending queries that is kept free while lanes are
// rationed, so that lanes can grow: one of headroom.
const headroom = 16

// ration gives each lane a max-min fair share of the budget for pending queries: one limit for
// all lanes, as high as the lanes that want less permit. A lane wants what it holds, what it was
// refused since the last call, and an equal part of the headroom. The limit applies from the time
// when a lane below it was refused room, until no lane is refused. Without it a connection that
// fills the budget would keep its room even if it sends nothing more: only a lane's own messages
// expire its queries.
func (f *Forwarder) ration() {
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.lanes) == 0 {
		return
	}
	var wants []int
	refused, least := false, math.MaxInt // what a lane holds that was refused room
	for _, l := range f.lanes {
		holds, more := l.budgetUse()
		wants = append(wants, holds+more+f.budget.Max()/headroom/len(f.lanes))
		if more > 0 {
			refused, least = true, min(least, holds)
		}
	}
	limit := fairShare(wants, f.budget.Max())
	switch {
	case least < limit, f.rationed && refused:
		f.rationed = true
		f.budget.Ration(limit)
		for _, l := range f.lanes {
			l.shrink(limit)
		}
	case f.rationed:
		f.rationed = false
		f.budget.Relax()
	}
}

// fairShare returns the highest limit at which all parties have room together, each with what it
// wants or the limit, whichever is less. If all wants have room, it is all of the room. It sorts
// the wants.
func fairShare(wants []int, room int) int {
	slices.Sort(wants)
	left := room
	for i, w := range wants {
		parties := len(wants) - i
		if w > left/parties {
			return left / parties
		}
		left -= w
	}
	return room
}

func (l *Lane) budgetUse() (holds, refused int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.pairer.BudgetUse()
}

func (l *Lane) shrink(limit int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.pairer.Shrink(limit)
}
