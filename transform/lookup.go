package transform

import (
	"bytes"
	"fmt"
	"net/netip"
	"slices"

	"github.com/miekg/dns"

	"github.com/dnstap-pdns/dnstap-pdns/transform/dnswire"
)

// newUses returns the names whose use the policy judges: the special names, the zones
// of lists, and the zone of telephone numbers (RFC 6116).
func newUses(c *Config) (*nameSet, error) {
	uses := newNameSet()
	if c.SpecialNames {
		for _, name := range specialNames {
			if err := uses.add(name, true); err != nil {
				return nil, err
			}
		}
	}
	if c.KeepLookups {
		return uses, nil
	}
	for _, zone := range slices.Concat(c.LookupZones, []string{"e164.arpa"}) {
		name, err := ParseLocalName(zone)
		if err != nil {
			return nil, fmt.Errorf("lookup zone: %w", err)
		}
		if err := uses.add(name, false); err != nil {
			return nil, err
		}
	}
	return uses, nil
}

// judgeUse judges what a query name is used for: a list about addresses or names is
// queried, or nothing on the public Internet is meant.
func (s *searcher) judgeUse(x *subject) Reason {
	p := s.policy
	u := p.uses.of(x.name)
	switch {
	case u.zone != "" || !p.keepLookups && p.isListLookup(x):
		return s.forbid(x, ListLookup, u.zone)
	case u.special || p.specialNames && isSpecialReverse(x.name):
		return s.forbid(x, SpecialUse, "")
	case p.specialNames && p.hasNoTLD(x):
		return s.forbid(x, NoTLD, "")
	}
	return Kept
}

// forbid notes that the query name forbids a record.
func (s *searcher) forbid(x *subject, r Rule, zone string) Reason {
	from, to := x.nameInMessage()
	s.finding = Finding{Rule: r, Entry: Entry{Name: zone}, From: from, To: to}
	return r.Forbids()
}

// isListLookup reports whether a query name has the form of names in lists about
// addresses or mailboxes. Lists are not learned from answers: the operator of a zone
// could hide it by answering like a list.
func (p *Policy) isListLookup(x *subject) bool {
	var l labels
	switch first := x.name[0]; {
	case first > 0 && first <= 3 && isHex(x.name[1]):
		l.split(x.name)
		return addressLabels(x.name, &l) > 0 && !answersWithHost(x.response, true)
	case len(x.name) > mailboxHash && bytes.IndexByte(x.name, mailboxHash) >= 0:
		l.split(x.name)
		return isKeyOfMailbox(x.name, &l) && !answersWithHost(x.response, false)
	}
	return false
}

// addressLabels returns how many labels spell an address in reverse order at the
// beginning of a name in a zone of two or more labels, as DNS lists are queried (RFC
// 5782 section 2); 0 if none do.
func addressLabels(name []byte, l *labels) int {
	const zone = 2 // labels
	octets, nibbles := 0, 0
	for octets < 4 && octets < l.n {
		label := l.label(name, octets)
		if _, ok := octetLabel(label); !ok || label[0] > 1 && label[1] == '0' {
			break
		}
		octets++
	}
	for nibbles < nibblesInAddress && nibbles < l.n {
		label := l.label(name, nibbles)
		if _, ok := nibble(label[1]); !ok || label[0] != 1 {
			break
		}
		nibbles++
	}
	switch {
	case l.n == 0 || isARPA(l.label(name, l.n-1)):
		return 0
	case octets == 4 && l.n-octets >= zone:
		return octets
	case nibbles == nibblesInAddress && l.n-nibbles >= zone:
		return nibbles
	}
	return 0
}

// mailboxHash is the number of hexadecimal digits in the hash of a mailbox.
const mailboxHash = 56

// isKeyOfMailbox reports whether a name is that of a person's key: the hash of the
// local part of a mail address (RFC 7929 section 3, RFC 8162 section 3).
func isKeyOfMailbox(name []byte, l *labels) bool {
	for i := 1; i < l.n; i++ {
		switch string(l.label(name, i)[1:]) {
		case "_openpgpkey", "_smimecert":
			label := l.label(name, i-1)[1:]
			if len(label) == mailboxHash && allHex(label) {
				return true
			}
		}
	}
	return false
}

func allHex(b []byte) bool {
	for _, c := range b {
		if !isHex(c) {
			return false
		}
	}
	return true
}

var loopback = netip.MustParsePrefix("127.0.0.0/8")

// answersWithHost reports whether the answer section holds an address, as names of
// hosts have and names in lists do not: lists answer with addresses in 127/8. With
// aliases, CNAME and DNAME count too, and addresses in 127/8 do not.
func answersWithHost(w *dnswire.Walker, aliases bool) bool {
	if w == nil {
		return false
	}
	for _, r := range w.Records {
		if r.Section != dnswire.Answer {
			continue
		}
		switch r.Type {
		case dns.TypeAAAA:
			return true
		case dns.TypeA:
			if !aliases || !loopback.Contains(netip.AddrFrom4([4]byte(w.Msg[r.Rdata:r.End]))) {
				return true
			}
		case dns.TypeCNAME, dns.TypeDNAME:
			if aliases {
				return true
			}
		}
	}
	return false
}

// hasNoTLD reports whether a query name is under no existing top-level domain. Only
// the root can say so: any other server could send the root's SOA.
func (p *Policy) hasNoTLD(x *subject) bool {
	if x.response == nil {
		return isSingleLabel(x.name) || p.isFromRoot(x)
	}
	switch rcode := x.response.Flags & dnswire.MaskRcode; rcode {
	case dns.RcodeNameError, dns.RcodeRefused, dns.RcodeServerFailure:
		return isSingleLabel(x.name) || p.isFromRoot(x) ||
			rcode == dns.RcodeNameError && (x.rd || x.forwarded) && hasRootSOA(x.response)
	}
	return false
}

// hasRootSOA reports whether the authority section holds the SOA record of the root.
func hasRootSOA(w *dnswire.Walker) bool {
	for _, r := range w.Records {
		if r.Section == dnswire.Authority && r.Type == dns.TypeSOA && w.IsRoot(int(r.Owner)) {
			return true
		}
	}
	return false
}

func (p *Policy) isFromRoot(x *subject) bool {
	return p.rootServers.has(x.server) || isRoot(x.zone) && !x.rd
}

func isSingleLabel(name []byte) bool { return name[0] != 0 && len(name) == int(name[0])+2 }

func isRoot(name []byte) bool { return len(name) == 1 }
