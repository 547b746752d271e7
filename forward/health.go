package forward

import (
	"fmt"
	"sync"
	"time"
)

// quiet is how long a transport that lost single datagrams must lose none before it
// counts as working: a peer's refusals come one by one.
const quiet = 10 * time.Second

// longestWrite is how long a call may be under way that does not wait by design.
const longestWrite = 10 * time.Second

// health is whether a transport works, judged by its last calls.
type health struct {
	mu    sync.Mutex
	err   error     // of the latest failure
	since time.Time // of the first failure in a row; zero: it works
	last  time.Time // of the latest
	soft  bool      // the latest cost single datagrams only

	began time.Time     // of the call that is under way; zero: none is
	limit time.Duration // how long that may take
}

// begin notes that a call is under way, which may take until limit.
func (h *health) begin(now time.Time, limit time.Duration) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.began, h.limit = now, limit
}

// returned notes that none is under way.
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

// work notes that all went well, and reports whether that ends a row of failures,
// which began at since.
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

// failure returns the latest failure and since when the transport fails, if it does. A
// call that does not return is a failure as long as it lasts.
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

// stuck reports whether a call is under way that takes too long.
func (h *health) stuck(now time.Time) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.late(now)
}

func (h *health) late(now time.Time) bool { return !h.began.IsZero() && now.Sub(h.began) > h.limit }
