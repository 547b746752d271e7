package transform

import (
	"fmt"
	"net/netip"

	"github.com/miekg/dns"
)

// newLookupZones returns the zones whose names are lookups: those of the
// configuration, and the one of telephone numbers (RFC 6116).
func newLookupZones(zones []string) (*nameSet, error) {
	names := []string{"e164.arpa"}
	for _, zone := range zones {
		name, err := ParseLocalName(zone)
		if err != nil {
			return nil, fmt.Errorf("lookup zone: %w", err)
		}
		names = append(names, name)
	}
	return newNameSet(names)
}

// judgeUse judges what a query name is used for: a list about addresses or names is
// queried, or nothing on the public Internet is meant.
func (p *Policy) judgeUse(x *subject) (Reason, Finding) {
	f := Finding{}
	if x.response != nil {
		f.From, f.To = headerLen, x.response.qnameEnd
	}
	if !p.keepLookups {
		if zone, is := p.isListLookup(x); is {
			f.Rule, f.Entry.Name = ListLookup, zone
			return Lookup, f
		}
	}
	if !p.specialNames {
		return Kept, Finding{}
	}
	switch {
	case isSpecial(x.name):
		f.Rule = SpecialUse
	case p.hasNoTLD(x):
		f.Rule = NoTLD
	default:
		return Kept, Finding{}
	}
	return SpecialName, f
}

// isListLookup reports whether a query name queries a list about an address, a name
// or a person; zone is the list, if the policy names it. Lists are not learned from
// answers: the operator of a zone could hide it by answering like a list.
func (p *Policy) isListLookup(x *subject) (zone string, is bool) {
	if zone, is := p.lookupZones.above(x.name, true); is {
		return zone, true
	}
	var l labels
	l.split(x.name)
	switch {
	case addressLabels(x.name, &l) > 0:
		return "", !answersWithHost(x.response, true)
	case isKeyOfMailbox(x.name, &l):
		return "", !answersWithHost(x.response, false)
	}
	return "", false
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

// isKeyOfMailbox reports whether a name is that of a person's key: the hash of the
// local part of a mail address (RFC 7929 section 3, RFC 8162 section 3).
func isKeyOfMailbox(name []byte, l *labels) bool {
	const hash = 56 // hexadecimal digits
	for i := 1; i < l.n; i++ {
		switch string(l.label(name, i)[1:]) {
		case "_openpgpkey", "_smimecert":
			label := l.label(name, i-1)[1:]
			if len(label) == hash && allHex(label) {
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
func answersWithHost(w *walker, aliases bool) bool {
	if w == nil {
		return false
	}
	for _, r := range w.rrs {
		if r.section != answer {
			continue
		}
		switch r.typ {
		case typeAAAA:
			return true
		case typeA:
			if !aliases || !loopback.Contains(netip.AddrFrom4([4]byte(w.msg[r.rdata:r.end]))) {
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
	fromRoot := p.rootServers.has(x.server) || isRoot(x.zone) && !x.rd
	if x.response == nil {
		return fromRoot || isSingleLabel(x.name)
	}
	switch rcode := x.response.flags & maskRcode; rcode {
	case dns.RcodeNameError, dns.RcodeRefused, dns.RcodeServerFailure:
		return fromRoot || isSingleLabel(x.name) ||
			rcode == dns.RcodeNameError && (x.rd || x.forwarded) && x.response.hasRootSOA()
	}
	return false
}

func isSingleLabel(name []byte) bool { return name[0] != 0 && len(name) == int(name[0])+2 }

func isRoot(name []byte) bool { return len(name) == 1 }
