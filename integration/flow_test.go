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

// flow asks a resolver for one new name after the other, so that no answer is cached.
type flow struct {
	first    int64        // the number of the first name
	asked    atomic.Int64 // the names below this number were asked, and answered or counted in failed
	failed   atomic.Int64
	stopping chan struct{}
	end      func() // stops asking and waits for the last answer; may be called repeatedly
}

// flowPause keeps the dnstap that waits in Unbound far below a megabyte, above which it drops
// messages, even if the reader is delayed for seconds on a busy machine.
const flowPause = 5 * time.Millisecond

func flowName(i int64) string { return fmt.Sprintf("h%d.wild.shop.com.", i) }

// startFlow asks until stop or the end of the test. It asks the next question after the
// answer to the last one and the pause.
func startFlow(t *testing.T, w *lab.World, r *lab.Resolver, pause time.Duration) *flow {
	return startFlowAt(t, w, r, pause, 0)
}

// startFlowAt is startFlow with names from number first on.
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
		t.Errorf("the resolver did not answer %d of %d questions", n, f.asked.Load())
	}
}

// forgetFailures resets the count of unanswered questions after the current question.
func (f *flow) forgetFailures(t *testing.T) {
	t.Helper()
	f.await(t, 1)
	f.failed.Store(0)
}

// await returns after that many more questions were answered, with their new number. Names
// from that number on are asked after the call.
func (f *flow) await(t *testing.T, more int64) int64 {
	t.Helper()
	want := f.asked.Load() + more
	await(t, fmt.Sprintf("%d answers", want), func() bool { return f.asked.Load() >= want })
	return f.asked.Load()
}

// during returns after questions were asked for that long.
func (f *flow) during(t *testing.T, d time.Duration) {
	t.Helper()
	for began := time.Now(); time.Since(began) < d; {
		f.await(t, 1)
	}
}

// exceptOne is must without one name of those from first to last: when a connection ends, Unbound
// discards the message that it is writing.
func exceptOne(first, last int64, must func(i int64) bool) func(i int64) bool {
	spared := false
	return func(i int64) bool {
		if spared || i < first || i > last || !must(i) {
			return must(i)
		}
		spared = true
		return false
	}
}

// check checks the outputs of a flow: at most one record of each exchange, and at least one
// record of each name for which must, which is called for the others, returns true.
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
