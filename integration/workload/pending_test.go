package workload

import (
	"testing"
	"time"

	dnstap "github.com/dnstap/golang-dnstap"
)

// TestPendingQueriesAreNotAnswered counts the frames of a load with another number of pending queries.
func TestPendingQueriesAreNotAnswered(t *testing.T) {
	pairs, err := Pairs("../testdata/unbound.fstrm")
	if err != nil {
		t.Fatal(err)
	}
	const pending, frames = 50_000, 10_000
	load, err := NewPending(pairs, pending, frames)
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	err = load.Frames(func(d *dnstap.Dnstap) error {
		sec, nsec := d.Message.GetQueryTimeSec(), d.Message.GetQueryTimeNsec()
		at := time.Unix(int64(sec), int64(nsec)).Sub(loadStart)
		switch {
		case n < pending && (isResponse(d) || at < busyTimeout-pendingWithin || at >= busyTimeout):
			t.Fatalf("frame %d is of %v after the start, response: %v; want a query of the time before the load", n, at, isResponse(d))
		case n >= pending && at < busyTimeout:
			t.Fatalf("frame %d is of %v after the start, want the load", n, at)
		}
		n++
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if n < pending+frames || n > pending+frames+1 {
		t.Errorf("%d frames, want %d", n, pending+frames)
	}
}
