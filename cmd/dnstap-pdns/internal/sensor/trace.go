package sensor

import "github.com/dnstap-pdns/dnstap-pdns/transform"

// Trace has of(source) told of every message of each lane, present and to come; see
// [forward.Forwarder.Trace].
func (s *Sensor) Trace(of func(source string) transform.Trace) { s.forwarder.Trace(of) }

// JudgeName returns what the policy in force makes of a query name by itself; see
// [transform.Policy.JudgeName]. It waits for a reload under way.
func (s *Sensor) JudgeName(name []byte) transform.Reason {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.policy.JudgeName(name)
}
