package rrset

import (
	"encoding/binary"
	"net/netip"
	"slices"
	"time"

	"github.com/miekg/dns"

	"github.com/dnstap-pdns/dnstap-pdns/transform"
	"github.com/dnstap-pdns/dnstap-pdns/transform/dnswire"
)

// Config configures a Verifier.
type Config struct {
	Wait    time.Duration // how long a response that cannot be verified is held, in record time
	MaxHeld int           // octets of held responses; one may have a 256th of them
}

// A Verifier passes the RRsets that their server had the authority to state. It is not safe for
// concurrent use.
type Verifier struct {
	delegations *Delegations
	splitter    *Splitter
	held        held
	clock       transform.Clock
	now         transform.Time // of the clock
	counts      Counts

	emit    func(*RRset, transform.Time, uint32) // of the current call
	chain   []bool                               // scratch: by number in the answer section
	changed []netip.Addr                         // servers of held responses that became servers of a zone
}

const (
	maxChanged = 64 // servers whose held responses wait to be tried again
	maxRetried = 8  // servers of these for each record, so that no record takes long
)

// NewVerifier returns a Verifier that uses d, and is the only one to use it.
func NewVerifier(c Config, d *Delegations) *Verifier {
	v := &Verifier{delegations: d, splitter: NewSplitter(), held: newHeld(c)}
	d.onServer = v.onServer
	return v
}

// Take splits a record's response, and passes each RRset in bailiwick to emit with the record's
// time and source, the NMSG source id, before it returns. It also passes RRsets of earlier records
// that this one verifies; emit borrows both. The others are counted, or held for a while.
func (v *Verifier) Take(r *transform.Record, source uint32, emit func(r *RRset, at transform.Time, source uint32)) {
	var elapsed transform.Time
	v.now, elapsed = v.clock.See(r.Time())
	v.emit = emit
	v.expire(elapsed)
	if r.HasResponse {
		v.take(r, source, elapsed)
	}
	v.retry()
	v.emit = nil
}

// take judges the response of a record.
func (v *Verifier) take(r *transform.Record, source uint32, elapsed transform.Time) {
	response, ok := v.splitter.Split(r.Response)
	if !ok {
		v.counts.By[Malformed]++
		return
	}
	x := subject{Response: response, server: r.Server.Addr(), time: r.Time(), source: source, paired: r.HasQuery}
	switch {
	case r.Forwarded:
		v.countAll(&x, Forwarded)
	case x.Rcode != dns.RcodeSuccess && x.Rcode != dns.RcodeNameError:
		v.countAll(&x, Rcode)
	case dnswire.IsName(r.Zone):
		v.exact(&x, r.Zone)
	default:
		v.byDelegation(&x, r.Response, elapsed)
	}
}

// A subject is a response that is judged.
type subject struct {
	*Response
	server netip.Addr
	time   transform.Time
	source uint32
	paired bool // its query was seen, too
}

// exact judges a response by the zone that the resolver stated.
func (v *Verifier) exact(x *subject, zone []byte) {
	switch {
	case !dnswire.IsBelow(x.Name, zone):
		v.countAll(x, OutOfZone)
	case isRoot(zone) && !v.delegations.isRootServer(x.server):
		v.countAll(x, NotRoot)
	default:
		v.judge(x, zone, Exact)
	}
}

// byDelegation judges a response by the zone that was delegated to its server, or holds it.
func (v *Verifier) byDelegation(x *subject, wire []byte, elapsed transform.Time) {
	zone := v.delegations.zoneOf(x.Name, x.Type, x.server, v.now)
	switch {
	case zone != nil:
		v.judge(x, zone, Delegated)
	case x.Len() > 0:
		v.held.add(x, wire, elapsed, &v.counts)
	}
}

func (v *Verifier) countAll(x *subject, o Outcome) { v.counts.By[o] += uint64(x.Len()) }

// judge passes the RRsets of a response that are in bailiwick of the zone, with the outcome
// verified, and learns delegations from them.
func (v *Verifier) judge(x *subject, zone []byte, verified Outcome) {
	if x.Rcode == dns.RcodeNameError {
		v.findChain(x.Response)
	}
	for section, rrsets := range x.Sections {
		for i := range rrsets {
			r := &rrsets[i]
			o := verified
			switch {
			case !isIn(r, x.Class, zone):
				o = OutOfZone
			case x.Rcode == dns.RcodeNameError && !v.isProven(r, section, i):
				o = Rcode
			}
			v.counts.By[o]++
			if o == verified {
				r.Bailiwick = r.Name[len(r.Name)-len(zone):]
				v.emit(r, x.time, x.source)
			}
		}
	}
	if x.paired {
		v.learn(x)
	}
}

// isIn reports whether an RRset is in a zone: its owner is at or below it, and it is not the
// parent's. It removes signatures of the parent's RRsets.
func isIn(r *RRset, class uint16, zone []byte) bool {
	if r.Class != class || !dnswire.IsBelow(r.Name, zone) {
		return false
	}
	if len(r.Name) > len(zone) || isRoot(zone) { // the root has no parent
		return true
	}
	return keepTypes(r, func(typ uint16) bool { return typ != dns.TypeDS })
}

