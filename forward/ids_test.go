package forward

import (
	"bytes"
	"errors"
	"io"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/dnstap-pdns/dnstap-pdns/forward/nmsg"
	"github.com/dnstap-pdns/dnstap-pdns/transform"
)

// idsOf returns the IDs that a transport got, in order.
func idsOf(t *testing.T, f *fake) (all []nmsg.IDs) {
	t.Helper()
	f.mu.Lock()
	defer f.mu.Unlock()
	r := nmsg.NewReader(bytes.NewReader(f.got))
	for {
		m, err := r.Next()
		if errors.Is(err, io.EOF) {
			return all
		}
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, nmsg.IDs{Source: m.Source, Operator: m.Operator, Group: m.Group})
	}
}

// from returns a function that returns the IDs of a table.
func from(table map[string]uint32) func(source string) nmsg.IDs {
	return func(source string) nmsg.IDs { return nmsg.IDs{Source: table[source], Operator: 9} }
}

// TestPayloadsHaveTheIDsOfTheirSource: also after a reload, which keeps the transport, a new name,
// and the end of a capture.
func TestPayloadsHaveTheIDsOfTheirSource(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, Live, testSink("a"))
		r.ids = from(map[string]uint32{"x": 1, "y": 2})
		r.mustApply(t, testSink("a"))
		stop := r.run()
		x, y, other := r.Lane("x"), r.Lane("y"), r.Lane("other")
		next := 0
		record := func() {
			for _, l := range []*Lane{x, y, other} {
				burst(l, 0, next, 1, 0)
				next++
				time.Sleep(time.Second)
			}
		}
		record()
		r.Rename(map[string]string{"x": "y", "y": "x"}, r.ids)
		record()
		r.HandOver("capture", transform.Span{})
		record()
		r.ids = from(map[string]uint32{"x": 3, "y": 4, "other": 5})
		r.mustApply(t, testSink("a"))
		record()
		for _, l := range []*Lane{x, y, other} {
			l.Close()
		}
		if err := stop(); err != nil {
			t.Error(err)
		}
		if len(r.fakes["a"]) != 1 {
			t.Errorf("%d transports", len(r.fakes["a"]))
		}
		var got []uint32
		for _, ids := range idsOf(t, r.fake("a")) {
			got = append(got, ids.Source)
			if ids.Operator != 9 {
				t.Errorf("operator %d", ids.Operator)
			}
		}
		if d := cmp.Diff([]uint32{1, 2, 0, 2, 1, 0, 2, 1, 0, 4, 3, 5}, got); d != "" {
			t.Errorf("(-want +got):\n%s", d)
		}
	})
}
