package transform

import (
	"bytes"
	"encoding/binary"
	"errors"
	"math"
	"net/netip"

	"github.com/dnstap-pdns/dnstap-pdns/transform/dnswire"
)

// A Checker checks records that another process made, before anything relies on them: they must
// have the form of the records that a [Pairer] makes. It applies no policy: what is local to this
// process is not searched for. Its zero value is ready, and it is used by one goroutine at a time.
type Checker struct{ walker dnswire.Walker }

// Errors of Check. They do not show what the record contains.
var (
	errServer   = errors.New("the server's address or port is invalid")
	errResolver = errors.New("the resolver's address is invalid, or is stated although it was zeroed")
	errTimes    = errors.New("a time is missing or before 1970")
	errZone     = errors.New("the zone is not a name in lower case")
	errMessages = errors.New("it has neither query nor response, or one that is not stated")
	errResponse = errors.New("the response is not a DNS message of one question and whole records")
	errScrubbed = errors.New("the response is not in the form that scrubbing makes: no OPT record, no signature of the message, RD, AD, CD and Z zero, names in lower case, nothing after the last record")
	errLookup   = errors.New("the response is not that of a plain lookup")
	errQuery    = errors.New("the query is not a header and the question of the record")
)

// Check sets Name, Type, Class, Rcode and ID of a record from its messages, and reports what is
// not as in the records that a Pairer makes. The caller has set the other fields. Name points into
// a message.
func (c *Checker) Check(r *Record) error {
	if err := r.checkSurroundings(); err != nil {
		return err
	}
	var err error
	switch {
	case r.HasQuery != (r.Query != nil) || r.HasResponse != (r.Response != nil) || !r.HasQuery && !r.HasResponse:
		return errMessages
	case r.HasResponse:
		err = c.response(r)
	default:
		err = c.unanswered(r)
	}
	c.walker.Msg = nil // the caller lent it
	if err != nil {
		return err
	}
	if r.Zeroed && r.ID != 0 {
		return errResolver
	}
	return nil
}

// checkSurroundings checks everything but the messages.
func (r *Record) checkSurroundings() error {
	server, resolver := r.Server.Addr(), r.Resolver.Addr()
	switch {
	case !server.IsValid() || server.Is4In6() || server.Zone() != "" || r.Server.Port() == 0:
		return errServer
	case !resolver.IsValid() || resolver.Is4() != server.Is4() || resolver.Is4In6() || resolver.Zone() != "",
		r.Zeroed && r.Resolver != netip.AddrPortFrom(ZeroAddr(server), 0):
		return errResolver
	case r.Time() == NoTime, r.QueryTime != NoTime && r.QueryTime < 0, r.ResponseTime != NoTime && r.ResponseTime < 0,
		r.HasResponse && r.ResponseTime == NoTime:
		return errTimes
	case len(r.Zone) > 0 && !(dnswire.IsName(r.Zone) && dnswire.IsLower(r.Zone)):
		return errZone
	}
	return nil
}

// response sets what a response states, and checks it with its query, if that was seen.
func (c *Checker) response(r *Record) error {
	w := &c.walker
	if !w.Walk(r.Response) || w.Questions != 1 || w.Flags&dnswire.FlagQR == 0 {
		return errResponse
	}
	if !isScrubbed(w) {
		return errScrubbed
	}
	if w.Flags&dnswire.FlagTC != 0 || !isLookup(w.Flags, 1, w.Qtype, w.Qclass, w.Signed) {
		return errLookup
	}
	r.question(w)
	r.Rcode = uint8(w.Flags & dnswire.MaskRcode)
	if !r.HasQuery {
		return nil
	}
	if len(r.Query) < dnswire.HeaderLen || !isQuery(binary.BigEndian.Uint16(r.Query[2:])) ||
		binary.BigEndian.Uint16(r.Query) != r.ID ||
		binary.BigEndian.Uint64(r.Query[4:]) != 1<<48 || // of questions; no records
		!bytes.Equal(r.Query[dnswire.HeaderLen:], r.Response[dnswire.HeaderLen:w.QnameEnd+4]) {
		return errQuery
	}
	return nil
}

// unanswered sets what a query without a response states, and checks it.
func (c *Checker) unanswered(r *Record) error {
	w := &c.walker
	if !w.Walk(r.Query) || len(w.Records) > 0 || !isScrubbed(w) || !isQuery(w.Flags) ||
		!isLookup(w.Flags, w.Questions, w.Qtype, w.Qclass, false) {
		return errQuery
	}
	r.question(w)
	return nil
}

// question sets the fields of a record that every message states.
func (r *Record) question(w *dnswire.Walker) {
	r.Name, r.Type, r.Class, r.ID = w.Qname(), w.Qtype, w.Qclass, w.ID
}

// isQuery reports whether the flags are those of a scrubbed query.
func isQuery(flags uint16) bool {
	return flags&(dnswire.FlagQR|dnswire.MaskOpcode|cleared) == 0
}

// isScrubbed reports whether a walked message has the form in which a rewriter leaves it.
func isScrubbed(w *dnswire.Walker) bool {
	if w.End != len(w.Msg) || w.OPT >= 0 || w.PointsOutsideNames || w.Flags&cleared != 0 {
		return false
	}
	for _, r := range w.Runs {
		if !r.KeepCase && !dnswire.IsLower(w.Msg[r.Start:r.End]) {
			return false
		}
	}
	return true
}

// ZeroAddr returns the zero address of the same family.
func ZeroAddr(a netip.Addr) netip.Addr {
	if a.Is4() {
		return netip.IPv4Unspecified()
	}
	return netip.IPv6Unspecified()
}

// TimeOf returns a time that is stated in seconds and nanoseconds since the Unix epoch; ok is false
// if it is before 1970, after 2262, or has more nanoseconds than a second.
func TimeOf(sec int64, nsec uint32) (t Time, ok bool) {
	const second = 1_000_000_000
	if sec < 0 || sec > math.MaxInt64/second-1 || nsec >= second {
		return 0, false
	}
	return Time(sec)*second + Time(nsec), true
}
