package rrset

import (
	"encoding/binary"
	"math"
	"slices"

	"github.com/miekg/dns"

	"github.com/dnstap-pdns/dnstap-pdns/transform/dnswire"
)

// IsWellFormed reports whether an aggregate that another process made has the form of those that
// a [Table] emits for verified RRsets: valid names in lower case, an owner in its bailiwick, rdata
// that fits the type, class IN, no data of a single message (OPT, TSIG, TKEY, SIG(0)), and
// sightings that were counted. It does not require that rdata is sorted.
func (a *Aggregate) IsWellFormed() bool {
	if !isLowerName(a.Name) || !isLowerName(a.Bailiwick) || !dnswire.IsBelow(a.Name, a.Bailiwick) ||
		a.Class != dns.ClassINET || len(a.Rdata) == 0 || a.TimeFirst > a.TimeLast || a.Count == 0 && a.Event == Expiration {
		return false
	}
	switch a.Type {
	case dns.TypeOPT, dns.TypeTSIG, dns.TypeTKEY:
		return false
	}
	return !slices.ContainsFunc(a.Rdata, func(r []byte) bool {
		return len(r) > math.MaxUint16 || !dnswire.IsRdata(a.Type, r) ||
			a.Type == dns.TypeSIG && binary.BigEndian.Uint16(r) == 0 // SIG(0), RFC 2931
	})
}

func isLowerName(name []byte) bool { return dnswire.IsName(name) && dnswire.IsLower(name) }
