package transform

import (
	"encoding/binary"

	"github.com/miekg/dns"

	"github.com/dnstap-pdns/dnstap-pdns/transform/dnswire"
)

// buildAnswer makes the record of a response and of its query, if q is not nil. p.zone is the
// zone. It reports false if the response cannot be scrubbed.
func (p *Pairer) buildAnswer(m *Message, q *pending, policy *Policy) bool {
	w := p.walker
	id := uint16(0)
	if policy.keepResolver {
		id = w.ID
	}
	if rebuilds(w) { // which may make the message longer than smallMessage
		p.rewriter = &p.borrow().rewriter
	}
	response, ok := p.rewriter.response(w, id)
	if !ok {
		return false
	}
	r := &p.record
	*r = Record{
		Server:       unmapped(m.Server),
		Transport:    m.Transport,
		HasResponse:  true,
		Forwarded:    p.relayed,
		Name:         response[dnswire.HeaderLen:w.QnameEnd],
		Type:         w.Qtype,
		Class:        w.Qclass,
		Rcode:        uint8(w.Flags & dnswire.MaskRcode),
		Zone:         p.zone[:p.zoneLen],
		QueryTime:    policy.truncate(p.queryTime(m, q)),
		ResponseTime: policy.truncate(m.ResponseTime),
		Response:     response,
	}
	resolver := unmapped(m.Resolver)
	if q != nil {
		if !resolver.IsValid() {
			resolver = q.resolverAddr()
		}
		r.HasQuery = true
		r.Query = p.rewriter.question(id, q.flags, r.Name, w.Qtype, w.Qclass)
	}
	r.identify(resolver, id, policy)
	p.applied = p.appliedTo(m, q, resolver)
	return true
}

// cleared are the header bits that concern the resolver and not the answer.
const cleared = dnswire.FlagRD | dnswire.FlagZ | dnswire.FlagAD | dnswire.FlagCD

// A rewriter makes the messages of a record in its own buffers.
type rewriter struct {
	out     []byte
	folded  bool // a letter of out was lowercased
	rebuilt bool // out was written anew

	query []byte
	check dnswire.Walker // of what was rebuilt
	names compressor
}

// response returns the scrubbed form of a walked response, and false if it is not certain to
// be the same answer. The result is valid until the next call.
func (rw *rewriter) response(w *dnswire.Walker, id uint16) ([]byte, bool) {
	rw.folded = false
	rw.rebuilt = rebuilds(w)
	if !rw.rebuilt {
		rw.copy(w)
	} else if !rw.rebuild(w) {
		return nil, false
	}
	binary.BigEndian.PutUint16(rw.out, id)
	binary.BigEndian.PutUint16(rw.out[2:], w.Flags&^cleared)
	return rw.out, rw.isWhole(w) && (!rw.rebuilt || rw.verify())
}

// rebuilds reports whether the scrubbed message must be written anew: it differs from the
// walked message in more than its end and single octets.
func rebuilds(w *dnswire.Walker) bool {
	return w.PointsOutsideNames || w.HasOmitted() || w.OPT >= 0 && int(w.Records[w.OPT].End) != w.End
}

// copy copies the message without the OPT record at its end, and lowercases names.
func (rw *rewriter) copy(w *dnswire.Walker) {
	end := w.End
	if w.OPT >= 0 {
		end = int(w.Records[w.OPT].Owner)
	}
	rw.out = append(rw.out[:0], w.Msg[:end]...)
	if w.OPT >= 0 {
		binary.BigEndian.PutUint16(rw.out[10:], uint16(w.Counts[dnswire.Additional]-1))
	}
	for _, r := range w.Runs {
		if !r.KeepCase && dnswire.Lower(rw.out[r.Start:r.End]) {
			rw.folded = true
		}
	}
}

// rebuild writes a message anew, record by record, without the OPT record and omitted records.
// It reports false if the result would be too long.
func (rw *rewriter) rebuild(w *dnswire.Walker) bool {
	rw.names.reset()
	rw.out = append(rw.out[:0], w.Msg[:dnswire.HeaderLen]...)
	off := dnswire.HeaderLen
	for range w.Questions {
		end := dnswire.NameEnd(w.Msg, off)
		rw.name(w, off, true, true)
		rw.out = append(rw.out, w.Msg[end:end+4]...)
		off = end + 4
	}
	for i, r := range w.Records {
		if i == w.OPT || r.Omitted {
			continue
		}
		if !rw.record(w, r) {
			return false
		}
	}
	for section := range w.Counts {
		binary.BigEndian.PutUint16(rw.out[6+2*section:], uint16(w.RemainingCount(section)))
	}
	return true
}

func (rw *rewriter) record(w *dnswire.Walker, r dnswire.Record) bool {
	rw.name(w, int(r.Owner), true, true)
	rw.out = append(rw.out, w.Msg[r.Rdata-dnswire.FixedLen:r.Rdata]...)
	start := len(rw.out)
	for f := w.Fields(&r); f.Next(); {
		if f.IsName() {
			rw.name(w, f.Start, f.Kind == dnswire.Name, compresses(r.Type))
		} else {
			rw.out = append(rw.out, w.Msg[f.Start:f.End]...)
		}
		if len(rw.out) > dnswire.MaxMessage {
			return false // before it grows to a multiple of MaxMessage
		}
	}
	length := len(rw.out) - start
	binary.BigEndian.PutUint16(rw.out[start-2:], uint16(length))
	return true
}

