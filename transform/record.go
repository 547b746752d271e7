package transform

import (
	"bytes"
	"net/netip"
	"time"
)

// Record is a passive DNS record: a scrubbed response with its query, or a query without a
// response. Its slices are borrowed until the call that takes the Record returns.
type Record struct {
	Server netip.AddrPort
	// Resolver is the zero address of the server's family with port 0, unless the
	// policy keeps it.
	Resolver netip.AddrPort
	ID       uint16 // DNS ID; 0 unless the policy keeps the resolver's address
	Zeroed   bool   // Resolver and ID were zeroed

	Transport   Transport
	HasResponse bool
	HasQuery    bool // false if only the response was seen
	Forwarded   bool // sent to a resolver, or with recursion desired: the server need not be authoritative

	Name  []byte // query name: wire form, uncompressed, lower case
	Type  uint16
	Class uint16
	Rcode uint8  // of the response; meaningless unless HasResponse
	Zone  []byte // wire form, lower case; empty if not stated

	// Times are truncated to the policy's resolution; NoTime if unknown.
	QueryTime    Time
	ResponseTime Time

	Query    []byte // scrubbed query message: header and question; nil unless HasQuery
	Response []byte // scrubbed response message; nil unless HasResponse
}

// Time is the time of the record: that of its query if known, else that of its response.
func (r *Record) Time() Time {
	if r.QueryTime != NoTime {
		return r.QueryTime
	}
	return r.ResponseTime
}

// Truncate truncates the times of the record to a resolution; 0: it changes nothing.
func (r *Record) Truncate(resolution time.Duration) {
	if resolution > 0 {
		r.QueryTime, r.ResponseTime = r.QueryTime.truncated(Time(resolution)), r.ResponseTime.truncated(Time(resolution))
	}
}

// identify sets the DNS ID of a record, and the resolver's address: zero unless the policy keeps
// it.
func (r *Record) identify(resolver netip.AddrPort, id uint16, policy *Policy) {
	server := r.Server.Addr()
	r.ID = id
	r.Zeroed = !policy.keepResolver
	if policy.keepResolver && resolver.IsValid() && resolver.Addr().Is4() == server.Is4() {
		r.Resolver = resolver
		return
	}
	r.Resolver = netip.AddrPortFrom(ZeroAddr(server), 0)
}

// unmapped returns an IPv4-mapped address as IPv4.
func unmapped(a netip.AddrPort) netip.AddrPort {
	return netip.AddrPortFrom(a.Addr().Unmap(), a.Port())
}

// appliedTo returns the rules that changed the record of a response.
func (p *Pairer) appliedTo(m *Message, q *pending, resolver netip.AddrPort) ruleSet {
	w, r := p.walker, &p.record
	flags, folded := w.Flags, p.rewriter.folded || p.folded
	var by ruleSet
	if q != nil {
		flags |= q.flags
		folded = folded || !bytes.Equal(p.pending.name(q), r.Name) // the letter case of a response may differ
		by.add(QueryReduced, q.more)
		by.add(ZoneOmitted, q.badZone)
	}
	by.add(ResolverZeroed, r.Resolver != resolver && isStated(resolver))
	by.add(IDZeroed, r.ID != w.ID)
	by.add(OPTRemoved, w.OPT >= 0)
	by.add(CaseLowered, folded)
	by.add(HeaderBitsCleared, flags&cleared != 0)
	by.add(TrailingCut, w.End < len(w.Msg))
	by.add(TimeTruncated, r.QueryTime != p.queryTime(m, q) || r.ResponseTime != m.ResponseTime)
	by.add(ZoneOmitted, p.badZone)
	by.add(RRsetRemoved, w.HasOmitted())
	by.add(Rebuilt, p.rewriter.rebuilt)
	return by
}

// appliedToQuery returns the rules that changed the record of a query.
func appliedToQuery(q *pending, r *Record, folded bool) ruleSet {
	var by ruleSet
	by.add(ResolverZeroed, r.Resolver != q.resolverAddr() && isStated(q.resolverAddr()))
	by.add(IDZeroed, r.ID != q.id)
	by.add(QueryReduced, q.more)
	by.add(CaseLowered, folded)
	by.add(HeaderBitsCleared, q.flags&cleared != 0)
	by.add(TimeTruncated, r.QueryTime != q.sent)
	by.add(ZoneOmitted, q.badZone)
	return by
}

// isStated reports whether a message states the resolver's address or port.
func isStated(resolver netip.AddrPort) bool {
	return resolver.IsValid() && (!resolver.Addr().IsUnspecified() || resolver.Port() != 0)
}

// emitRecord counts the record, of a message or query with this ID, and passes it to emit.
func (p *Pairer) emitRecord(id uint16, query Time, emit func(*Record)) {
	p.counts.Records++
	p.counts.scrubbed(p.applied)
	if p.log != nil {
		r := &p.record
		p.log.add(transactionKey(r.Server.Addr(), id, r.Type, r.Name), query, p.clock.now)
	}
	emit(&p.record)
}
