package transform

import "bytes"

// quads looks for the resolver's IPv4 addresses in dotted text: any four numbers
// in a row.
func (s *searcher) quads(b []byte) {
	for i := 0; i < len(b); {
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

func (s *searcher) isOwn4(b []byte) bool { return s.known.has4(b) || s.policy.resolvers.has4(b) }

func (s *searcher) isOwn16(b []byte) bool { return s.known.has16(b) || s.policy.resolvers.has16(b) }

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
// in any of its spellings), beginning at any group.
func (s *searcher) colons(b []byte) {
	for i := 0; i < len(b); {
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

func (s *searcher) groups(run []byte) {
	for start := 0; start < len(run); {
		if s.addressAt(run[start:]) {
			s.address = true
			return
		}
		colon := bytes.IndexByte(run[start:], ':')
		if colon < 0 {
			return
		}
		start += max(colon, 1)
		if start < len(run) && run[start] == ':' && colon > 0 && (start+1 >= len(run) || run[start+1] != ':') {
			start++ // between two groups; "::" may begin an address itself
		}
	}
}

// addressAt reports whether text begins with an address of the resolver's,
// whatever follows it.
func (s *searcher) addressAt(b []byte) bool {
	var addr [16]byte
	n, gap := 0, -1 // octets so far; where "::" stands
	if len(b) >= 2 && b[0] == ':' && b[1] == ':' {
		gap, b = 0, b[2:]
	}
	for n < 16 {
		if n <= 12 && s.endsInQuad(b, addr, n, gap) {
			return true
		}
		v, size := hexGroup(b)
		if size == 0 {
			return false
		}
		addr[n], addr[n+1] = byte(v>>8), byte(v)
		n += 2
		b = b[size:]
		if s.isSpread(addr, n, gap) {
			return true
		}
		switch {
		case len(b) >= 2 && b[0] == ':' && b[1] == ':' && gap < 0:
			gap, b = n, b[2:]
			if s.isSpread(addr, n, gap) {
				return true
			}
		case len(b) >= 1 && b[0] == ':':
			b = b[1:]
		default:
			return false
		}
	}
	return false
}

// endsInQuad tries a dotted quad as an address's last 32 bits.
func (s *searcher) endsInQuad(b []byte, addr [16]byte, n, gap int) bool {
	for i := range 4 {
		v, size, ok := decimal(b)
		if !ok || i < 3 && (size >= len(b) || b[size] != '.') {
			return false
		}
		addr[n+i] = v
		b = b[min(size+1, len(b)):]
	}
	return s.isSpread(addr, n+4, gap)
}

// isSpread reports whether n octets, with zeros filled in at the gap, are an
// address of the resolver's.
func (s *searcher) isSpread(addr [16]byte, n, gap int) bool {
	if gap < 0 {
		return n == 16 && s.isOwn16(addr[:])
	}
	if n > 14 {
		return false
	}
	var full [16]byte
	copy(full[:], addr[:gap])
	copy(full[16-(n-gap):], addr[gap:n])
	return s.isOwn16(full[:])
}

func isHex(c byte) bool {
	return isDigit(c) || 'a' <= c|0x20 && c|0x20 <= 'f'
}

func hexGroup(b []byte) (v uint16, size int) {
	for size < len(b) && size < 4 && isHex(b[size]) {
		d := uint16(b[size] - '0')
		if !isDigit(b[size]) {
			d = uint16(b[size]|0x20-'a') + 10
		}
		v = v<<4 | d
		size++
	}
	if size < len(b) && isHex(b[size]) {
		return 0, 0
	}
	return v, size
}
