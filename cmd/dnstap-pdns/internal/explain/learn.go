package explain

import "github.com/dnstap-pdns/dnstap-pdns/transform"

// A Learner is a lane that learns the resolver's address from each message, and drops the
// message. An input that can be read twice is first read into a Learner, so that addresses from
// late messages are searched for in all records.
type Learner struct{ explainer *Explainer }

// Learner returns a lane that learns addresses for this Explainer.
func (e *Explainer) Learner() Learner { return Learner{e} }

// Begin does nothing.
func (l Learner) Begin() {}

// Take learns the resolver's address.
func (l Learner) Take(m *transform.Message) transform.Reason {
	if m.Role == transform.NotOutward {
		return transform.Inward
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
