package forward

import "github.com/dnstap-pdns/dnstap-pdns/transform"

// Domains returns the n registered domains that were dropped most, by all lanes since
// the start. It waits for bursts under way.
func (f *Forwarder) Domains(n int) []transform.DomainCount {
	f.mu.Lock()
	defer f.mu.Unlock()
	var all transform.DomainCounts
	all.Merge(&f.domains)
	for _, l := range f.lanes {
		l.mu.Lock()
		all.Merge(l.pairer.Domains())
		l.mu.Unlock()
	}
	return all.Top(n)
}
