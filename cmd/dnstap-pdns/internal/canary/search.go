package canary

import (
	"encoding/binary"
	"net/netip"
	"slices"
)

// A form is what a canary may look like.
type form struct {
	name   string
	bytes  string
	fold   bool // bytes are in lower case, and case means nothing
	digits bool // a digit before or after makes it another number
}

// A Place is what was searched when something was found.
type Place string

const (
	AsIs    Place = "as it stands"                             // in the octets that were given
	InFull  Place = "in the message with all names in full"    // which compression had cut
	AsWords Place = "in a record as a zone file would have it" // character-strings joined
)

// A Finding is where one canary was found first.
type Finding struct {
	Canary int // its index in the Set
	Form   string
	Place  Place
	Offset int // where it begins; for other places than AsIs, in what was made for the search
}

// A Set is canaries that are looked for at once. It does not change, and may be used by
// several goroutines.
type Set struct {
	canaries []Canary
	exact    index
	folded   index
	addrs    map[netip.Addr]int
	endings  bitSet // of addrs
}

// NewSet returns the set of these canaries, no two of one Text.
func NewSet(canaries []Canary) *Set {
	s := &Set{canaries: canaries, exact: newIndex(), folded: newIndex(), addrs: map[netip.Addr]int{}}
	for i, c := range canaries {
		if c.Addr.IsValid() {
			s.addrs[c.Addr] = i
			_, ending := ends(c.Addr)
			s.endings.set(ending)
		}
		for _, f := range c.forms {
			if f.fold {
				s.folded.add(i, f)
			} else {
				s.exact.add(i, f)
			}
		}
	}
	return s
}

// Search calls found once for each canary that the text holds.
func (s *Set) Search(t *Text, found func(Finding)) {
	seen := make(map[int]bool, 4)
	note := func(f Finding) {
		if !seen[f.Canary] {
			seen[f.Canary] = true
			found(f)
		}
	}
	s.exact.search(t.raw, AsIs, note)
	s.exact.search(t.joined, AsWords, note)
	for _, in := range []struct {
		octets []byte
		place  Place
	}{{t.folded, AsIs}, {t.full, InFull}, {t.zone, AsWords}} {
		s.folded.search(in.octets, in.place, note)
		if len(s.addrs) > 0 {
			s.spelled(in.octets, in.place, note)
			s.grouped(in.octets, in.place, note)
		}
	}
}

// An index finds many forms in one pass: by their first octets.
type index struct {
	heads []uint64 // bit n: some form begins with the two octets n
	forms map[[minText]byte][]entry
}

type entry struct {
	canary int
	form
}

func newIndex() index {
	return index{heads: make([]uint64, 1<<16/64), forms: map[[minText]byte][]entry{}}
}

func (x *index) add(canary int, f form) {
	head := [minText]byte([]byte(f.bytes))
	n := uint16(head[0])<<8 | uint16(head[1])
	x.heads[n>>6] |= 1 << (n & 63)
	x.forms[head] = append(x.forms[head], entry{canary, f})
}

func (x *index) search(in []byte, place Place, note func(Finding)) {
	for i := 0; i+minText <= len(in); i++ {
		n := uint16(in[i])<<8 | uint16(in[i+1])
		if x.heads[n>>6]&(1<<(n&63)) == 0 {
			continue
		}
		for _, e := range x.forms[[minText]byte(in[i:])] {
			if e.isAt(in, i) {
				note(Finding{e.canary, e.name, place, i})
			}
		}
	}
}

func (f *form) isAt(in []byte, at int) bool {
	end := at + len(f.bytes)
	if end > len(in) || string(in[at:end]) != f.bytes {
		return false
	}
	return !f.digits || (at == 0 || !isDigitAt(in, at-1)) && (end == len(in) || !isDigitAt(in, end))
}

// isDigitAt reports whether there is a digit, and not the length of a label, which a
// number may follow or end before.
func isDigitAt(in []byte, at int) bool { return isDigit(in[at]) && !isLengthAt(in, at) }

// isLengthAt reports whether a label of that length follows, and then what may follow one.
func isLengthAt(in []byte, at int) bool {
	end := at + 1 + int(in[at])
	if end >= len(in) || in[end] > 63 && in[end] < 0xc0 {
		return false
	}
	return !slices.ContainsFunc(in[at+1:end], func(c byte) bool { return c <= ' ' || c == '.' || c > '~' })
}

func isDigit(c byte) bool { return '0' <= c && c <= '9' }

// isHex is for lower case.
func isHex(c byte) bool { return isDigit(c) || 'a' <= c && c <= 'f' }

// spelled looks for addresses in any spelling that has a colon.
func (s *Set) spelled(in []byte, place Place, note func(Finding)) {
	seen := make(map[int]bool, 4)
	scanColons(in, func(a [16]byte, end int) {
		s.held(a, func(canary int) {
			if !seen[canary] {
				seen[canary] = true
				note(Finding{canary, "IPv6 text", place, spellingStart(in, a, end)})
			}
		})
	})
}

// longestSpelling is eight groups, the last two of them as a dotted quad.
const longestSpelling = len("0000:0000:0000:0000:0000:0000:255.255.255.255")

// spellingStart returns the offset from which on the octets before end are an address.
func spellingStart(in []byte, a [16]byte, end int) int {
	for from := max(0, end-longestSpelling); from < end; from++ {
		if read, err := netip.ParseAddr(string(in[from:end])); err == nil && read == netip.AddrFrom16(a) {
			return from
		}
	}
	return end
}

// held calls found for each canary that is an IPv6 address, or an IPv4 address that this
// may have inside: IPv4-mapped, of NAT64 with any prefix (RFC 6052), of 6to4 (RFC 3056) or
// another, at any octet.
func (s *Set) held(b [16]byte, found func(canary int)) {
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
