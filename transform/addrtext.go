package transform

import "bytes"

// quads looks for the resolver's IPv4 addresses in dotted text: any four numbers
// in a row.
func (s *searcher) quads(b []byte) {
	for i := 0; i < len(b) && !s.address; {
		dot := bytes.IndexByte(b[i:], '.')
		if dot < 0 {
			return
		}
		start := i + dot
		for start > i && isDigit(b[start-1]) {
			start--
		}
		end := i + dot
		for end < len(b) && (isDigit(b[end]) || b[end] == '.') {
			end++
		}
		s.numbers(b[start:end])
		i = end + 1
	}
}

func (s *searcher) numbers(run []byte) {
	var quad [4]byte
	for n := 0; len(run) > 0; {
		v, size, ok := decimal(run)
		copy(quad[:], quad[1:])
		quad[3] = v
		if n++; !ok {
			n = 0
		}
		if n >= 4 && s.isOwn4(quad[:]) {
			s.address = true
			return
		}
		run = run[min(size+1, len(run)):]
	}
}

func (s *searcher) isOwn4(b []byte) bool {
	return s.known.has4(b) || s.policy.resolvers.has4(b) || s.policy.resolverNets.has4(b)
}

func (s *searcher) isOwn16(b []byte) bool {
	return s.known.has16(b) || s.policy.resolvers.has16(b) || s.policy.resolverNets.has16(b)
}

func isDigit(c byte) bool { return '0' <= c && c <= '9' }

// decimal reads an octet as a number; size is how many digits there are.
func decimal(b []byte) (v byte, size int, ok bool) {
	n := 0
	for size < len(b) && isDigit(b[size]) {
		n = min(n*10+int(b[size]-'0'), 256)
		size++
	}
	return byte(n), size, size > 0 && n < 256
}

// colons looks for the resolver's IPv6 addresses in text (RFC 4291 section 2.2,
// in any of its spellings), beginning and ending at any group.
func (s *searcher) colons(b []byte) {
	for i := 0; i < len(b) && !s.address; {
		colon := bytes.IndexByte(b[i:], ':')
		if colon < 0 {
			return
		}
		start := i + colon
		for start > i && isHex(b[start-1]) {
			start--
		}
		end := i + colon
		for end < len(b) && (isHex(b[end]) || b[end] == ':' || b[end] == '.') {
			end++
		}
		s.groups(b[start:end])
		i = end + 1
	}
}

// A groupRun is the last groups of an address so far, eight at most, from the right.
type groupRun struct {
	octets [16]byte
	n      int
}

func (g *groupRun) push(hi, lo byte) {
	copy(g.octets[:], g.octets[2:])
	g.octets[14], g.octets[15] = hi, lo
	g.n = min(g.n+1, 8)
}

// groups looks at text of hexadecimal digits, colons and dots.
func (s *searcher) groups(b []byte) {
	var head, tail groupRun // before and behind "::"
	gap := false
	for len(b) > 0 && !s.address {
		v, size, ok := hexGroup(b)
		switch {
		case len(b) > 1 && b[0] == ':' && b[1] == ':':
			head, tail, gap = tail, groupRun{}, true
			if b = b[1:]; len(b) == 1 || b[1] != ':' {
				b = b[1:] // of ":::" the last two may begin another
			}
		case !ok:
			head, tail, gap = groupRun{}, groupRun{}, false
			b = b[max(size, 1):]
			continue
		default:
			s.quadAt(b, head, tail, gap)
			tail.push(byte(v>>8), byte(v))
			b = b[size:]
			if len(b) > 0 && b[0] == ':' && (len(b) == 1 || b[1] != ':') {
				b = b[1:]
			}
		}
		s.spread(&head, &tail, gap)
	}
}

// quadAt tries a dotted quad as an address's last 32 bits.
func (s *searcher) quadAt(b []byte, head, tail groupRun, gap bool) {
	var quad [4]byte
	for i := range quad {
		v, size, ok := decimal(b)
		if !ok || i < 3 && (size >= len(b) || b[size] != '.') {
			return
		}
		quad[i] = v
		b = b[min(size+1, len(b)):]
	}
	tail.push(quad[0], quad[1])
	tail.push(quad[2], quad[3])
	s.spread(&head, &tail, gap)
}

// spread notes whether the groups, with zeros filled in at the gap, are an address
// of the resolver's.
func (s *searcher) spread(head, tail *groupRun, gap bool) {
	full := tail.octets
	if tail.n == 8 {
		s.address = s.address || s.isOwn16(full[:])
	}
	for n := 0; gap && n <= head.n && n+tail.n < 8; n++ {
		copy(full[:2*n], head.octets[16-2*n:])
		s.address = s.address || s.isOwn16(full[:])
	}
}

func isHex(c byte) bool {
	return isDigit(c) || 'a' <= c|0x20 && c|0x20 <= 'f'
}

// hexGroup reads the digits of a group; ok tells that there are one to four.
func hexGroup(b []byte) (v uint16, size int, ok bool) {
	for size < len(b) && isHex(b[size]) {
		d := uint16(b[size] - '0')
		if !isDigit(b[size]) {
			d = uint16(b[size]|0x20-'a') + 10
		}
		v = v<<4 | d
		size++
	}
	return v, size, 0 < size && size <= 4
}
