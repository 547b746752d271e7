package explain

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"fmt"
	"strings"

	"github.com/miekg/dns"

	"github.com/dnstap-pdns/dnstap-pdns/transform"
)

// maxChanges is how many changes by one rule are shown for one message.
const maxChanges = 4

// changesOf returns the changes that edits of one rule made.
func changesOf(v *transform.Verdict, edits []transform.Edit) []Change {
	var all []Change
	for _, e := range edits[:min(len(edits), maxChanges)] {
		switch {
		case v.Message == nil || e.From == e.To:
			all = append(all, outsideMessage(v, e.Rule)...)
		default:
			c := inMessage(v.Message.Wire, e)
			c.setOctets(v.Message.Wire, e.From, e.To, e.Replacement)
			all = append(all, c)
		}
	}
	if more := len(edits) - maxChanges; more > 0 {
		all = append(all, Change{What: fmt.Sprintf("and %d places more", more)})
	}
	return all
}

// inMessage returns the change that an edit made in the message.
func inMessage(wire []byte, e transform.Edit) Change {
	before := wire[e.From:e.To]
	switch e.Rule {
	case transform.IDZeroed:
		return Change{What: "DNS ID", Before: number(before), After: number(e.Replacement)}
	case transform.HeaderBitsCleared:
		return Change{What: "header bits", Before: headerBits(before), After: headerBits(e.Replacement)}
	case transform.OPTRemoved:
		if len(e.Replacement) > 0 {
			return Change{What: "count of additional records", Before: number(before), After: number(e.Replacement)}
		}
		return Change{What: "OPT", Before: optAt(wire, e.From, e.To), After: gone}
	case transform.CaseLowered:
		return Change{What: "name", Before: labelsOf(before), After: labelsOf(e.Replacement)}
	case transform.TrailingCut:
		return Change{What: "after the last record", Before: octets(before), After: gone}
	case transform.RRsetRemoved:
		return Change{What: "record", Before: recordAt(wire, e.From, e.To), After: gone}
	case transform.Rebuilt:
		return Change{What: "whole response", Before: count(before), After: count(e.Replacement)}
	}
	return Change{What: "octets", Before: octets(before), After: octets(e.Replacement)}
}

const (
	gone      = "gone"
	asInQuery = "as in the query" // the query's own value is not kept
)

// recordAt returns owner and type of the resource record at these octets of a message.
func recordAt(wire []byte, from, to int) string {
	rr, _, err := dns.UnpackRR(wire, from)
	if err != nil {
		return octets(wire[from:to])
	}
	return rr.Header().Name + " " + typeName(rr.Header().Rrtype)
}

func count(b []byte) string { return fmt.Sprintf("%d octets", len(b)) }

func number(b []byte) string {
	if len(b) != 2 {
		return octets(b)
	}
	return fmt.Sprint(binary.BigEndian.Uint16(b))
}

// headerBits names those bits of a header's second word that depend on the resolver and are set.
func headerBits(b []byte) string {
	if len(b) != 2 {
		return octets(b)
	}
	var set []string
	for _, bit := range []struct {
		mask uint16
		name string
	}{{1 << 8, "RD"}, {1 << 6, "Z"}, {1 << 5, "AD"}, {1 << 4, "CD"}} {
		if binary.BigEndian.Uint16(b)&bit.mask != 0 {
			set = append(set, bit.name)
		}
	}
	if set == nil {
		return "none of RD, AD, CD, Z"
	}
	return strings.Join(set, " ")
}

// outsideMessage returns the changes that a rule made outside the message, such as in the query,
// the zone or the times, as far as they are known.
func outsideMessage(v *transform.Verdict, rule transform.Rule) []Change {
	r, m := v.Record, v.Message
	switch rule {
	case transform.ResolverZeroed:
		before := asInQuery
		if m != nil && m.Resolver.IsValid() {
			before = endpoint(m.Resolver)
		}
		return []Change{{What: "resolver", Before: before, After: endpoint(r.Resolver)}}
	case transform.TimeTruncated:
		return times(v)
	case transform.QueryReduced:
		return []Change{{What: "query message", Before: "header, question and more",
			After: fmt.Sprintf("header and question, %d octets", len(r.Query))}}
	case transform.HeaderBitsCleared:
		return []Change{{What: "header bits", Before: "of the query: some of RD, AD, CD, Z", After: "none of RD, AD, CD, Z"}}
	case transform.IDZeroed:
		return []Change{{What: "DNS ID", Before: asInQuery, After: fmt.Sprint(r.ID)}}
	case transform.ZoneOmitted:
		after := "absent"
		if len(r.Zone) > 0 { // the other message of the pair stated a valid one
			after = presented(r.Zone)
		}
		return []Change{{What: "zone", Before: "not a name", After: after}}
	case transform.CaseLowered:
		if m == nil || bytes.Equal(m.Zone, r.Zone) {
			return []Change{{What: "name in the query", Before: asInQuery, After: presented(r.Name)}}
		}
		return []Change{{What: "zone", Before: cmp.Or(presented(m.Zone), asInQuery), After: presented(r.Zone)}}
	}
	return nil
}

// times returns the changes of the times that were truncated.
func times(v *transform.Verdict) []Change {
	r, m := v.Record, v.Message
	if m == nil {
		return []Change{{What: "query time", Before: timeOf(v.Time), After: timeOf(r.QueryTime)}}
	}
	var all []Change
	if m.QueryTime != r.QueryTime {
		all = append(all, Change{What: "query time", Before: cmp.Or(timeOf(m.QueryTime), asInQuery), After: timeOf(r.QueryTime)})
	}
	if m.ResponseTime != r.ResponseTime {
		all = append(all, Change{What: "response time", Before: timeOf(m.ResponseTime), After: timeOf(r.ResponseTime)})
	}
	return all
}
