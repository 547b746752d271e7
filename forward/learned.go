package forward

import "time"

// shareTime is how long lanes wait for the resolver's addresses that other lanes have
// seen. The rule that judges a message by its own address covers the time until then.
const shareTime = time.Second

// share gives every lane the resolver's addresses that any lane has seen.
func (f *Forwarder) share(now time.Time) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if now.Sub(f.shared) < shareTime {
		return
	}
	f.shared = now
	for _, l := range f.lanes {
		l.mu.Lock()
		f.learned.See(l.pairer.Seen())
		l.mu.Unlock()
	}
	known := f.learned.Known()
	for _, l := range f.lanes {
		l.mu.Lock()
		l.pairer.Know(known)
		l.mu.Unlock()
	}
}
