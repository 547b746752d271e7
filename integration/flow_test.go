package integration

import (
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/dnstap-pdns/dnstap-pdns/integration/lab"
	"github.com/dnstap-pdns/dnstap-pdns/integration/nmsgcheck"
	"github.com/miekg/dns"
)

// flow asks a resolver one name after the other that no cache can hold.
type flow struct {
	asked    atomic.Int64 // h0 to h(asked-1) have been answered
	failed   atomic.Int64
	stopping chan struct{}
	end      func() // stops asking and waits for the last answer; may be called again
}

func flowName(i int64) string { return fmt.Sprintf("h%d.wild.shop.com.", i) }

// startFlow asks until stop, or the test's end.
func startFlow(t *testing.T, w *lab.World, r *lab.Resolver) *flow {
	f := &flow{stopping: make(chan struct{})}
	var done sync.WaitGroup
	f.end = sync.OnceFunc(func() { close(f.stopping); done.Wait() })
	t.Cleanup(f.end)
	done.Go(func() {
		for i := int64(0); ; i++ {
			select {
			case <-f.stopping:
				return
			default:
			}
			q := lab.Question{Name: flowName(i), Type: dns.TypeA, From: lab.Client1}
			if answer := w.Ask(t, r, []lab.Question{q}, askTime)[0]; answer == nil {
				f.failed.Add(1)
			}
			f.asked.Add(1)
		}
	})
	return f
}

func (f *flow) stop(t *testing.T) {
	t.Helper()
	f.end()
	if n := f.failed.Load(); n > 0 {
		t.Errorf("the resolver left %d of %d questions without an answer", n, f.asked.Load())
	}
}

// await returns once so many more questions were answered, and how many there
// are then.
func (f *flow) await(t *testing.T, more int64) int64 {
	t.Helper()
	want := f.asked.Load() + more
	await(t, fmt.Sprintf("%d answers", want), func() bool { return f.asked.Load() >= want })
	return f.asked.Load()
}

// during returns once questions have flowed for that long.
func (f *flow) during(t *testing.T, d time.Duration) {
	t.Helper()
	for began := time.Now(); time.Since(began) < d; {
		f.await(t, 1)
	}
}

// times counts how often each of the flow's names stands in records.
func times(records []nmsgcheck.Record) map[string]int {
	n := make(map[string]int)
	for _, r := range records {
		if strings.HasSuffix(r.Name, ".wild.shop.com.") {
			n[r.Name]++
		}
	}
	return n
}
