package census

import (
	"crypto/sha256"
	"encoding/binary"
)

// maxKept bounds how many different texts a distinct keeps.
const maxKept = 1 << 16

// A distinct counts different texts of any number in bounded memory. It keeps each text until
// there are maxKept; then it drops half of them, by a bit of their hash, and from then on every
// text with that bit, and so on (distinct sampling, Gibbons 2001). Which texts are kept does not
// depend on how often or in which order they come, so that every count of those kept, times
// oneIn, estimates the count of all, with a standard error of 0.6 % of all texts at most.
type distinct struct {
	dropped uint // bits of the hash that must be 0
	kept    map[uint64]*entry
}

// An entry is a text that is kept.
type entry struct {
	kinds kinds

	// Of a name that was asked for:
	name   string
	first  int64 // in nanoseconds
	asked  uint64
	repeat bool // it was asked for again after a while
}

// oneIn is how many texts each kept text represents.
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

// entry returns the entry of a text, or nil if it is not kept. judge is called unless the kinds
// of the text are known, and has their set.
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
