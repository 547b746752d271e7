package canary

import (
	"encoding/binary"
	"net/netip"
	"slices"
)

// A pattern is one form of a canary, as octets.
type pattern struct {
	name   string // of the form
	bytes  string
	fold   bool // bytes are in lower case, and case is ignored
	digits bool // it does not match next to a digit, which makes it another number
}

// A Place is where something was found.
type Place string

const (
	PlaceAsSent       Place = "in the octets as sent"                    // in the octets that were given
	PlaceUncompressed Place = "in the message with all names in full"    // without name compression
	PlaceZoneFile     Place = "in a record as a zone file would have it" // character-strings joined
)

// A Finding is the first occurrence of one canary.
type Finding struct {
	Canary int // its index in the Set
	Form   string
	Place  Place
	Offset int // of its first octet; for other places than AsIs, in a buffer of the search
}

// A Set is canaries that are searched for at once. It does not change, and may be used by
// several goroutines.
type Set struct {
	canaries []Canary
	exact    index
	folded   index
	addrs    map[netip.Addr]int
	endings  bitSet // last two octets of addrs
}

// NewSet returns the set of these canaries. No two may have the same Text.
func NewSet(canaries []Canary) *Set {
	s := &Set{canaries: canaries, exact: newIndex(), folded: newIndex(), addrs: map[netip.Addr]int{}}
	for i, c := range canaries {
		if c.Addr.IsValid() {
			s.addrs[c.Addr] = i
			_, ending := ends(c.Addr)
			s.endings.set(ending)
		}
		for _, p := range c.patterns {
			if p.fold {
				s.folded.add(i, p)
			} else {
				s.exact.add(i, p)
			}
		}
	}
	return s
}

// Search calls found once for each canary that the text contains.
func (s *Set) Search(t *Text, found func(Finding)) {
	seen := make(map[int]bool, 4)
	note := func(f Finding) {
		if !seen[f.Canary] {
			seen[f.Canary] = true
			found(f)
		}
	}
	s.exact.search(t.raw, PlaceAsSent, note)
	s.exact.search(t.joined, PlaceZoneFile, note)
	for _, in := range []struct {
		octets []byte
		place  Place
	}{{t.folded, PlaceAsSent}, {t.full, PlaceUncompressed}, {t.zone, PlaceZoneFile}} {
		s.folded.search(in.octets, in.place, note)
		if len(s.addrs) > 0 {
			s.searchColons(in.octets, in.place, note)
			s.searchGroups(in.octets, in.place, note)
		}
	}
}

// An index finds many patterns in one pass, by their first octets.
type index struct {
	heads    []uint64 // bit n: some pattern begins with the two octets n
	patterns map[[minText]byte][]entry
}

// An entry is a pattern of a canary.
type entry struct {
	canary int // its index in the Set
	pattern
}

func newIndex() index {
	return index{heads: make([]uint64, 1<<16/64), patterns: map[[minText]byte][]entry{}}
}

func (x *index) add(canary int, p pattern) {
	head := [minText]byte([]byte(p.bytes))
	n := uint16(head[0])<<8 | uint16(head[1])
	x.heads[n>>6] |= 1 << (n & 63)
	x.patterns[head] = append(x.patterns[head], entry{canary, p})
}

func (x *index) search(in []byte, place Place, note func(Finding)) {
	for i := 0; i+minText <= len(in); i++ {
		n := uint16(in[i])<<8 | uint16(in[i+1])
		if x.heads[n>>6]&(1<<(n&63)) == 0 {
			continue
		}
		for _, e := range x.patterns[[minText]byte(in[i:])] {
			if e.isAt(in, i) {
				note(Finding{e.canary, e.name, place, i})
			}
		}
	}
}

func (p *pattern) isAt(in []byte, at int) bool {
	end := at + len(p.bytes)
	if end > len(in) || string(in[at:end]) != p.bytes {
		return false
	}
	return !p.digits || (at == 0 || !isDigitAt(in, at-1)) && (end == len(in) || !isDigitAt(in, end))
}

// isDigitAt reports whether the octet is a digit, and not the length of a label, which does not
// belong to the number next to it.
func isDigitAt(in []byte, at int) bool { return isDigit(in[at]) && !isLengthAt(in, at) }

// isLengthAt reports whether the octet may be the length of a label: as many octets of a label
// follow, and then the length of another label or a pointer.
func isLengthAt(in []byte, at int) bool {
	end := at + 1 + int(in[at])
	if end >= len(in) || in[end] > 63 && in[end] < 0xc0 {
		return false
	}
	return !slices.ContainsFunc(in[at+1:end], func(c byte) bool { return c <= ' ' || c == '.' || c > '~' })
}

func isDigit(c byte) bool { return '0' <= c && c <= '9' }

// isHex reports whether c is a hexadecimal digit in lower case.
func isHex(c byte) bool { return isDigit(c) || 'a' <= c && c <= 'f' }

// searchColons searches for addresses in any spelling that has a colon.
func (s *Set) searchColons(in []byte, place Place, note func(Finding)) {
	seen := make(map[int]bool, 4)
	scanColons(in, func(a [16]byte, end int) {
		s.matchAddr(a, func(canary int) {
			if !seen[canary] {
				seen[canary] = true
				note(Finding{canary, "IPv6 text", place, spellingStart(in, a, end)})
			}
		})
	})
}

// longestSpelling is the length of eight groups, the last two of them as a dotted quad.
const longestSpelling = len("0000:0000:0000:0000:0000:0000:255.255.255.255")

// spellingStart returns the smallest offset at which a spelling of the address that ends at end
// may begin.
func spellingStart(in []byte, a [16]byte, end int) int {
	for from := max(0, end-longestSpelling); from < end; from++ {
		if read, err := netip.ParseAddr(string(in[from:end])); err == nil && read == netip.AddrFrom16(a) {
			return from
		}
	}
	return end
}

// matchAddr calls found for each canary that is this IPv6 address, or an IPv4 address that it
// may embed at any octet: IPv4-mapped, NAT64 with any prefix (RFC 6052), 6to4 (RFC 3056) or
// another.
func (s *Set) matchAddr(b [16]byte, found func(canary int)) {
	look := func(a netip.Addr, ending []byte) {
		if !s.endings.has(binary.BigEndian.Uint16(ending)) {
			return
		}
		if canary, ok := s.addrs[a]; ok {
			found(canary)
		}
	}
	look(netip.AddrFrom16(b), b[14:])
	for i := range len(b) - 3 {
		look(netip.AddrFrom4([4]byte(b[i:])), b[i+2:])
	}
	if b[8] == 0 {
		without := append(b[:8:8], b[9:]...)
		for i := 5; i < 8; i++ {
			look(netip.AddrFrom4([4]byte(without[i:])), without[i+2:])
		}
	}
}
