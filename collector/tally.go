package collector

import (
	"bytes"
	"log/slog"

	dnstap "github.com/dnstap/golang-dnstap"

	"github.com/dnstap-pdns/dnstap-pdns/transform"
)

// TypeCounts counts messages by dnstap.Message_Type; what that does not know is
// counted at 0.
type TypeCounts [dnstap.Message_UPDATE_RESPONSE + 1]uint64

// attr is the counts that are not 0, by the types' names.
func (c *TypeCounts) attr() slog.Attr {
	var counts []any
	for t, n := range c {
		if n > 0 {
			counts = append(counts, slog.Uint64(typeName(t), n))
		}
	}
	return slog.Group("messages", counts...)
}

func typeName(t int) string {
	if name, known := dnstap.Message_Type_name[int32(t)]; known {
		return name
	}
	return "unknown"
}

// maxLabel bounds identity and version: an NSID or a version.bind is a character
// string (RFC 1035, section 3.3) where it comes over DNS.
const maxLabel = 255

// A tally is what a stream said of itself so far. It belongs to the goroutine
// that reads.
type tally struct {
	frames            uint64 // data frames
	types             TypeCounts
	identity, version []byte
	renamed           bool // identity or version changed since this was last false

	inward    uint64 // messages that are not outward, which the lane dropped as such
	outward   uint64 // all others
	forwarded uint64 // of those: to or from another resolver, and dropped for that
	direct    uint64 // of those: other responses, from servers
}

func (t *tally) note(f *fields) {
	kind := f.messageType
	if kind < 0 || int(kind) >= len(t.types) {
		kind = 0
	}
	t.types[kind]++
	t.name(&t.identity, f.identity)
	t.name(&t.version, f.version)
}

// judged counts a message by what the lane said of it. A query that is kept may
// yet turn out to be forwarded.
func (t *tally) judged(role transform.Role, reason transform.Reason) {
	switch {
	case reason == transform.Inward:
		t.inward++
		return
	case reason == transform.Forwarded:
		t.forwarded++
	case role == transform.ResolverResponse:
		t.direct++
	}
	t.outward++
}

// name keeps what a frame says; a frame that says nothing changes nothing.
func (t *tally) name(kept *[]byte, said []byte) {
	said = said[:min(len(said), maxLabel)]
	if said != nil && !bytes.Equal(*kept, said) {
		*kept = append((*kept)[:0], said...)
		t.renamed = true
	}
}
