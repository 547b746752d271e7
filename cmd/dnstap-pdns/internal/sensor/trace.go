package sensor

import "github.com/dnstap-pdns/dnstap-pdns/transform"

// Trace makes all lanes, present and future, report each message to of(source); see
// [forward.Forwarder.Trace].
func (s *Sensor) Trace(of func(source string) transform.Trace) { s.forwarder.Trace(of) }

// JudgeName judges a query name alone by the policy in force; see
// [transform.Policy.JudgeName]. It waits for a reload in progress.
func (s *Sensor) JudgeName(name []byte) transform.Reason {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.policy.JudgeName(name)
}
