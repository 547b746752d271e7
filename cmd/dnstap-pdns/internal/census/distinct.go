package census

import (
	"crypto/sha256"
	"encoding/binary"
)

// maxKept bounds how many different texts a distinct keeps.
const maxKept = 1 << 16

// A distinct estimates the number of different texts in bounded memory (distinct sampling,
// Gibbons 2001). It keeps every text until there are maxKept. Then it drops the texts with a
// certain bit in their hash, about half of them, and from then on every such text; when it is
// full again, it does so with the next bit. Whether a text is kept depends neither on how often
// nor on when it occurs, so each count of kept texts, times oneIn, estimates the count of all
// texts, with a standard error of at most 0.6 % of all texts.
type distinct struct {
	dropped uint // number of bits of the hash that must be 0
	kept    map[uint64]*entry
}

// An entry is a text that is kept.
type entry struct {
	kinds kinds

	// Of a name that was queried:
	name    string
	first   int64 // time of its first query, in nanoseconds
	queries uint64
	repeat  bool // a query came more than repeatAfter later than the first
}

// oneIn returns how many texts each kept text represents.
func (d *distinct) oneIn() uint64 { return 1 << d.dropped }

// count estimates how many different texts have a property.
func (d *distinct) count(has func(*entry) bool) uint64 {
	n := uint64(0)
	for _, e := range d.kept {
		if has(e) {
			n++
		}
	}
	return n * d.oneIn()
}

// entry returns the entry of a text, or nil if it is not kept, and the kinds of the text. It calls
// judge to find the kinds unless it knows them.
func (d *distinct) entry(text string, judge func() kinds) (*entry, kinds) {
	sum := sha256.Sum256([]byte(text))
	h := binary.BigEndian.Uint64(sum[:])
	if e := d.kept[h]; e != nil {
		return e, e.kinds
	}
	k := judge()
	if !d.keeps(h) {
		return nil, k
	}
	if len(d.kept) >= maxKept {
		d.halve()
		if !d.keeps(h) {
			return nil, k
		}
	}
	if d.kept == nil {
		d.kept = map[uint64]*entry{}
	}
	e := &entry{kinds: k}
	d.kept[h] = e
	return e, k
}

func (d *distinct) keeps(hash uint64) bool { return hash&(d.oneIn()-1) == 0 }

func (d *distinct) halve() {
	d.dropped++
	for h := range d.kept {
		if !d.keeps(h) {
			delete(d.kept, h)
		}
	}
}
