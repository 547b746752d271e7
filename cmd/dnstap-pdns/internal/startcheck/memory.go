package startcheck

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"runtime/debug"
	"slices"
	"strings"

	"github.com/KimMachineGun/automemlimit/memlimit"

	"github.com/dnstap-pdns/dnstap-pdns/conf"
	"github.com/dnstap-pdns/dnstap-pdns/forward/aggregate"
	"github.com/dnstap-pdns/dnstap-pdns/forward/file"
	"github.com/dnstap-pdns/dnstap-pdns/forward/kafka"
	"github.com/dnstap-pdns/dnstap-pdns/forward/spool"
	"github.com/dnstap-pdns/dnstap-pdns/forward/wss"
)

// Memory of the parts of a sensor, in bytes. docs/resolvers.md explains those of connections.
const (
	ofProcess        = 24 << 20 // the program, the Go runtime, the admin server
	ofQuery          = 192      // in the pairing table
	ofSharedMessages = 10 << 20 // for messages of more than 4 KiB
	ofConnection     = 224 << 10
	ofTLS            = 64 << 10
	ofOpenBatch      = 88 << 10 // of a connection or a lane of packets, for each sink
	ofPacketLane     = 13 << 20 // fragments and TCP streams
	ofSink           = 1 << 20  // batches outside of the queue
	ofCompression    = 2 << 20
	ofFiles          = 4 << 20  // of a sink: what the kernel has not written to disk yet
	ofUnacknowledged = 4 << 20  // sent, or read from a spool, and not acknowledged yet
	ofProducer       = 4 << 20  // of a sink: containers in requests to brokers, and their copies
	ofConsumer       = 64 << 20 // of a source: fetched from brokers and not read yet, and decompressed
	ofVerifier       = 84 << 20 // known delegations, and responses that are not verified yet
)

// A part is the memory that a part of a sensor may take.
type part struct {
	what  string
	bytes int64
}

// parts returns the memory that the configuration allows, the largest part first. Garbage and
// the unused ends of buffers are included. Rings for packets are not: the kernel allocates
// them, and does not count them in a cgroup.
func parts(c *conf.Config) []part {
	var connections, lanes, queues, files, rrsets, fetched int64
	sinks := int64(0) // that lanes feed
	for i := range c.Sinks {
		if c.Sinks[i].From == "" {
			sinks++
		}
	}
	for i := range c.Sources {
		s := &c.Sources[i]
		each := ofConnection + int64(s.MaxFrame) + sinks*ofOpenBatch
		if s.TLS.Cert != "" {
			each += ofTLS
		}
		connections += int64(s.MaxConnections) * each
	}
	for i := range c.Packets {
		p := &c.Packets[i]
		lanes += int64(p.Lanes) * (ofPacketLane + sinks*ofOpenBatch)
	}
	for range c.Kafka {
		fetched += ofConsumer + sinks*ofOpenBatch
	}
	for i := range c.Sinks {
		s := &c.Sinks[i]
		queues += s.Queue + s.Queue/8 + ofSink // batches are not quite full
		if s.Zlib {
			queues += ofCompression
		}
		switch t := s.Transport.(type) {
		case aggregate.Config:
			rrsets += t.MaxBytes + ofVerifier
		case file.Config:
			files += ofFiles
		case wss.Config:
			queues += ofUnacknowledged
		case spool.Config: // which sends a copy, and writes files
			queues += 2 * ofUnacknowledged
			files += ofFiles
		}
		if _, ok := withoutSpool(s.Transport).(kafka.Config); ok {
			queues += ofUnacknowledged + ofProducer
		}
	}
	heap := func(n int64) int64 { return n + n/8 } // with garbage: see setGCPercent
	all := []part{
		{"connections and their frames", heap(connections)},
		{"the pairing table", heap(int64(c.MaxQueries) * ofQuery)},
		{"the queues of sinks", heap(queues)},
		{"RRsets in windows", heap(rrsets)},
		{"lanes of packets", heap(lanes)},
		{"what Kafka sources have fetched", heap(fetched)},
		{"files being written", files},
		{"everything else", ofProcess + heap(ofSharedMessages)},
	}
	all = slices.DeleteFunc(all, func(p part) bool { return p.bytes == 0 })
	slices.SortStableFunc(all, func(a, b part) int { return cmp.Compare(b.bytes, a.bytes) })
	return all
}

// memory warns if the configuration allows more memory than the limits of this process.
func (c *check) memory(f *conf.Config) {
	group, err := CgroupLimit()
	if err != nil {
		c.warn(fmt.Sprintf("the memory limit of the cgroup cannot be read: %v", err), "Without it check cannot compare the memory of the configuration with it.")
	}
	c.fits(parts(f), group, "the memory limit of the cgroup",
		" (MemoryMax= of the service, or the memory limit of the container)", "The kernel kills a sensor that exceeds the limit.")
	if os.Getenv("GOMEMLIMIT") != "" {
		c.fits(parts(f), debug.SetMemoryLimit(-1), "GOMEMLIMIT", "", "Near the limit, garbage collection takes up to half of the CPU time.")
	}
}

// CgroupLimit returns the lowest memory limit of the cgroups of this process (v1 and v2), in
// bytes; 0: there is none.
func CgroupLimit() (int64, error) {
	limit, err := memlimit.FromCgroup()
	switch {
	case errors.Is(err, memlimit.ErrNoLimit), errors.Is(err, memlimit.ErrNoCgroup), errors.Is(err, memlimit.ErrCgroupsNotSupported):
		return 0, nil
	case err != nil:
		return 0, err
	case limit > 1<<62: // the kernel's "unlimited"
		return 0, nil
	}
	return int64(limit), nil
}

// fits warns if the parts need more than a limit; 0: there is none. The advice contains where
// the limit is set and what follows otherwise.
func (c *check) fits(all []part, limit int64, what, where, otherwise string) {
	var sum int64
	var list []string
	for _, p := range all {
		sum += p.bytes
		list = append(list, fmt.Sprintf("%s %d MiB", p.what, mib(p.bytes)))
	}
	if limit == 0 || sum <= limit {
		return
	}
	c.warn(fmt.Sprintf("the configuration allows %d MiB of memory, and %s is %d MiB: %s", mib(sum), what, limit>>20, strings.Join(list, ", ")),
		fmt.Sprintf("Set it to at least %d MiB%s, or reduce queue, max_bytes, max_connections, max_frame, max_queries or lanes. %s", mib(sum), where, otherwise))
}

// mib returns n in MiB, rounded up.
func mib(n int64) int64 { return (n + 1<<20 - 1) >> 20 }