// keepTypes reports whether accept accepts the type of an RRset. Of signatures it accepts the
// covered types, and removes the others.
func keepTypes(r *RRset, accept func(typ uint16) bool) bool {
	if r.Type != dns.TypeRRSIG {
		return accept(r.Type)
	}
	kept := r.Rdata[:0]
	for _, signature := range r.Rdata {
		if accept(binary.BigEndian.Uint16(signature)) {
			kept = append(kept, signature)
		}
	}
	r.Rdata = kept
	return len(kept) > 0
}

// isProven reports whether an RRset, the i-th of its section, is one of those that NXDOMAIN
// consists of: the aliases from the query name to the name that does not exist, the SOA record, and
// the proof of DNSSEC.
func (v *Verifier) isProven(r *RRset, section, i int) bool {
	switch section {
	case dnswire.Answer:
		return v.chain[i] && keepTypes(r, func(typ uint16) bool { return typ == dns.TypeCNAME || typ == dns.TypeDNAME })
	case dnswire.Authority:
		return keepTypes(r, func(typ uint16) bool { return typ == dns.TypeSOA || typ == dns.TypeNSEC || typ == dns.TypeNSEC3 })
	}
	return false
}

// maxChain is the number of aliases that are followed, as in scrubbing.
const maxChain = 16

// findChain marks the aliases from the query name, with their signatures, in v.chain.
func (v *Verifier) findChain(r *Response) {
	v.chain = append(v.chain[:0], make([]bool, len(r.Sections[dnswire.Answer]))...)
	var buf [dnswire.MaxName]byte
	name := r.Name
	for range maxChain {
		target := v.mark(r, name, dns.TypeCNAME)
		for owner := name; len(owner) > 1; {
			owner = parentOf(owner)
			to := v.mark(r, owner, dns.TypeDNAME)
			if to == nil {
				continue
			}
			if target == nil {
				target = append(append(buf[:0], name[:len(name)-len(owner)]...), to...) // owner may be a part of buf
			}
			break
		}
		if target == nil {
			return
		}
		name = target
	}
}

// mark marks an alias in the answer section with its signatures, and returns its target; nil if there
// is no such alias.
func (v *Verifier) mark(r *Response, owner []byte, typ uint16) (target []byte) {
	i := v.splitter.answer(owner, typ)
	if i < 0 {
		return nil
	}
	v.chain[i] = true
	if i := v.splitter.answer(owner, dns.TypeRRSIG); i >= 0 {
		v.chain[i] = true
	}
	return r.Sections[dnswire.Answer][i].Rdata[0]
}

// learn takes delegations out of a response whose verified RRsets have a bailiwick: first which
// servers serve a zone, then the addresses of these.
func (v *Verifier) learn(x *subject) {
	for _, rrsets := range x.Sections {
		for i := range rrsets {
			if r := &rrsets[i]; r.Bailiwick != nil && r.Type == dns.TypeNS {
				v.delegations.learnServers(r, v.now)
			}
		}
	}
	for _, rrsets := range x.Sections {
		for i := range rrsets {
			if r := &rrsets[i]; r.Bailiwick != nil && (r.Type == dns.TypeA || r.Type == dns.TypeAAAA) {
				v.delegations.learnAddresses(r, v.now)
			}
		}
	}
}

// onServer notes that an address became that of a server of a zone.
func (v *Verifier) onServer(a netip.Addr) {
	if v.held.has(a) && len(v.changed) < maxChanged && !slices.Contains(v.changed, a) {
		v.changed = append(v.changed, a)
	}
}

// retry judges held responses of servers that became servers of a zone. What these teach may lead
// to others. The number of servers is limited; the next call continues with the rest.
func (v *Verifier) retry() {
	for n := 0; n < maxRetried && len(v.changed) > 0; n++ {
		server := v.changed[0]
		v.changed = slices.Delete(v.changed, 0, 1)
		for _, h := range v.held.of(server) {
			v.judgeHeld(h)
		}
	}
}

// judgeHeld judges a held response if its zone is known by now, and reports whether it is.
func (v *Verifier) judgeHeld(h *heldResponse) bool {
	zone := v.delegations.zoneOf(h.name, h.qtype, h.server, v.now)
	if zone == nil {
		return false
	}
	v.held.remove(h)
	if response, ok := v.splitter.Split(h.wire); ok { // as it was before
		v.judge(&subject{Response: response, server: h.server, time: h.time, source: h.source, paired: h.paired}, zone, Delegated)
	}
	return true
}

// expire drops the responses that were held for the whole time, after a last try.
func (v *Verifier) expire(elapsed transform.Time) {
	for h := v.held.oldest(); h != nil && elapsed-h.since >= v.held.wait; h = v.held.oldest() {
		if !v.judgeHeld(h) {
			v.held.drop(h, Unverified, &v.counts)
		}
	}
}

// Finish ends the work: held responses are counted as unverified.
func (v *Verifier) Finish() {
	for h := v.held.oldest(); h != nil; h = v.held.oldest() {
		v.held.drop(h, Unverified, &v.counts)
	}
}

// Counts returns the counts.
func (v *Verifier) Counts() Counts {
	c := v.counts
	c.Held = v.held.rrsets
	return c
}

func isRoot(name []byte) bool { return len(name) == 1 }

// parentOf returns a name without its first label. The name is not the root.
func parentOf(name []byte) []byte { return name[1+int(name[0]):] }
