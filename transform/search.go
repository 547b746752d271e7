package transform

import "bytes"

// A searcher looks for local names and for the resolver's addresses where a
// message holds them as other than names and address records. It is reused.
type searcher struct {
	policy *Policy
	known  *addrSet // the resolver's addresses, as the messages of this lane tell

	local, address bool // what was found
	reversed       bool // local, by a reverse name
	finding        Finding

	name   [maxName + 1]byte
	token  [4 * maxName]byte
	hosts  [maxName]byte
	joined []byte
}

func (s *searcher) begin(p *Policy, known *addrSet) {
	s.policy, s.known = p, known
	s.local, s.address, s.reversed = false, false, false
	s.finding = Finding{}
}

// A place is where a searcher looks: a rule for what is found of either kind.
type place struct{ local, address Rule }

var (
	inName    = place{LocalNameInName, ResolverInName}
	inAddress = place{LocalNameInRdata, ResolverInAddress}
	inRdata   = place{LocalNameInRdata, ResolverInRdata}
)

// note keeps what was found first, after a look at octets from to to of the message;
// a local name goes before an address.
func (s *searcher) note(p place, from, to int) {
	switch found := s.finding.Rule.Forbids(); {
	case found == LocalName || found == ResolverAddress && !s.local:
	case s.reversed:
		s.finding = Finding{Rule: LocalNetwork, From: from, To: to}
	case s.local:
		s.finding = Finding{Rule: p.local, From: from, To: to}
	default:
		s.finding = Finding{Rule: p.address, From: from, To: to}
	}
}

func (s *searcher) found() bool { return s.local || s.address }

// checkName looks at one uncompressed name in lowercase wire form.
func (s *searcher) checkName(name []byte, underARPA bool) {
	if !s.policy.localNames.empty() && s.policy.localNames.hasName(name) {
		s.local = true
	}
	if underARPA {
		s.checkReverse(name)
	}
}

func (s *searcher) checkReverse(name []byte) {
	r, ok := parseReverse(name, s.hosts[:])
	if !ok {
		return
	}
	for _, network := range s.policy.localNetworks {
		if !s.local && r.within(network) {
			s.local, s.reversed = true, true
		}
	}
	s.address = s.address || r.isOneOf(s.known) || r.isOneOf(&s.policy.resolvers) || r.isIn(s.policy.resolverNets)
}

// opaque looks for names as labels, and for addresses, in octets that are no
// names by their type. Four octets of what is random mean nothing.
func (s *searcher) opaque(b []byte, random bool) {
	if set := s.policy.localNames; !set.empty() {
		for i := range b {
			if b[i] < 64 && s.labelsAt(set, b[i:]) {
				s.local = true
				return
			}
		}
	}
	s.wireReverse(b)
	if !random {
		s.octets(b)
	}
}

// labelsAt reports whether the labels that begin b begin with an entry's.
func (s *searcher) labelsAt(set *nameSet, b []byte) bool {
	first := int(b[0])
	if first >= len(b) || !set.mayBegin(first, toLower(b[min(1, first)])) {
		return false
	}
	text := append(s.token[:0], b[1:1+first]...)
	if rest := b[1+first:]; len(rest) > 0 && 0 < rest[0] && rest[0] < 64 && int(rest[0]) < len(rest) {
		text = append(append(text, '.'), rest[1:1+rest[0]]...)
	}
	lower(text)
	one, several := set.beginning(text, first)
	return s.begins(set, b, one) || s.begins(set, b, several)
}

// begins reports whether labels are those of an entry of one of these lengths.
func (s *searcher) begins(set *nameSet, b []byte, lengths []uint8) bool {
	for _, length := range lengths {
		if int(length)-1 > len(b) {
			continue
		}
		name := append(s.token[:0], b[:length-1]...)
		lower(name)
		if _, ok := set.wire[string(append(name, 0))]; ok {
			return true
		}
	}
	return false
}

// wireReverse looks for labels that end in in-addr.arpa or ip6.arpa.
func (s *searcher) wireReverse(b []byte) {
	for from := 0; !s.local; {
		i := bytes.IndexByte(b[from:], 4)
		if i < 0 {
			return
		}
		at := from + i
		from = at + 1
		if at+5 > len(b) || !isARPA(b[at:at+5]) || !endsFold(b[:at], "\x07in-addr") && !endsFold(b[:at], "\x03ip6") {
			continue
		}
		name := append(append(s.token[:0], b[labelsBefore(b, at):at+5]...), 0)
		lower(name)
		s.checkReverse(name)
	}
}

