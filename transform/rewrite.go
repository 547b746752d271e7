package transform

import "encoding/binary"

// cleared are the header bits that tell about the resolver rather than the
// answer: RD, Z, AD, CD.
const cleared = flagRD | flagZ | flagAD | flagCD

// A rewriter makes the messages of a record in buffers of its own.
type rewriter struct {
	out   []byte
	query []byte
	check walker // of what was written
	names compressor
}

// response returns the scrubbed form of a walked response, and false if that is
// not certain to be the same answer. It is good until the next call.
func (rw *rewriter) response(w *walker, id uint16) ([]byte, bool) {
	ok := true
	if w.pointsOutsideNames || w.opt >= 0 && int(w.rrs[w.opt].end) != w.end {
		ok = rw.rebuild(w)
	} else {
		rw.copy(w)
	}
	if !ok {
		return nil, false
	}
	binary.BigEndian.PutUint16(rw.out, id)
	binary.BigEndian.PutUint16(rw.out[2:], w.flags&^cleared)
	return rw.out, rw.verify(w)
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
		if !r.keepCase {
			lower(rw.out[r.start:r.end])
		}
	}
}

// verify reads the written message again: it must be whole, without OPT, and
// hold as many records as the one that it was made from.
func (rw *rewriter) verify(w *walker) bool {
	c := &rw.check
	if !c.walk(rw.out) || c.end != len(rw.out) || c.opt >= 0 || c.pointsOutsideNames {
		return false
	}
	want := w.counts
	if w.opt >= 0 {
		want[additional]--
	}
	return c.counts == want && c.questions == w.questions && c.qtype == w.qtype && c.qclass == w.qclass
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
