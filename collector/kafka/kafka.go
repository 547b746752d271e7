// Package kafka reads NMSG containers from a topic of a Kafka cluster, as a member of a consumer
// group. What it reads was made and scrubbed elsewhere, by sensors that this process does not
// know: it is parsed as hostile.
//
// It commits what it has read only when every sink has confirmed it. It never drops what it can
// read: while the sinks take nothing, it waits and fetches nothing.
//
// The package does not know sinks, policies or configuration files.
package kafka

import (
	"context"
	"time"

	"github.com/dnstap-pdns/dnstap-pdns/conf/brokers"
	"github.com/dnstap-pdns/dnstap-pdns/forward/nmsg"
	"github.com/dnstap-pdns/dnstap-pdns/transform"
	"github.com/dnstap-pdns/dnstap-pdns/transform/rrset"
)

// Config describes a source.
type Config struct {
	Name    string // the block's label
	Brokers brokers.Config
	Topic   string
	Group   string        // of consumers
	Commit  time.Duration // between two commits: what a killed member has read since the last one is read again
}

// An Inlet takes what a source has read. The calls of one source never overlap. Most come from the
// goroutine of Run; when partitions are revoked, Confirm is called from a goroutine of the client.
type Inlet interface {
	// Record passes a record, which it borrows, to the sinks, and waits for room in their queues
	// until ctx ends. ids are those of the payload.
	Record(ctx context.Context, r *transform.Record, ids nmsg.IDs)

	// RRset is Record for an RRset with its sightings.
	RRset(ctx context.Context, a *rrset.Aggregate, ids nmsg.IDs)

	// Drop counts a payload that became neither.
	Drop(transform.Reason)

	// Confirm waits until all sinks have delivered or durably stored everything that Record and
	// RRset have passed, and what aggregates made of it. An error states that something was lost,
	// or that ctx has ended: then nothing may be committed.
	Confirm(ctx context.Context) error

	// Close ends the inlet.
	Close()
}
