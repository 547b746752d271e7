package udp

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"time"
)

const (
	lookupTimeout = 10 * time.Second

	// The times between two lookups: when all is well, and after errors.
	lookupInterval = 5 * time.Minute
	retryInterval  = 30 * time.Second
)

// A resolver looks up the receiver's name, and looks it up again in a goroutine.
type resolver struct {
	host   string
	port   uint16
	lookup func(ctx context.Context, network, host string) ([]netip.Addr, error)

	started time.Time         // of the latest lookup
	found   chan []netip.Addr // of the lookup in progress; nil: there is none
	cancel  context.CancelFunc
}

func newResolver(address string) (resolver, error) {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return resolver{}, err
	}
	n, err := strconv.ParseUint(port, 10, 16)
	return resolver{host: host, port: uint16(n), lookup: net.DefaultResolver.LookupNetIP}, err
}

// now looks the name up and returns its addresses.
func (r *resolver) now(ctx context.Context) ([]netip.Addr, error) {
	ctx, cancel := context.WithTimeout(ctx, lookupTimeout)
	defer cancel()
	r.started = time.Now()
	addrs, err := r.addresses(ctx)
	if failed, ok := errors.AsType[*net.DNSError](err); ok {
		return nil, fmt.Errorf("the host in its URL cannot be resolved: %s (is the name right, does this machine resolve names?)", reasonOf(failed))
	}
	if err != nil {
		return nil, fmt.Errorf("resolving the host in its URL: %w", err)
	}
	return addrs, nil
}

// addresses returns the addresses of the name, without IPv4-mapped ones.
func (r *resolver) addresses(ctx context.Context) ([]netip.Addr, error) {
	addrs, err := r.lookup(ctx, "ip", r.host)
	for i, a := range addrs {
		addrs[i] = a.Unmap()
	}
	return addrs, err
}

// due returns when the next lookup is due: earlier after errors. The zero time: never,
// because the host is an address.
func (r *resolver) due(trouble bool) time.Time {
	if _, err := netip.ParseAddr(r.host); err == nil {
		return time.Time{}
	}
	if trouble {
		return r.started.Add(retryInterval)
	}
	return r.started.Add(lookupInterval)
}

// start starts a lookup if one is due and none is in progress.
func (r *resolver) start(ctx context.Context, trouble bool) {
	if due := r.due(trouble); due.IsZero() || r.found != nil || time.Now().Before(due) {
		return
	}
	r.started = time.Now()
	ctx, r.cancel = context.WithTimeout(ctx, lookupTimeout)
	r.found = make(chan []netip.Addr, 1)
	go func(found chan<- []netip.Addr) {
		addrs, _ := r.addresses(ctx) // after an error the known address stays in use
		found <- addrs
	}(r.found)
}

// result returns what a lookup has found since the last call; nil: nothing, or it failed.
func (r *resolver) result() []netip.Addr {
	select {
	case addrs := <-r.found:
		r.end()
		return addrs
	default:
		return nil
	}
}

// stop ends the lookup in progress, and waits for its goroutine.
func (r *resolver) stop() {
	if r.found != nil {
		r.cancel()
		<-r.found
		r.end()
	}
}

func (r *resolver) end() {
	r.cancel()
	r.found, r.cancel = nil, nil
}

// reasonOf returns why a name was not resolved. The text of err may contain addresses.
func reasonOf(err *net.DNSError) string {
	switch {
	case err.IsNotFound:
		return "no such host"
	case err.IsTimeout:
		return "no answer in time"
	default:
		return "no answer from the name service"
	}
}
