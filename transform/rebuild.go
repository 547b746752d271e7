package transform

import (
	"encoding/binary"

	"github.com/miekg/dns"

	"github.com/dnstap-pdns/dnstap-pdns/transform/dnswire"
)

// rebuild writes a message anew, record by record without the OPT: where one
// stands before other records, or pointers lead into other data, offsets cannot
// stay as they are. It reports false where the result would be too long.
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
		binary.BigEndian.PutUint16(rw.out[6+2*section:], uint16(w.Remaining(section)))
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
			return false // before it grows to many times that
		}
	}
	length := len(rw.out) - start
	binary.BigEndian.PutUint16(rw.out[start-2:], uint16(length))
	return true
}

// compresses tells the types whose names may be compressed (RFC 3597 section 4:
// those of RFC 1035).
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
	maxHashed = 24 // octets of a name: each of its ends is looked for
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

// append writes a name; if it may be compressed, ending in a pointer where its end
// is there already.
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

// find returns the slot of a name that has been written, or one for it: noSlot
// where there is none nearby, so that no choice of names makes the table slow.
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
		if at < len(out) && sameName(out, at, name) {
			return slot, true
		}
	}
	return noSlot, false
}

// sameName compares the name at off of a written message with an uncompressed one.
func sameName(msg []byte, off int, name []byte) bool {
	for {
		n := int(msg[off])
		if n >= 0xc0 {
			off = (n&0x3f)<<8 | int(msg[off+1])
			continue
		}
		if n != int(name[0]) || string(msg[off:off+1+n]) != string(name[:1+n]) {
			return false
		}
		if n == 0 {
			return true
		}
		off += 1 + n
		name = name[1+n:]
	}
}
