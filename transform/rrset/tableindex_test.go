package rrset

import (
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// TestSlotIndexIsASet adds and removes slots of few hashes, so that most collide, also around the
// end of the index.
func TestSlotIndexIsASet(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		x := slotIndex{slots: make([]slot, 8)}
		var held []slot
		next := ref(0)
		rt.Repeat(map[string]func(*rapid.T){
			"add": func(rt *rapid.T) {
				high := rapid.SampledFrom([]uint32{0, 1, 14, 15}).Draw(rt, "hash") // home 0 or 7 of 8
				s := newSlot(high<<28|uint32(next)<<1|1, next)
				next++
				growing := x.bytesToAdd()
				before := x.bytes()
				x.reserve()
				if after := x.bytes(); after == before && growing != before || after != before && growing != before+after {
					rt.Errorf("announced %d bytes; the index had %d and has %d", growing, before, after)
				}
				x.add(s)
				held = append(held, s)
			},
			"remove": func(rt *rapid.T) {
				if len(held) == 0 {
					return
				}
				i := rapid.IntRange(0, len(held)-1).Draw(rt, "which")
				x.remove(held[i])
				held = slices.Delete(held, i, i+1)
			},
			"": func(rt *rapid.T) {
				for _, s := range held {
					if i := slotOf(&x, s); i < 0 {
						rt.Errorf("%x is not found in %x", s, x.slots)
					}
				}
				used := 0
				for _, s := range x.slots {
					if s != 0 {
						used++
					}
				}
				if used != len(held) || x.used != used || 4*used > 3*len(x.slots) {
					rt.Errorf("%d of %d slots used, %d counted, %d held", used, len(x.slots), x.used, len(held))
				}
			},
		})
	})
}

// slotOf returns where find finds a slot, or -1.
func slotOf(x *slotIndex, s slot) int {
	for i := x.home(s.hash()); x.slots[i] != 0; i = x.after(i) {
		if x.slots[i] == s {
			return i
		}
	}
	return -1
}
