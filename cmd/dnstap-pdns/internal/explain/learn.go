package explain

import "github.com/dnstap-pdns/dnstap-pdns/transform"

// A Learner is a lane that drops every message after it learned the resolver's address. An
// input that can be read twice is read by it first, so that an address that appears late is
// searched for in the first record too.
type Learner struct{ explainer *Explainer }

// Learner returns a lane to learn from.
func (e *Explainer) Learner() Learner { return Learner{e} }

// Begin does nothing.
func (l Learner) Begin() {}

// Take learns the resolver's address.
func (l Learner) Take(m *transform.Message) transform.Reason {
	if m.Role == transform.OtherRole {
		return transform.NotOutward
	}
	l.explainer.mu.Lock()
	defer l.explainer.mu.Unlock()
	l.explainer.learn(m)
	return transform.Kept
}

// Drop does nothing.
func (l Learner) Drop(transform.Reason) {}

// End does nothing.
func (l Learner) End() {}

// Close does nothing.
func (l Learner) Close() {}
