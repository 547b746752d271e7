package forward

import (
	"fmt"
	"sync"
	"time"
)

// quiet is the time without a lost datagram after which a transport that lost some counts
// as working: the others are sent meanwhile.
const quiet = 10 * time.Second

// longestWrite is the longest time that a call may take, in addition to [Pacer].MayTake.
const longestWrite = 10 * time.Second

// failureKind is the kind of a failure, which decides what ends it.
type failureKind uint8

const (
	callFails    failureKind = iota // ended by the next call without an error; Idle is called only if nothing waits to be sent
	losesRecords                    // by a quiet time, if records were sent since
	peerFails                       // as callFails; a spool takes the records
)

// health is the state of a transport, according to its last calls.
type health struct {
	mu    sync.Mutex
	err   error     // of the latest failure
	since time.Time // of the first failure in a row; zero: the transport works
	last  time.Time // of the latest failure
	kind  failureKind
	sent  bool // records were sent in or after the latest call that failed

	began time.Time     // of the call in progress; zero: none
	limit time.Duration // the longest time that the call may take
}

// begin notes the start of a call to the transport that may take limit.
func (h *health) begin(now time.Time, limit time.Duration) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.began, h.limit = now, limit
}

// returned notes the end of the call.
func (h *health) returned() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.began = time.Time{}
}

// fail notes a failure, and reports whether it is the first in a row, or the first of a spool's
// disk after failures of its peer.
func (h *health) fail(err error, now time.Time, kind failureKind) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	first := h.since.IsZero()
	worse := h.kind == peerFails && kind == callFails
	if first {
		h.since = now
	}
	h.err, h.last, h.kind, h.sent = err, now, kind, false
	return first || worse
}

// delivered notes that records were sent, after a failure of the same call was noted.
func (h *health) delivered() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.sent = true
}

// work notes a Send without a failure, and reports whether it ends a row of failures, which
// began at since.
func (h *health) work(now time.Time) (since time.Time, recovered bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.end(h.kind != losesRecords || now.Sub(h.last) >= quiet)
}

// rest notes an Idle without a failure, and reports as work does.
func (h *health) rest(now time.Time) (since time.Time, recovered bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.end(h.kind != losesRecords || h.over(now))
}

// end ends a row of failures if over.
func (h *health) end(over bool) (since time.Time, recovered bool) {
	if h.since.IsZero() || !over {
		return time.Time{}, false
	}
	since = h.since
	h.since, h.err = time.Time{}, nil
	return since, true
}

// over reports whether losses have ended: records were sent since the latest loss, and none of
// them was lost in a quiet time.
func (h *health) over(now time.Time) bool {
	return h.kind == losesRecords && h.sent && now.Sub(h.last) >= quiet
}

// overAt returns when losses will have ended if there are no more; zero: more records must be
// sent, or there is no loss.
func (h *health) overAt() time.Time {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.since.IsZero() || !h.over(h.last.Add(quiet)) {
		return time.Time{}
	}
	return h.last.Add(quiet)
}

// failure returns the latest failure and the time of the first one in a row; since is zero
// if the transport works. A call that exceeds its limit is a failure until it returns.
func (h *health) failure(now time.Time) (text string, since time.Time) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if took := now.Sub(h.began); h.late(now) {
		if since = h.since; since.IsZero() {
			since = h.began
		}
		return fmt.Sprintf("a write has not returned for %v", took.Truncate(time.Second)), since
	}
	if h.err == nil || h.over(now) {
		return "", time.Time{}
	}
	return h.err.Error(), h.since
}

// stuck reports whether the call in progress exceeds its limit.
func (h *health) stuck(now time.Time) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.late(now)
}

func (h *health) late(now time.Time) bool { return !h.began.IsZero() && now.Sub(h.began) > h.limit }
