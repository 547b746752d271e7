package transform

import (
	"encoding/binary"

	"github.com/miekg/dns"

	"github.com/dnstap-pdns/dnstap-pdns/transform/dnswire"
)

// cleared are the header bits that tell about the resolver rather than the
// answer: RD, Z, AD, CD.
const cleared = dnswire.FlagRD | dnswire.FlagZ | dnswire.FlagAD | dnswire.FlagCD

// A rewriter makes the messages of a record in buffers of its own.
type rewriter struct {
	out     []byte
	folded  bool // letters of out are in another case than they came in
	rebuilt bool // out was written anew

	query []byte
	check dnswire.Walker // of what was rebuilt
	names compressor
}

// response returns the scrubbed form of a walked response, and false if that is
// not certain to be the same answer. It is good until the next call.
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

// rebuilds reports whether the scrubbed message differs from the walked one in more
// than its end and single octets.
func rebuilds(w *dnswire.Walker) bool {
	return w.PointsOutsideNames || w.Omits() || w.OPT >= 0 && int(w.Records[w.OPT].End) != w.End
}

// copy takes the message as it lies, without the OPT at its end.
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

// isWhole reads the written message again, from record to record: it must hold as
// many as the one that it was made from but for those removed, no OPT, and nothing after
// them. Names are
// only measured, which is enough where everything lies as it lay.
func (rw *rewriter) isWhole(w *dnswire.Walker) bool {
	b, off := rw.out, dnswire.HeaderLen
	for range w.Questions {
		if off = dnswire.NameEnd(b, off); off < 0 {
			return false
		}
		off += 4
	}
	for section := range w.Counts {
		n := w.Remaining(section)
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

// verify walks a message that was rebuilt as one that has just come in.
func (rw *rewriter) verify() bool {
	c := &rw.check
	return c.Walk(rw.out) && c.End == len(rw.out) && c.OPT < 0 && !c.PointsOutsideNames
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
