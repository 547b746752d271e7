package integration

import (
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/dnstap-pdns/dnstap-pdns/integration/lab"
	"github.com/miekg/dns"
)

// flow asks a resolver one name after the other that no cache can hold.
type flow struct {
	first    int64        // the number of the first name
	asked    atomic.Int64 // up to h(asked-1) all have been asked, and answered unless they failed
	failed   atomic.Int64
	stopping chan struct{}
	end      func() // stops asking and waits for the last answer; may be called again
}

// flowPause lets what waits in Unbound, which drops what is more than a megabyte, stay
// far below that though nobody on a busy machine comes to read for seconds.
const flowPause = 5 * time.Millisecond

func flowName(i int64) string { return fmt.Sprintf("h%d.wild.shop.com.", i) }

// startFlow asks until stop, or the test's end: a question as soon as the one
// before is answered and the pause is over.
func startFlow(t *testing.T, w *lab.World, r *lab.Resolver, pause time.Duration) *flow {
	return startFlowAt(t, w, r, pause, 0)
}

// startFlowAt does the same, with other names than flows before.
func startFlowAt(t *testing.T, w *lab.World, r *lab.Resolver, pause time.Duration, first int64) *flow {
	f := &flow{first: first, stopping: make(chan struct{})}
	f.asked.Store(first)
	var done sync.WaitGroup
	f.end = sync.OnceFunc(func() { close(f.stopping); done.Wait() })
	t.Cleanup(f.end)
	done.Go(func() {
		for i := first; ; i++ {
			select {
			case <-f.stopping:
				return
			case <-time.After(pause):
			}
			q := lab.Question{Name: flowName(i), Type: dns.TypeA, From: lab.Client1}
			if answer := w.Ask(t, r, []lab.Question{q})[0]; answer == nil {
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
	f.checkAnswered(t)
}

func (f *flow) checkAnswered(t *testing.T) {
	t.Helper()
	if n := f.failed.Load(); n > 0 {
		t.Errorf("the resolver left %d of %d questions without an answer", n, f.asked.Load())
	}
}

// forgive forgets the questions so far that had no answer.
func (f *flow) forgive(t *testing.T) {
	t.Helper()
	f.await(t, 1)
	f.failed.Store(0)
}

// await returns once so many more questions were answered, and how many there
// are then. Whatever is asked from there on is asked after await was called.
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

// check holds the outputs of a flow, made exactly, to one record of each exchange,
// and to a record at the least of each name that must have one.
func (f *flow) check(t *testing.T, must func(i int64) bool, outputs ...output) {
	t.Helper()
	exchanges, names := make(map[string]int), make(map[string]int)
	for _, o := range outputs {
		for _, r := range o.records {
			exchanges[fmt.Sprintf("%s at %s", keyOf(r), r.Payload.Time)]++
			names[r.Name]++
		}
	}
	for exchange, n := range exchanges {
		if n > 1 {
			t.Errorf("%s: %d records", exchange, n)
		}
	}
	missing := 0
	for i := range f.asked.Load() {
		if names[flowName(i)] > 0 {
			continue
		}
		missing++
		if must(i) {
			t.Errorf("no record of %s", flowName(i))
		}
	}
	t.Logf("%d of %d names have no record", missing, f.asked.Load())
}

func everyName(int64) bool { return true }
