package rrset

import (
	"hash/maphash"
	"math/bits"
)

// hashOf returns 32 bits of the hash of a key. It is never 0, because 0 is an empty slot.
func hashOf(seed maphash.Seed, k key) uint32 {
	return uint32(maphash.Bytes(seed, k)>>32) | 1
}

// A slot of the index has the hash of an entry and its place in the arena. 0 is an empty slot.
type slot uint64

const slotSize = 8 // bytes

func newSlot(hash uint32, r ref) slot { return slot(hash)<<32 | slot(r) }

func (s slot) hash() uint32 { return uint32(s >> 32) }
func (s slot) ref() ref     { return ref(s) }

// slotIndex finds entries by their hash: a hash table with open addressing and linear probing. The
// home of an entry is the slot at the highest bits of its hash, so that the index can grow
// without reading the entries.
type slotIndex struct {
	slots []slot // a power of two
	used  int
}

const firstSlots = 1 << 10

func newSlotIndex() slotIndex { return slotIndex{slots: make([]slot, firstSlots)} }

// home returns the slot in which an entry is found first.
func (x *slotIndex) home(hash uint32) int {
	return int(hash >> (32 - bits.TrailingZeros(uint(len(x.slots)))))
}

// after returns the slot in which an entry is searched after slot i.
func (x *slotIndex) after(i int) int { return (i + 1) & (len(x.slots) - 1) }

// isFull reports whether the index must grow before an entry is added: three of four slots are
// used.
func (x *slotIndex) isFull() bool { return 4*(x.used+1) > 3*len(x.slots) }

func (x *slotIndex) bytes() int { return slotSize * len(x.slots) }

// bytesToAdd returns the bytes that the index has while an entry is added.
func (x *slotIndex) bytesToAdd() int {
	if x.isFull() {
		return 3 * x.bytes() // the present slots and twice as many
	}
	return x.bytes()
}

// reserve makes room for one more entry.
func (x *slotIndex) reserve() {
	if !x.isFull() {
		return
	}
	present := x.slots
	x.slots, x.used = make([]slot, 2*len(present)), 0
	for _, s := range present {
		if s != 0 {
			x.add(s)
		}
	}
}

// add adds an entry, for which there is room.
func (x *slotIndex) add(s slot) {
	i := x.home(s.hash())
	for x.slots[i] != 0 {
		i = x.after(i)
	}
	x.slots[i] = s
	x.used++
}

// remove removes an entry. Entries in the slots after it that would not be found any more move
// towards their home.
func (x *slotIndex) remove(s slot) {
	i := x.home(s.hash())
	for x.slots[i] != s {
		i = x.after(i)
	}
	for j := x.after(i); x.slots[j] != 0; j = x.after(j) {
		if x.distance(x.home(x.slots[j].hash()), j) >= x.distance(i, j) {
			x.slots[i] = x.slots[j]
			i = j
		}
	}
	x.slots[i] = 0
	x.used--
}

// move changes the place of an entry.
func (x *slotIndex) move(from, to slot) {
	i := x.home(from.hash())
	for x.slots[i] != from {
		i = x.after(i)
	}
	x.slots[i] = to
}

// distance returns the number of steps of after from slot i to slot j.
func (x *slotIndex) distance(i, j int) int { return (j - i) & (len(x.slots) - 1) }
