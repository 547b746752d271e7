package nmsg

import (
	"google.golang.org/protobuf/encoding/protowire"

	"github.com/dnstap-pdns/dnstap-pdns/transform"
)

// split cuts a time into whole seconds, rounded down, and the nanoseconds since;
// one that is not known is the epoch.
func split(t transform.Time) (sec int64, nsec uint32) {
	if t == transform.NoTime {
		return 0, 0
	}
	const second = 1_000_000_000
	sec = int64(t) / second
	rest := int64(t) % second
	if rest < 0 {
		sec, rest = sec-1, rest+second
	}
	return sec, uint32(rest)
}

// knownTime stands in for the time of a query or response that is there but was not
// told: each has to have one.
func knownTime(t transform.Time, r *transform.Record) transform.Time {
	if t != transform.NoTime {
		return t
	}
	return r.Time()
}

// appendTimes appends the time of a query or response: seconds as field num,
// nanoseconds as the one behind it.
func appendTimes(b []byte, num protowire.Number, t transform.Time) []byte {
	sec, nsec := split(t)
	return appendFixed32(appendNumber(b, num, uint64(sec)), num+1, nsec)
}
