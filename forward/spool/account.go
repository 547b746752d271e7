package spool

import "github.com/dnstap-pdns/dnstap-pdns/forward"

// An account settles the spooled records of a sink. The sink counts the records of a call
// when the call has returned, so that they can be settled only when the next one has begun.
type account struct {
	settle   forward.Settle
	counted  uint64 // records that the sink has counted as spooled
	returned uint64 // records that the present or latest call returns as spooled
	due      map[forward.Outcome]uint64
}

func newAccount(settle forward.Settle) account {
	return account{settle: settle, due: map[forward.Outcome]uint64{}}
}

// begin notes that a call of the transport has begun.
func (a *account) begin() {
	a.counted += a.returned
	a.returned = 0
	due := a.due
	a.due = map[forward.Outcome]uint64{}
	for to, n := range due {
		a.move(n, to)
	}
}

// move gives records their outcome, now or when that is possible.
func (a *account) move(records uint64, to forward.Outcome) {
	now := min(records, a.counted)
	if now > 0 {
		a.counted -= now
		a.settle(forward.Spooled, now, to)
	}
	if records > now {
		a.due[to] += records - now
	}
}
