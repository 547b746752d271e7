package canary

import (
	"bytes"
	"net/netip"
	"slices"
	"strconv"
)

const (
	numbers, groups = 4, 8 // numbers of an IPv4 address, groups of an IPv6 address
	longestLabel    = 63
)

// searchGroups searches for addresses with dots, hyphens or underscores between their numbers
// or groups, as in host names. Numbers and groups may have zeros in front.
func (s *Set) searchGroups(in []byte, place Place, note func(Finding)) {
	for _, by := range []byte(".-_") {
		for at := 0; ; {
			first := bytes.IndexByte(in[at:], by)
			if first < 0 {
				break
			}
			from, to := at+first, at+first
			for from > at && isHex(in[from-1]) {
				from--
			}
			for to < len(in) && (isHex(in[to]) || in[to] == by) {
				to++
			}
			s.searchRun(in, span{from, to}, by, func(canary int, form string, offset int) {
				note(Finding{canary, form, place, offset})
			})
			at = to
		}
	}
}

// searchRun searches for addresses that begin at any group of a run.
func (s *Set) searchRun(in []byte, run span, by byte, found func(canary int, form string, offset int)) {
	text := in[run.from:run.to]
	between := bytes.Count(text, []byte{by})
	long := between >= groups-1 || bytes.Contains(text, []byte{by, by})
	if between < numbers-1 && !long {
		return
	}
	all := run.split(in, by)
	for i, first := range all {
		if len(all)-i >= numbers {
			eachIPv4(in, all[i:i+numbers], func(a [numbers]byte) {
				if canary, ok := s.addrs[netip.AddrFrom4(a)]; ok {
					found(canary, "numbers with zeros in front", first.from)
				}
				slices.Reverse(a[:])
				if canary, ok := s.addrs[netip.AddrFrom4(a)]; ok {
					found(canary, "numbers with zeros in front, reversed", first.from)
				}
			})
		}
		if long && (i > 0 || !first.empty()) {
			eachIPv6(in, all[i:], func(a netip.Addr) {
				s.matchAddr(a.As16(), func(canary int) { found(canary, "groups with zeros in front", first.from) })
			})
		}
	}
}

// eachIPv4 calls found for each address that four groups may spell: the first group may begin,
// and the last may end, with other characters. Several are possible, because a digit may also be
// the length of a label.
func eachIPv4(in []byte, g []span, found func([numbers]byte)) {
	var a [numbers]byte
	for i := 1; i < numbers-1; i++ {
		n, ok := g[i].number(in, 10, 8)
		if !ok {
			return
		}
		a[i] = byte(n)
	}
	for _, first := range g[0].tails(in, isDigit) {
		n, ok := first.number(in, 10, 8)
		if !ok {
			continue
		}
		a[0] = byte(n)
		for _, last := range g[numbers-1].heads(in, isDigit) {
			if n, ok := last.number(in, 10, 8); ok {
				a[numbers-1] = byte(n)
				found(a)
			}
		}
	}
}

// eachIPv6 calls found for each address that begins with the group g[0]. An empty group, as
// between two colons, represents the omitted groups, which are zero.
func eachIPv6(in []byte, g []span, found func(netip.Addr)) {
	if g[0].empty() {
		eachFrom(in, g, g[0], found)
		return
	}
	for _, first := range g[0].tails(in, isHex) {
		eachFrom(in, g, first, found)
	}
}

// eachFrom calls found for each address that begins with first, which is a part of g[0], and
// continues with the groups after g[0]. It may end at each of these.
func eachFrom(in []byte, g []span, first span, found func(netip.Addr)) {
	var a [groups]uint16
	n, zeros := 0, -1 // groups so far; groups before the omitted ones, -1: none are omitted
	emit := func(n, to int) {
		if to-first.from > len("2001::1") && (zeros >= 0 || n == groups) { // shorter ones are parts of other words
			found(ipv6(a[:n], zeros))
		}
	}
	for i, group := range g {
		if i == 0 {
			group = first
		}
		if group.empty() {
			if zeros >= 0 || i == len(g)-1 {
				return
			}
			zeros = n
			emit(n, group.to+1)
			continue
		}
		if n == groups || zeros >= 0 && n == groups-1 {
			return
		}
		for _, last := range group.heads(in, isHex)[1:] {
			if v, ok := last.number(in, 16, 16); ok {
				a[n] = uint16(v)
				emit(n+1, last.to)
			}
		}
		v, ok := group.number(in, 16, 16)
		if !ok {
			return
		}
		a[n] = uint16(v)
		n++
		emit(n, group.to)
	}
}

// ipv6 returns the address of these groups. The omitted groups are zero, and come after the
// first zeros groups; none are omitted if zeros is -1.
func ipv6(some []uint16, zeros int) netip.Addr {
	var a [2 * groups]byte
	for i, v := range some {
		if zeros >= 0 && i >= zeros {
			i += groups - len(some)
		}
		a[2*i], a[2*i+1] = byte(v>>8), byte(v)
	}
	return netip.AddrFrom16(a)
}

// A span is the offsets of a group or of a run of groups.
type span struct{ from, to int }

func (g span) empty() bool { return g.from == g.to }

// split returns the groups of a run, which the octet by separates.
func (g span) split(in []byte, by byte) []span {
	var all []span
	from := g.from
	for at := from; at <= g.to; at++ {
		if at == g.to || in[at] == by {
			all = append(all, span{from, at})
			from = at + 1
		}
	}
	return all
}

// number returns the value of a group; ok is false if it has more than bits bits.
func (g span) number(in []byte, base, bits int) (n uint64, ok bool) {
	if g.to-g.from > longestLabel {
		return 0, false
	}
	const longest = 4
	digits := bytes.TrimLeft(in[g.from:g.to], "0")
	if len(digits) == 0 || len(digits) > longest {
		return 0, len(digits) == 0 && !g.empty()
	}
	n, err := strconv.ParseUint(string(digits), base, bits)
	return n, err == nil
}

// tails returns the ends of a span that may be a group: all digits at its end, and fewer if one
// of these digits may be the length of a label, after which the group begins.
func (g span) tails(in []byte, is func(byte) bool) []span {
	from := g.to
	for from > g.from && is(in[from-1]) {
		from--
	}
	all := []span{{from, g.to}}
	for at := max(from, g.to-longestLabel); at+1 < g.to; at++ {
		if isDigit(in[at]) && isLengthAt(in, at) {
			all = append(all, span{at + 1, g.to})
		}
	}
	return all
}

// heads returns the beginnings of a span that may be a group: all digits at its start, and fewer
// if one of these digits may be the length of the next label.
func (g span) heads(in []byte, is func(byte) bool) []span {
	to := g.from
	for to < g.to && is(in[to]) {
		to++
	}
	all := []span{{g.from, to}}
	for at := g.from + 1; at < min(to, g.from+longestLabel); at++ {
		if isDigit(in[at]) && isLengthAt(in, at) {
			all = append(all, span{g.from, at})
		}
	}
	return all
}
