package udp

import (
	"context"

	"golang.org/x/time/rate"
)

// burstsPerSecond makes bursts small: no more datagrams at once than the rate lets
// out in 10 ms, so that a receiver sees an even stream.
const burstsPerSecond = 100

// A pace lets a sink's datagrams out at a rate. The zero value holds none back.
type pace struct {
	limiter *rate.Limiter // nil: there is no limit
	allowed int           // datagrams that may go, and have not
}

func newPace(perSecond int) pace {
	if perSecond == 0 {
		return pace{}
	}
	return pace{limiter: rate.NewLimiter(rate.Limit(perSecond), max(1, perSecond/burstsPerSecond))}
}

// await waits until datagrams may go, and returns how many of n: at least one,
// unless ctx has ended, which the error says.
func (p *pace) await(ctx context.Context, n int) (int, error) {
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

// went counts one datagram that has gone.
func (p *pace) went() {
	if p.limiter != nil {
		p.allowed--
	}
}
