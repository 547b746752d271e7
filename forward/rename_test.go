package forward

import (
	"cmp"
	"testing"

	diff "github.com/google/go-cmp/cmp"

	"github.com/dnstap-pdns/dnstap-pdns/transform"
)

func TestRename(t *testing.T) {
	for _, c := range []struct {
		name  string
		names map[string]string
		want  map[string]uint64 // messages read, of 1 by a, 2 by b and 4 by c
	}{
		{"one", map[string]string{"a": "x"}, map[string]uint64{"x": 1, "b": 2, "c": 4}},
		{"nothing", map[string]string{"a": "a", "none": "x"}, map[string]uint64{"a": 1, "b": 2, "c": 4}},
		{"two that swap", map[string]string{"a": "b", "b": "a"}, map[string]uint64{"b": 1, "a": 2, "c": 4}},
		{"in a ring", map[string]string{"a": "b", "b": "c", "c": "a"}, map[string]uint64{"b": 1, "c": 2, "a": 4}},
		{"onto another", map[string]string{"a": "b"}, map[string]uint64{"b": 3, "c": 4}},
		{"two onto one", map[string]string{"a": "b", "c": "b"}, map[string]uint64{"b": 7}},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := newRig(t, Live, testSink("sink"))
			defer r.run()()
			take := func(l *Lane, n int) {
				for range n {
					l.Take(&transform.Message{})
				}
			}
			gone := r.Lane("a")
			take(gone, 1)
			gone.Close()
			gone = r.Lane("b")
			take(gone, 1)
			gone.Close()
			for name, n := range map[string]int{"b": 1, "c": 3} {
				l := r.Lane(name)
				defer l.Close()
				take(l, n)
			}
			r.Rename(c.names, nil)
			last := r.Lane(cmp.Or(c.names["c"], "c"))
			defer last.Close()
			take(last, 1)
			got := map[string]uint64{}
			l := r.Ledger()
			for _, s := range l.Sources {
				got[s.Name] = s.Counts.Read
			}
			if d := diff.Diff(c.want, got); d != "" || len(got) != len(l.Sources) || l.Total.Read != 7 {
				t.Errorf("%+v (-want +got):\n%s", l, d)
			}
		})
	}
}
