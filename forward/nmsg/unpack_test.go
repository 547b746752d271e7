package nmsg

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestSequenceGaps(t *testing.T) {
	const top = 1<<32 - 1
	for _, tc := range []struct {
		name string
		seqs []uint32
		want []Gap
	}{
		{"in order", []uint32{0, 1, 2}, nil},
		{"begins anywhere", []uint32{500, 501}, nil},
		{"one lost", []uint32{0, 2}, []Gap{{1, 1, 2}}},
		{"two gaps", []uint32{0, 2, 3, 9}, []Gap{{1, 1, 2}, {1, 4, 9}}},
		{"wraps", []uint32{top - 1, top, 0, 1}, nil},
		{"lost over the wrap", []uint32{top - 1, 1}, []Gap{{1, top, 1}}},
		{"late", []uint32{0, 2, 1, 3}, []Gap{{1, 1, 2}}},
		{"twice", []uint32{0, 1, 1, 2}, nil},
		{"late over the wrap", []uint32{top, 1, 0, 2}, []Gap{{1, 0, 1}}},
		{"starts over with the same id", []uint32{5000, 0, 1, 3}, []Gap{{1, 2, 3}}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var got []Gap
			s := sequences{report: func(g Gap) { got = append(got, g) }}
			for _, seq := range tc.seqs {
				s.saw(1, seq)
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestSequencesAreBounded(t *testing.T) {
	s := sequences{report: func(g Gap) { t.Errorf("gap %+v", g) }}
	for id := range uint64(3 * maxSequences) {
		s.saw(id, 5)
	}
	if len(s.next) != maxSequences || len(s.order) != maxSequences {
		t.Errorf("%d and %d ids are followed, want %d", len(s.next), len(s.order), maxSequences)
	}
	s.saw(0, 900) // forgotten: starts anew
}
