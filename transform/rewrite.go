package transform

import "encoding/binary"

// cleared are the header bits that tell about the resolver rather than the
// answer: RD, Z, AD, CD.
const cleared = flagRD | flagZ | flagAD | flagCD

// A rewriter makes the messages of a record in buffers of its own.
type rewriter struct {
	out     []byte
	folded  bool // letters of out are in another case than they came in
	rebuilt bool // out was written anew

	query []byte
	check walker // of what was rebuilt
	names compressor
}

// response returns the scrubbed form of a walked response, and false if that is
// not certain to be the same answer. It is good until the next call.
func (rw *rewriter) response(w *walker, id uint16) ([]byte, bool) {
	rw.folded = false
	rw.rebuilt = w.rebuilds()
	if !rw.rebuilt {
		rw.copy(w)
	} else if !rw.rebuild(w) {
		return nil, false
	}
	binary.BigEndian.PutUint16(rw.out, id)
	binary.BigEndian.PutUint16(rw.out[2:], w.flags&^cleared)
	return rw.out, rw.isWhole(w) && (!rw.rebuilt || rw.verify())
}

// rebuilds reports whether the scrubbed message differs from the walked one in more
// than its end and single octets.
func (w *walker) rebuilds() bool {
	return w.pointsOutsideNames || w.removes() || w.opt >= 0 && int(w.rrs[w.opt].end) != w.end
}

// copy takes the message as it lies, without the OPT at its end.
func (rw *rewriter) copy(w *walker) {
	end := w.end
	if w.opt >= 0 {
		end = int(w.rrs[w.opt].owner)
	}
	rw.out = append(rw.out[:0], w.msg[:end]...)
	if w.opt >= 0 {
		binary.BigEndian.PutUint16(rw.out[10:], uint16(w.counts[additional]-1))
	}
	for _, r := range w.runs {
		if !r.keepCase && lower(rw.out[r.start:r.end]) {
			rw.folded = true
		}
	}
}

// isWhole reads the written message again, from record to record: it must hold as
// many as the one that it was made from but for those removed, no OPT, and nothing after
// them. Names are
// only measured, which is enough where everything lies as it lay.
func (rw *rewriter) isWhole(w *walker) bool {
	b, off := rw.out, headerLen
	for range w.questions {
		if off = nameEnd(b, off); off < 0 {
			return false
		}
		off += 4
	}
	for section := range w.counts {
		n := w.leaving(section)
		if int(binary.BigEndian.Uint16(b[6+2*section:])) != n {
			return false
		}
		for range n {
			off = nameEnd(b, off)
			if off < 0 || off+10 > len(b) || binary.BigEndian.Uint16(b[off:]) == typeOPT {
				return false
			}
			off += 10 + int(binary.BigEndian.Uint16(b[off+8:]))
		}
	}
	return off == len(b)
}

// verify walks a message that was rebuilt as one that has just come in.
func (rw *rewriter) verify() bool {
	c := &rw.check
	return c.walk(rw.out) && c.end == len(rw.out) && c.opt < 0 && !c.pointsOutsideNames
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
