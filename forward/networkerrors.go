package forward

import (
	"log/slog"

	"github.com/dnstap-pdns/dnstap-pdns/transform"
)

// NetworkErrors counts, by kind, the errors (ICMP) that the network reported about datagrams
// after the kernel took them. Routers and hosts limit such errors, so these are fewer than
// the datagrams that did not arrive, and cannot be matched with them.
type NetworkErrors struct {
	Refused     uint64 // no process listens at the receiver's port
	Unreachable uint64 // the receiver or its network cannot be reached, or a filter rejects
	TooLarge    uint64 // larger than the MTU of a network on the path
	Other       uint64
}

func (e *NetworkErrors) add(o NetworkErrors) {
	e.Refused += o.Refused
	e.Unreachable += o.Unreachable
	e.TooLarge += o.TooLarge
	e.Other += o.Other
}

// Rows returns a row for each count.
func (e *NetworkErrors) Rows() []transform.Row {
	return []transform.Row{
		{Name: "refused", Metric: "sink_network_errors_refused_total", Meaning: "UDP: errors (ICMP) because no process listens at the receiver's port", Value: e.Refused},
		{Name: "unreachable", Metric: "sink_network_errors_unreachable_total", Meaning: "UDP: errors (ICMP) because the receiver cannot be reached or a filter rejects", Value: e.Unreachable},
		{Name: "too_large", Metric: "sink_network_errors_too_large_total", Meaning: "UDP: errors (ICMP) because a datagram was larger than the MTU of a network on the path", Value: e.TooLarge},
		{Name: "other", Metric: "sink_network_errors_other_total", Meaning: "UDP: other errors (ICMP)", Value: e.Other},
	}
}

// LogValue returns the counts that are not zero.
func (e NetworkErrors) LogValue() slog.Value { return nonzero(e.Rows()) }