// compresses reports whether names in rdata of the type may be compressed (RFC 3597 section
// 4: the types of RFC 1035).
func compresses(typ uint16) bool {
	switch typ {
	case dns.TypeNS, dns.TypeCNAME, dns.TypeSOA, dns.TypePTR, dns.TypeMX,
		dns.TypeMD, dns.TypeMF, dns.TypeMB, dns.TypeMG, dns.TypeMR, dns.TypeMINFO:
		return true
	}
	return false
}

// name writes the name at off of the walked message.
func (rw *rewriter) name(w *dnswire.Walker, off int, fold, compress bool) {
	name := w.Expand(rw.names.name[:0], off)
	if fold && dnswire.Lower(name) {
		rw.folded = true
	}
	rw.out = rw.names.append(rw.out, name, compress)
}

const (
	maxProbes = 8
	maxHashed = 24 // octets of a name that are hashed: every end of it is searched for
	noSlot    = -1
)

// A compressor finds names that have been written before.
type compressor struct {
	table [1024]uint16 // offsets of names by hash of their labels; 0: free
	used  int
	name  [dnswire.MaxName + 1]byte
}

func (c *compressor) reset() {
	if c.used > 0 {
		c.table = [1024]uint16{}
		c.used = 0
	}
}

// append appends a name. With compress, it replaces the longest end of the name that was written
// before by a pointer to it.
func (c *compressor) append(out, name []byte, compress bool) []byte {
	if !compress {
		return append(out, name...)
	}
	start := len(out)
	for off := 0; name[off] != 0; off += 1 + int(name[off]) {
		slot, found := c.find(out, name[off:])
		if found {
			out = append(out, name[:off]...)
			return binary.BigEndian.AppendUint16(out, 0xc000|c.table[slot])
		}
		if at := start + off; slot != noSlot && at < 0x4000 && c.used < len(c.table)/2 {
			c.table[slot] = uint16(at)
			c.used++
		}
	}
	return append(out, name...)
}

// find returns the slot of a name that has been written, or a free slot. It returns noSlot
// after maxProbes slots, so that no choice of names makes the table slow.
func (c *compressor) find(out, name []byte) (slot int, found bool) {
	h := uint32(len(name))
	for _, b := range name[:min(len(name), maxHashed)] {
		h = (h ^ uint32(b)) * 16777619 // as FNV-1a does
	}
	for i := range uint32(maxProbes) {
		slot := int((h + i) % uint32(len(c.table)))
		at := int(c.table[slot])
		if at == 0 {
			return slot, false
		}
		if at < len(out) && dnswire.SameName(out, at, name) {
			return slot, true
		}
	}
	return noSlot, false
}

// isWhole reads the written message again, from record to record: it must have the remaining
// records of the walked message, no OPT record, and nothing after them. Names are only
// skipped, which is enough for a copy.
func (rw *rewriter) isWhole(w *dnswire.Walker) bool {
	b, off := rw.out, dnswire.HeaderLen
	for range w.Questions {
		if off = dnswire.NameEnd(b, off); off < 0 {
			return false
		}
		off += 4
	}
	for section := range w.Counts {
		n := w.RemainingCount(section)
		if int(binary.BigEndian.Uint16(b[6+2*section:])) != n {
			return false
		}
		for range n {
			typ, end := dnswire.RecordEnd(b, off)
			if end < 0 || typ == dns.TypeOPT {
				return false
			}
			off = end
		}
	}
	return off == len(b)
}

// verify walks the rebuilt message, and reports whether it is well formed and needs no rebuilding.
func (rw *rewriter) verify() bool {
	c := &rw.check
	return c.Walk(rw.out) && c.End == len(rw.out) && c.OPT < 0 && !c.PointsOutsideNames
}

// buildUnanswered makes the record of a query without a response. p.name and p.zone are its
// name and zone.
func (p *Pairer) buildUnanswered(q *pending, policy *Policy) {
	id := uint16(0)
	if policy.keepResolver {
		id = q.id
	}
	name := p.name[:q.nameLen]
	r := &p.record
	*r = Record{
		Server:       q.serverAddr(),
		Transport:    q.transport,
		HasQuery:     true,
		Forwarded:    p.relayed,
		Name:         name,
		Type:         q.qtype,
		Class:        q.qclass,
		Zone:         p.zone[:q.zoneLen],
		QueryTime:    policy.truncate(q.sent),
		ResponseTime: NoTime,
		Query:        p.rewriter.question(id, q.flags, name, q.qtype, q.qclass),
	}
	r.identify(q.resolverAddr(), id, policy)
	p.applied = appliedToQuery(q, r, p.folded)
}

// question returns a query message of header and question alone.
func (rw *rewriter) question(id, flags uint16, name []byte, qtype, qclass uint16) []byte {
	b := rw.query[:0]
	b = binary.BigEndian.AppendUint16(b, id)
	b = binary.BigEndian.AppendUint16(b, flags&^cleared)
	b = append(b, 0, 1, 0, 0, 0, 0, 0, 0)
	b = append(b, name...)
	b = binary.BigEndian.AppendUint16(b, qtype)
	rw.query = binary.BigEndian.AppendUint16(b, qclass)
	return rw.query
}
