package transform

import (
	"fmt"
	"testing"
	"time"
)

// After a lull of more than a minute the lane's clock stays behind until enough messages
// agree. Copies and keys go by the packets' own times.
const lull = 100 * time.Second

func TestCopiesAreKnownAcrossALull(t *testing.T) {
	l := newLane(t, testPolicy(t))
	l.take(aQuery(asPacket))
	l.take(aResponse(asPacket))
	for i := range 2 * agreement {
		when := lull + time.Duration(i)*time.Millisecond
		query := aQuery(asPacket, withID(uint16(i)), during(when, 0))
		response := aResponse(asPacket, withID(uint16(i)), during(when, when))
		for k, want := range []Reason{Kept, Kept, Duplicate, Duplicate} {
			if got := l.take([]*sketch{query, response}[k%2]); got != want {
				t.Errorf("message %d of transaction %d: got %v, want %v", k, i, got, want)
			}
		}
	}
}

func TestKeyLogKeepsWhatFollowsALull(t *testing.T) {
	packets := answeredAt(0, 106*s)
	var want []int
	for i := 1; i <= 2*agreement; i++ {
		packets = append(packets, answeredAt(uint16(i), 106*s+lull+time.Duration(i)*time.Millisecond)...)
		want = append(want, i)
	}
	if got := idsKept(captured(t, testPolicy(t), packets...), 2*agreement); fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("got keys of %v, want of %v", got, want)
	}
}
