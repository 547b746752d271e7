package transform

import (
	"encoding/binary"
	"net/netip"

	"github.com/dnstap-pdns/dnstap-pdns/transform/dnswire"
)

// An RRsetJudge judges RRsets by themselves: those that leave long after the records that contained
// them, when the policy may have changed, and those of other sensors. SetPolicy precedes the first
// Judge. It reuses its memory, which grows with the largest RRset to about 1.2 MiB.
//
// An RRset is judged as the answer to a query for its owner and type. Rules that need more than the
// RRset are not applied: "outward only" and NoTLD, because the server, the header and the response
// code are not known, and those on the client subnet and on the addresses of the resolver that the
// message and its query stated.
type RRsetJudge struct {
	policy *Policy
	known  *KnownAddrs

	message  []byte
	walker   dnswire.Walker // of message
	searcher searcher
}

// SetPolicy sets the policy, and the resolver's addresses that lanes have learned.
func (j *RRsetJudge) SetPolicy(p *Policy, known *KnownAddrs) { j.policy, j.known = p, known }

// SetKnown sets the resolver's addresses that lanes have learned.
func (j *RRsetJudge) SetKnown(known *KnownAddrs) { j.known = known }

// RRsetReasons lists the reasons that Judge returns, in order.
func RRsetReasons() []Reason {
	return []Reason{Malformed, LocalName, ResolverAddress, Lookup, SpecialName}
}

// Judge returns why an RRset must not leave, or Kept. Owner, zone (the bailiwick) and rdata are in
// uncompressed wire form. An RRset that cannot be judged is Malformed.
func (j *RRsetJudge) Judge(owner, zone []byte, typ, class uint16, rdata [][]byte) Reason {
	if len(rdata) == 0 || !dnswire.IsName(owner) || !dnswire.IsName(zone) {
		return Malformed
	}
	for len(rdata) > 0 {
		n := j.write(owner, typ, class, rdata)
		if n == 0 || !j.walker.Walk(j.message) || j.walker.Signed {
			return Malformed
		}
		if reason := j.judge(zone, typ); reason != Kept {
			return reason
		}
		rdata = rdata[n:]
	}
	return Kept
}

// write makes j.message the response with the first records of an RRset, as many as fit, and returns
// their number.
func (j *RRsetJudge) write(owner []byte, typ, class uint16, rdata [][]byte) (n int) {
	b := append(j.message[:0], 0, 0, dnswire.FlagQR>>8, 0, 0, 1, 0, 0, 0, 0, 0, 0)
	b = append(b, owner...)
	dnswire.Lower(b[dnswire.HeaderLen:])
	b = binary.BigEndian.AppendUint16(b, typ)
	b = binary.BigEndian.AppendUint16(b, class)
	for _, r := range rdata {
		if len(b)+2+dnswire.FixedLen+len(r) > dnswire.MaxMessage {
			break
		}
		b = append(b, 0xc0, dnswire.HeaderLen) // the owner is the query name
		b = binary.BigEndian.AppendUint16(b, typ)
		b = binary.BigEndian.AppendUint16(b, class)
		b = append(b, 0, 0, 0, 0)
		b = append(binary.BigEndian.AppendUint16(b, uint16(len(r))), r...)
		n++
	}
	binary.BigEndian.PutUint16(b[6:], uint16(n))
	j.message = b
	return n
}

// judge judges j.message, which was walked.
func (j *RRsetJudge) judge(zone []byte, typ uint16) Reason {
	s := &j.searcher
	s.begin(j.policy, &j.known.set, &s.none, netip.Addr{}, netip.Addr{})
	return s.judge(&subject{name: j.walker.Qname(), zone: zone, response: &j.walker, qtype: typ})
}
