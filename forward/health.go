package forward

import (
	"fmt"
	"sync"
	"time"
)

// quiet is the time without a lost datagram after which a transport that lost some counts
// as working: a peer refuses datagrams one by one.
const quiet = 10 * time.Second

// longestWrite is the longest time that a call may take, in addition to [Pacer].MayTake.
const longestWrite = 10 * time.Second

// health is the state of a transport, according to its last calls.
type health struct {
	mu    sync.Mutex
	err   error     // of the latest failure
	since time.Time // of the first failure in a row; zero: the transport works
	last  time.Time // of the latest failure
	soft  bool      // the latest failure lost single datagrams only

	began time.Time     // of the call in progress; zero: none
	limit time.Duration // the longest time that the call may take
}

// begin notes the start of a call that may take limit.
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

// fail notes a failure, and reports whether it is the first in a row.
func (h *health) fail(err error, now time.Time, soft bool) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	first := h.since.IsZero()
	if first {
		h.since = now
	}
	h.err, h.last, h.soft = err, now, soft
	return first
}

// work notes a success, and reports whether it ends a row of failures, which began at
// since.
func (h *health) work(now time.Time) (since time.Time, recovered bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.since.IsZero() || h.soft && now.Sub(h.last) < quiet {
		return time.Time{}, false
	}
	since = h.since
	h.since, h.err = time.Time{}, nil
	return since, true
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
	if h.err == nil {
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
