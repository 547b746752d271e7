package kafka

import (
	"testing"

	"pgregory.net/rapid"
)

func TestACopyIsAtAHigherOffset(t *testing.T) {
	var w writers
	for i, step := range []struct {
		id     uint64
		number uint32
		offset int64
		repeat bool
	}{
		{1, 5, 10, false}, {1, 5, 11, true}, {2, 5, 12, false}, {1, 6, 13, false},
		{1, 5, 10, false}, // read again
		{1, 5, 11, true},
		{1, 6, 9, false}, // the original is found later: the member reads again from an earlier offset
		{1, 6, 13, true},
		{1, 5, 1000, true},
	} {
		if got := w.isRepeat(step.id, step.number, step.offset); got != step.repeat {
			t.Errorf("step %d: %+v is %v", i, step, got)
		}
	}
}

func TestTheMemoryOfWritersIsBounded(t *testing.T) {
	var w writers
	for id := range uint64(3 * maxWriters) {
		w.isRepeat(id, 1, int64(id))
		w.isRepeat(7, uint32(id), int64(id)) // is always used
	}
	if len(w.byID) != maxWriters || w.order.Len() != maxWriters || len(w.byID[7].Value.(*writer).recent) != maxRecent {
		t.Errorf("%d writers", len(w.byID))
	}
	if !w.isRepeat(3*maxWriters-1, 1, 1<<20) || w.isRepeat(8, 1, 1<<20) {
		t.Error("another writer than that of the longest time ago was forgotten")
	}
	latest := uint32(3*maxWriters - 1)
	if !w.isRepeat(7, latest-maxRecent+1, 1<<20) || w.isRepeat(7, latest-maxRecent, 1<<20) {
		t.Error("other containers than the latest are remembered")
	}
}

// TestRepeatsAreThoseOfAModel compares with a model that remembers everything, on writers and numbers that
// fit the memory, with members that read again.
func TestRepeatsAreThoseOfAModel(t *testing.T) {
	type key struct {
		id     uint64
		number uint32
	}
	rapid.Check(t, func(t *rapid.T) {
		log := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) key {
			return key{rapid.Uint64Range(1, 3).Draw(t, "id"), rapid.Uint32Range(0, 9).Draw(t, "number")}
		}), 1, 60).Draw(t, "log")
		first := map[key]int{}
		for offset, k := range log {
			if _, ok := first[k]; !ok {
				first[k] = offset
			}
		}
		var w writers
		for range 3 { // the member reads again
			from := rapid.IntRange(0, len(log)-1).Draw(t, "from")
			for offset := 0; offset < len(log); offset++ {
				if k := log[offset]; w.isRepeat(k.id, k.number, int64(offset)) != (first[k] < offset) {
					t.Fatalf("offset %d is taken for another", offset)
				}
				if offset == from {
					break
				}
			}
		}
	})
}

func BenchmarkIsRepeat(b *testing.B) {
	var w writers
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		w.isRepeat(uint64(i%100), uint32(i), int64(i))
	}
}
