package conf

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/miekg/dns"

	"github.com/dnstap-pdns/dnstap-pdns/forward"
	"github.com/dnstap-pdns/dnstap-pdns/transform"
)

// narrowing reads the block policy of a sink: the records that it gets, and the resolution of
// their times, which is 0 if it is that of scrub. RRsets instead of records have no rcode.
func (s *section) narrowing(scrub time.Duration, rrsets bool) (f forward.Filter, resolution time.Duration) {
	in := s.innerBlock("policy")
	switch {
	case in == nil:
		return f, 0
	case rrsets:
		in.doesNotApply("RRsets have no rcode; in the policy of the aggregate block it selects records", "rcodes")
		f = in.ownersFilter()
	default:
		f = in.recordsFilter()
	}
	resolution = in.readDuration("time_resolution")
	if resolution != 0 && resolution < scrub {
		set := in.settings["time_resolution"]
		in.refuse(set, set.at, fmt.Sprintf("finer than scrub.time_resolution, which is %s", formatDuration(int64(scrub))))
	}
	if resolution <= scrub {
		resolution = 0 // so that the sink shares the encoding of others
	}
	return f, resolution
}

// recordsFilter reads the block policy for records.
func (s *section) recordsFilter() forward.Filter {
	f := s.ownersFilter()
	for _, rcode := range readList(s, "rcodes", parseRcode) {
		f.RCodes = append(f.RCodes, uint16(rcode))
	}
	return f
}

// ownersFilter reads what records and RRsets have.
func (s *section) ownersFilter() forward.Filter {
	return forward.Filter{
		Names:       readList(s, "names", parseSuffix),
		ExceptNames: readList(s, "except_names", parseSuffix),
		Types:       readList(s, "types", parseType),
	}
}

// parseSuffix reads a domain name, and returns it in A-labels.
func parseSuffix(v string) (string, error) {
	name, err := transform.ParseLocalName(v)
	if err != nil {
		return "", errors.New("not a domain name below the root")
	}
	return name, nil
}

// parseType reads a record type: its mnemonic, or TYPE and a number (RFC 3597).
func parseType(v string) (uint16, error) {
	v = strings.ToUpper(v)
	if t, ok := dns.StringToType[v]; ok {
		return t, nil
	}
	digits, ok := strings.CutPrefix(v, "TYPE")
	n, err := strconv.ParseUint(digits, 10, 16)
	if !ok || err != nil {
		return 0, errors.New("no such record type")
	}
	return uint16(n), nil
}
