package udp

import (
	"context"

	"golang.org/x/time/rate"
)

// burstsPerSecond limits a burst to the datagrams of 10 ms, so that a receiver sees an even
// stream.
const burstsPerSecond = 100

// A limit limits the rate of a sink's datagrams. The zero value has no limit.
type limit struct {
	limiter *rate.Limiter // nil: there is no limit
	allowed int           // datagrams that may be sent now
}

func newLimit(perSecond int) limit {
	if perSecond == 0 {
		return limit{}
	}
	return limit{limiter: rate.NewLimiter(rate.Limit(perSecond), max(1, perSecond/burstsPerSecond))}
}

// wait waits until datagrams may be sent, and returns how many of n. It is at least one,
// unless ctx has ended: then wait returns an error.
func (p *limit) wait(ctx context.Context, n int) (int, error) {
	if p.limiter == nil {
		return n, nil
	}
	if p.allowed == 0 {
		next := min(n, p.limiter.Burst())
		if err := p.limiter.WaitN(ctx, next); err != nil {
			return 0, err
		}
		p.allowed = next
	}
	return min(n, p.allowed), nil
}

// sent counts one datagram against those that wait has allowed.
func (p *limit) sent() {
	if p.limiter != nil {
		p.allowed--
	}
}
