package explain_test

import (
	"math/rand/v2"
	"net/netip"
	"strings"
	"unicode"

	"golang.org/x/net/idna"
	"golang.org/x/text/unicode/norm"
	"pgregory.net/rapid"
)

// A gen draws values. Values that rapid need not shrink come from a generator r, which rapid
// seeds.
type gen struct {
	*rapid.T
	r     *rand.Rand
	dense bool // addresses are written with all zeros: without some, a shorter one is another
}

func newGen(t *rapid.T) gen {
	return gen{T: t, r: rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 0))}
}

// below draws a number below n.
func (g gen) below(n int) int { return rapid.IntRange(0, n-1).Draw(g.T, "below") }

func (g gen) bool() bool { return rapid.Bool().Draw(g.T, "bool") }

func pick[T any](g gen, of ...T) T { return of[g.r.IntN(len(of))] }

// word draws a label of six to ten letters.
func (g gen) word() string {
	b := make([]byte, 6+g.r.IntN(5))
	for i := range b {
		b[i] = 'a' + byte(g.r.IntN(26))
	}
	return string(b)
}

// words draws up to n labels.
func (g gen) words(n int) []string {
	var all []string
	for range g.below(n + 1) {
		all = append(all, g.word())
	}
	return all
}

// junk draws up to n octets.
func (g gen) junk(n int) string {
	b := make([]byte, g.r.IntN(n+1))
	for i := range b {
		b[i] = byte(g.r.Uint32())
	}
	return string(b)
}

// letters are not ASCII: some have a decomposed form, several lower cases, or cases of different
// length in UTF-8.
var letters = []rune("äéñçüößþяωσςⱥ")

// uWord draws a label with such letters.
func (g gen) uWord() string {
	word := []rune(g.word())
	for range 1 + g.r.IntN(3) {
		word[g.r.IntN(len(word))] = pick(g, letters...)
	}
	return string(word)
}

// spelled draws a spelling of a configured name, in any case.
func (g gen) spelled(name string) string {
	switch g.below(3) {
	case 0:
		name = norm.NFC.String(name)
	case 1:
		name = norm.NFD.String(name)
	default:
		name, _ = idna.Punycode.ToASCII(name)
	}
	return g.cased(name)
}

// cased changes the case of some runes.
func (g gen) cased(text string) string {
	often := g.below(4)
	return strings.Map(func(r rune) rune {
		for range g.r.IntN(1 + often) {
			r = unicode.SimpleFold(r)
		}
		return r
	}, text)
}

// Networks that contain all entries. Addresses with shorter numbers and groups occur by chance.
var (
	all4 = netip.MustParsePrefix("198.18.0.0/15")
	all6 = netip.MustParsePrefix("2001:db8::/32")
)

// inside draws an address of a network. Some have small numbers and zero groups.
func (g gen) inside(p netip.Prefix) netip.Addr {
	b := p.Addr().AsSlice()
	small := g.below(3) == 0
	for i := p.Bits() / 8; i < len(b); i++ {
		v := byte(g.r.Uint32())
		if small {
			v &= byte(g.r.IntN(8))
		}
		if bits := p.Bits() - 8*i; bits > 0 {
			v = b[i] | v&(0xff>>bits)
		}
		b[i] = v
	}
	if from := (p.Bits() + 15) / 16 * 2; small && from < len(b) {
		clear(b[from+g.r.IntN(len(b)-from)&^1:][:2])
	}
	a, _ := netip.AddrFromSlice(b)
	return a
}

// prefix draws a network of from to to bits.
func (g gen) prefix(six bool, from, to int) netip.Prefix {
	in := all4
	if six {
		in = all6
	}
	bits := from + g.below(to-from+1)
	switch g.below(3) {
	case 0:
		bits = to
	case 1:
		bits = max(from, bits&^7)
	}
	p, _ := g.inside(in).Prefix(bits)
	return p
}

// next draws an address of the network directly before or after p.
func (g gen) next(p netip.Prefix) netip.Addr {
	b := p.Addr().AsSlice()
	by := 1
	if g.bool() {
		by = -1
	}
	step := 1 << (7 - (p.Bits()-1)%8)
	for i := (p.Bits() - 1) / 8; i >= 0 && by != 0; i-- {
		sum := int(b[i]) + by*step
		b[i] = byte(sum)
		if 0 <= sum && sum <= 255 {
			break
		}
		step = 1
	}
	a, _ := netip.AddrFromSlice(b)
	return g.inside(netip.PrefixFrom(a, p.Bits()))
}

// A kind is a reason for which an item is local.
type kind int

const (
	localName kind = iota
	oneLabel
	localNetwork
	resolver       // a single address, configured
	ownAddress     // the resolver's address in the response
	queryAddress   // the resolver's address in the query
	identity       // a prefix that identifies the resolver
	outgoing       // a wider prefix, which does not
	querySubnet    // the client subnet in the query
	responseSubnet // the client subnet in the response
	wideSubnet     // a client subnet of too few bits
	numKinds
)

// An entry is one local item.
type entry struct {
	kind   kind
	name   string // in U-labels
	prefix netip.Prefix
}

func (e *entry) is6() bool    { return e.prefix.Addr().Is6() }
func (e *entry) isName() bool { return e.kind <= oneLabel }
func (e *entry) single() bool { return e.prefix.IsSingleIP() }
func (e *entry) isResolver() bool {
	return e.kind >= resolver && e.kind <= identity
}
func (e *entry) isSubnet() bool { return e.kind == querySubnet || e.kind == responseSubnet }

// entry draws an entry of a kind.
func (g gen) entry(k kind, six bool) entry {
	e := entry{kind: k}
	bits := 32
	if six {
		bits = 128
	}
	short := func(v4, v6 int) int {
		if six {
			return v6
		}
		return v4
	}
	switch k {
	case localName, oneLabel:
		n := 1
		if k == localName {
			n = 2 + g.below(3)
		}
		idn := g.below(2) == 0
		var labels []string
		for i := range n {
			switch {
			case idn && g.bool():
				labels = append(labels, g.uWord())
			case i < n-1 && g.r.IntN(4) == 0: // a label of six letters follows
				labels = append(labels, g.word()[:1])
			default:
				labels = append(labels, g.word())
			}
		}
		e.name = strings.Join(labels, ".")
	case localNetwork:
		e.prefix = g.prefix(six, short(15, 32), bits)
	case resolver, ownAddress, queryAddress:
		e.prefix = g.prefix(six, bits, bits)
	case identity:
		e.prefix = g.prefix(six, short(24, 48), bits-1)
	case outgoing:
		e.prefix = g.prefix(six, short(16, 32), short(23, 47))
	case querySubnet, responseSubnet:
		e.prefix = g.prefix(six, short(16, 32), bits)
	case wideSubnet:
		e.prefix = g.prefix(six, short(15, 31), short(15, 31))
	}
	return e
}