func endsFold(b []byte, suffix string) bool {
	return len(b) >= len(suffix) && equalFold(b[len(b)-len(suffix):], []byte(suffix))
}

// labelsBefore returns where the labels begin that lead to off, as far back as a
// name can reach. Of the ways to go back the shortest label is taken: no length
// is a character that host names are made of, but for those of more than 44.
func labelsBefore(b []byte, off int) int {
	least := max(0, off+len("\x04arpa\x00")-maxName)
	for start := off; ; {
		n := 1
		for n < 64 && start-1-n >= least && int(b[start-1-n]) != n {
			n++
		}
		if n == 64 || start-1-n < least {
			return start
		}
		start -= 1 + n
	}
}

// text looks for names and addresses as people write them.
func (s *searcher) text(b []byte) {
	set := s.policy.localNames
	addresses := len(s.known.addrs)+len(s.policy.resolvers.addrs)+len(s.policy.resolverNets) > 0
	if s.local || len(b) == 0 {
		return
	}
	s.local = set.foreignIn(b)
	if addresses || !set.empty() || len(s.policy.localNetworks) > 0 {
		s.tokens(b, set.empty() || set.dotted)
	}
	if addresses && !s.local && !s.address {
		s.quads(b)
		s.colons(b)
	}
}

// tokens looks at each stretch of name characters; at those with a dot only, if
// nothing that is looked for lacks one.
func (s *searcher) tokens(b []byte, dotted bool) {
	for i := 0; i < len(b); {
		start := i
		if dotted {
			dot := bytes.IndexByte(b[i:], '.')
			if dot < 0 {
				return
			}
			start = i + dot
			for start > i && isNameChar(b[start-1]) {
				start--
			}
			i += dot
		}
		for i < len(b) && isNameChar(b[i]) {
			i++
		}
		if i > start {
			s.checkToken(b[start:i])
		}
		i++
	}
}

func isNameChar(c byte) bool { return c == '.' || isLabelChar(c) }

// checkToken looks at a stretch of name characters, in windows that overlap by
// more than any name.
func (s *searcher) checkToken(token []byte) {
	for !s.local {
		window := append(s.token[:0], token[:min(len(token), len(s.token))]...)
		lower(window)
		end := len(window) == len(token)
		s.local = s.policy.localNames.inToken(window, end)
		s.textReverse(window)
		if end {
			return
		}
		token = token[len(window)-maxName:]
		if dot := bytes.IndexByte(token[:maxName], '.'); dot >= 0 {
			token = token[dot+1:]
		}
	}
}

// textReverse looks for reverse names in lowercase text of name characters.
func (s *searcher) textReverse(text []byte) {
	for from := 0; ; {
		i := bytes.Index(text[from:], []byte(".arpa"))
		if i < 0 {
			return
		}
		from += i + len(".arpa")
		if from == len(text) || text[from] == '.' {
			s.checkReverseText(text[:from])
		}
	}
}

// checkReverseText looks at text that ends in ".arpa"; what precedes a name's
// full length does not count.
func (s *searcher) checkReverseText(text []byte) {
	if !bytes.HasSuffix(text, []byte("in-addr.arpa")) && !bytes.HasSuffix(text, []byte("ip6.arpa")) {
		return
	}
	if cut := len(text) - (maxName - 2); cut > 0 {
		text = text[cut:]
		text = text[bytes.IndexByte(text, '.')+1:]
	}
	name := s.name[:0]
	for label := range bytes.SplitSeq(text, []byte(".")) {
		if len(label) > 63 {
			name = name[:0] // the name, if it is one, begins behind it
		} else if len(label) > 0 {
			name = append(append(name, byte(len(label))), label...)
		}
	}
	s.checkReverse(append(name, 0))
}

// octets looks for the resolver's addresses as they stand in address records, but
// not for those of its networks: in octets of any meaning, one position in 65,536
// is inside a /16 by chance.
func (s *searcher) octets(b []byte) {
	for _, set := range [...]*addrSet{s.known, &s.policy.resolvers} {
		for _, a := range set.addrs {
			if a.Is4() {
				raw := a.As4()
				s.address = s.address || bytes.Contains(b, raw[:])
			} else {
				raw := a.As16()
				s.address = s.address || bytes.Contains(b, raw[:])
			}
		}
	}
}
