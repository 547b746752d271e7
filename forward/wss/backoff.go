package wss

import (
	"context"
	"math/rand/v2"
	"time"
)

const (
	// Waits before a connection after a failed one, doubled until a container is
	// acknowledged. The sender's own waits between retries pass at the same time.
	firstWait   = time.Second
	longestWait = 30 * time.Second
)

// A backoff is the wait before the next connection. Each wait is random, from half of its length
// to one and a half: many sensors lose the same server at the same time.
type backoff struct {
	wait time.Duration // of the next failure; 0: firstWait
	ends time.Time     // no connection before; zero: at once
}

// longest is the longest wait.
const longest = longestWait + longestWait/2

// fail notes a failure.
func (b *backoff) fail(now time.Time) {
	b.wait = max(b.wait, firstWait)
	b.ends = now.Add(b.wait/2 + rand.N(b.wait))
	b.wait = min(2*b.wait, longestWait)
}

// reset notes that a connection works.
func (b *backoff) reset() { *b = backoff{} }

// await waits until the next connection is due. It returns early when stop is closed: then
// another try is the last one.
func (b *backoff) await(ctx context.Context, stop <-chan struct{}) error {
	t := time.NewTimer(time.Until(b.ends))
	defer t.Stop()
	select {
	case <-t.C:
	case <-stop:
	case <-ctx.Done():
	}
	return ctx.Err()
}
