package transform

import "bytes"

// A searcher looks for local names and for the resolver's addresses where a
// message holds them as other than names and address records. It is reused.
type searcher struct {
	policy *Policy
	known  *addrSet // the resolver's addresses, as the messages of this lane tell

	local, address bool // what was found

	name   [maxName + 1]byte
	token  [4 * maxName]byte
	hosts  [maxName]byte
	joined []byte
}

func (s *searcher) begin(p *Policy, known *addrSet) {
	s.policy, s.known = p, known
	s.local, s.address = false, false
}

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
		s.local = s.local || r.within(network)
	}
	s.address = s.address || r.isOneOf(s.known) || r.isOneOf(&s.policy.resolvers)
}

// wire looks for names as labels in octets that are no names by their type.
func (s *searcher) wire(b []byte) {
	if set := s.policy.localNames; !set.empty() {
		for i := range b {
			if b[i] < 64 && set.firstLen[b[i]] && s.labelsAt(set, b[i:]) {
				s.local = true
				return
			}
		}
	}
	s.wireReverse(b)
}

// labelsAt reports whether the labels that begin b begin with an entry's.
func (s *searcher) labelsAt(set *nameSet, b []byte) bool {
	for end := 0; end < len(b) && b[end] != 0 && b[end] < 64; {
		end += 1 + int(b[end])
		if end > len(b) || end >= maxName {
			return false
		}
		if set.wireLens[end+1] {
			name := append(s.token[:0], b[:end]...)
			lower(name)
			if _, ok := set.wire[string(append(name, 0))]; ok {
				return true
			}
		}
	}
	return false
}

// wireReverse looks for labels that end in arpa, whichever label they begin at.
func (s *searcher) wireReverse(b []byte) {
	for from := 0; ; {
		i := bytes.IndexByte(b[from:], 4)
		if i < 0 {
			return
		}
		at := from + i
		from = at + 1
		if at+5 > len(b) || !isARPA(b[at:at+5]) {
			continue
		}
		for start := max(0, at+6-maxName); start < at; start++ {
			if leadsTo(b, start, at) {
				name := append(append(s.token[:0], b[start:at+5]...), 0)
				lower(name)
				s.checkReverse(name)
			}
		}
	}
}

// leadsTo reports whether labels from start on end exactly at off.
func leadsTo(b []byte, start, off int) bool {
	for start < off && b[start] != 0 && b[start] < 64 {
		start += 1 + int(b[start])
	}
	return start == off
}

// text looks for names and addresses as people write them.
func (s *searcher) text(b []byte) {
	set := s.policy.localNames
	for _, name := range set.foreign {
		s.local = s.local || containsFold(b, name)
	}
	s.tokens(b, set.empty() || set.dotted)
	if len(s.known.addrs)+len(s.policy.resolvers.addrs) > 0 {
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
	for {
		window := append(s.token[:0], token[:min(len(token), len(s.token))]...)
		lower(window)
		end := len(window) == len(token)
		s.local = s.local || s.policy.localNames.inToken(window, end)
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

// inToken reports whether an entry stands in lowercase text of name characters,
// whole labels of it; end tells that the text does not go on.
func (s *nameSet) inToken(text []byte, end bool) bool {
	for start := 0; start < len(text); {
		for _, n := range s.textLens {
			stop := start + n
			if stop > len(text) || stop < len(text) && text[stop] != '.' || stop == len(text) && !end {
				continue
			}
			if _, ok := s.text[string(text[start:stop])]; ok {
				return true
			}
		}
		dot := bytes.IndexByte(text[start:], '.')
		if dot < 0 {
			return false
		}
		start += dot + 1
	}
	return false
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
			return
		}
		if len(label) > 0 {
			name = append(append(name, byte(len(label))), label...)
		}
	}
	s.checkReverse(append(name, 0))
}

// octets looks for the resolver's addresses as they stand in address records.
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

// containsFold looks for lowercase text that is bounded by other than label
// characters, without regard to ASCII case.
func containsFold(b, text []byte) bool {
	for i := 0; i+len(text) <= len(b); i++ {
		if equalFold(b[i:i+len(text)], text) &&
			(i == 0 || !isLabelChar(b[i-1])) && (i+len(text) == len(b) || !isLabelChar(b[i+len(text)])) {
			return true
		}
	}
	return false
}
