package forward

import (
	"time"

	"github.com/dnstap-pdns/dnstap-pdns/transform"
)

// A sighting is the latest burst with a message that may be outward.
type sighting struct {
	at    time.Time      // when it came; Live, zero: there was none
	clock transform.Time // what time its messages told
}

// later returns the later of two.
func (s sighting) later(o sighting) sighting {
	if o.at.After(s.at) {
		return o
	}
	return s
}
