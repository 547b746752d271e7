package workload

import (
	"time"

	dnstap "github.com/dnstap/golang-dnstap"
	"google.golang.org/protobuf/proto"
)

const (
	// inFlight is how many queries of a simple load are sent before their responses.
	inFlight = 16
	// simpleInterval is the time between two queries in the messages of a simple load.
	simpleInterval = 50 * time.Microsecond
)

// Simple passes frames made from pairs to emit: the same names, answers and sizes, each time with
// another DNS ID, other letters in the first label of the name, and later times. Each pair of
// frames becomes a record.
func Simple(pairs []Pair, frames int, emit func(*dnstap.Dnstap) error) error {
	for from := 0; from < frames/2; from += inFlight {
		to := min(from+inFlight, frames/2)
		for i := from; i < to; i++ {
			if err := emit(simple(pairs[i%len(pairs)].Query, i)); err != nil {
				return err
			}
		}
		for i := from; i < to; i++ {
			if err := emit(simple(pairs[i%len(pairs)].Response, i)); err != nil {
				return err
			}
		}
	}
	return nil
}

// Queries passes queries without responses to emit, all different: those of a simple load with the
// numbers from first on.
func Queries(pairs []Pair, first, queries int, emit func(*dnstap.Dnstap) error) error {
	for i := range queries {
		if err := emit(simple(pairs[i%len(pairs)].Query, first+i)); err != nil {
			return err
		}
	}
	return nil
}

// simple returns the i-th variant of a frame, at a later time.
func simple(d *dnstap.Dnstap, i int) *dnstap.Dnstap {
	d = proto.Clone(d).(*dnstap.Dnstap)
	m := d.Message
	at := loadStart.Add(time.Duration(i) * simpleInterval)
	m.QueryTimeSec, m.QueryTimeNsec = instant(at)
	if m.ResponseTimeSec != nil {
		m.ResponseTimeSec, m.ResponseTimeNsec = instant(at.Add(10 * simpleInterval))
	}
	setVariant(m.QueryMessage, uint16(i), uint64(i))
	setVariant(m.ResponseMessage, uint16(i), uint64(i))
	return d
}
