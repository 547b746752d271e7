package rrset

import "math/bits"

// An index finds entries of a list by their hash. It holds the numbers of the entries; the list
// belongs to the user.
type index struct {
	slots []int32 // 1 + the number of an entry; 0: free
}

// reset empties the index, and makes room for n entries. Its memory does not shrink.
func (x *index) reset(n int) {
	size := 1 << bits.Len(uint(2*n))
	if size > cap(x.slots) {
		x.slots = make([]int32, size)
		return
	}
	x.slots = x.slots[:size]
	clear(x.slots)
}

// find returns the slot of the entry with this hash that is the same as the one searched for, or
// the free slot for it.
func (x *index) find(hash uint64, same func(n int) bool) *int32 {
	for i := hash; ; i++ {
		slot := &x.slots[i&uint64(len(x.slots)-1)]
		if *slot == 0 || same(int(*slot-1)) {
			return slot
		}
	}
}
