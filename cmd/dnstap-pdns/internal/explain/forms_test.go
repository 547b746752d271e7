package explain_test

import (
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"math/big"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/net/idna"
)

// A form is how an item may be written.
type form struct {
	name           string
	kinds          []kind // of entries
	six            bool   // a form of IPv6 addresses, which may embed an IPv4 address
	four           bool   // a form of IPv4 addresses
	least4, least6 int    // bits of the shortest entry for which it counts

	// write returns an address or a name in this form, and reports whether the entry matches it.
	// If near is true the address is outside the entry, and write must change the name so that it
	// is similar but not the entry's.
	write func(g gen, e *entry, a netip.Addr, near bool) (x content, is bool)

	reverse bool // a reverse name, which counts for client subnets in octets too
	plain   bool // it does not count for embedded IPv4 addresses
}

var (
	names     = []kind{localName}
	addresses = []kind{localNetwork, resolver, ownAddress, queryAddress, identity, outgoing, querySubnet, responseSubnet, wideSubnet}
)

// forms is every form.
var forms = slices.Concat(nameForms, reverseForms, labelForms, textForms(), octetForms, []form{
	{name: "address of IPv4", kinds: addresses, four: true, write: anAddress},
	{name: "address of IPv6", kinds: addresses, six: true, write: anAddress},
})

func anAddress(_ gen, _ *entry, a netip.Addr, near bool) (content, bool) {
	return content{addr: a}, !near
}

// within returns labels with words before and after them.
func within(g gen, labels ...string) content {
	return content{labels: slices.Concat(g.words(2), labels, g.words(2))}
}

// nameForms are the forms of local names.
var nameForms = []form{
	{name: "local name", kinds: names, write: func(g gen, e *entry, _ netip.Addr, near bool) (content, bool) {
		labels := strings.Split(g.spelled(e.name), ".")
		if near {
			longer(g, labels)
		}
		return content{labels: append(g.words(3), labels...)}, !near
	}},
	{name: "local name inside", kinds: names, write: func(g gen, e *entry, _ netip.Addr, near bool) (content, bool) {
		labels := strings.Split(g.spelled(e.name), ".")
		if near {
			longer(g, labels)
		}
		return content{labels: slices.Concat(g.words(2), labels, []string{g.word()}, g.words(2)), inside: true}, !near
	}},
	{name: "local name in parts of labels", kinds: names, write: func(g gen, e *entry, _ netip.Addr, near bool) (content, bool) {
		labels := strings.Split(g.spelled(e.name), ".")
		if near {
			longer(g, labels)
		}
		after, next := g.words(2), ""
		if g.bool() {
			labels[0] = g.word() + pick(g, "@", " ", "!", ".", "/", "\x00", "\xff") + labels[0]
		}
		if g.bool() {
			next = pick(g, "@", " ", "!", ".", "/", "\x00", "\xff")
			labels[len(labels)-1] += next + g.word()
		}
		if joined := strings.Join(labels, "."); g.bool() && len(joined) < 64 {
			labels = []string{joined}
		}
		x := content{labels: slices.Concat(g.words(2), labels, after), inside: next != "" || len(after) > 0}
		isSuffix := next != "" && next != "." && len(after) == 0 // the last label is the public suffix
		return x, !near && !isSuffix
	}},
	{name: "public suffix in a local name", kinds: names, write: func(g gen, e *entry, _ netip.Addr, near bool) (content, bool) {
		zone, after := pick(g, "edu", "com", "org"), pick(g, "sa", "au", "br", "mx")
		if !near { // no public suffix, or one in the list's private section
			zone, after = pick(g, "github", "blogspot", "herokuapp", g.word()), pick(g, "io", "com", "sa", "uk")
		} else if g.below(4) == 0 {
			zone, after = g.word(), pick(g, "ck", "np", "mm") // every name below is a suffix
		}
		e.name = strings.Join([]string{g.word(), zone}, ".")
		labels := strings.Split(g.spelled(e.name), ".")
		text := strings.Join(labels, ".") + "." + after
		return content{
			labels: slices.Concat(g.words(2), labels, []string{after}), inside: true,
			text: pick(g, "", "x ", "www.", "(", "@") + text + pick(g, "", ".", ". ", " x.net", "/x.net", "..", "\xc3"),
		}, !near
	}},
	{name: "local name as text", kinds: names, write: func(g gen, e *entry, _ netip.Addr, near bool) (content, bool) {
		labels := strings.Split(g.spelled(e.name), ".")
		if near {
			longer(g, labels)
		}
		before := pick(g, "", " ", "x.", "@", "http://", "(", "\x00", "\xc3", "=", "é ")
		return content{text: before + strings.Join(labels, ".") + pick(g, "", " ", ".", "..", ".host-word", "/", ")", "\x00", "\xa9", ":", " x.uk")}, !near
	}},
	{name: "local name of one label", kinds: []kind{oneLabel}, write: func(g gen, e *entry, _ netip.Addr, near bool) (content, bool) {
		label := g.spelled(e.name)
		labels := []string{label}
		switch {
		case near && g.bool():
			labels = []string{label, g.word()}
		case near:
			longer(g, labels)
		}
		x := content{labels: append(g.words(3), labels...)}
		if near {
			x.text = " " + label + " "
		}
		return x, !near
	}},
	{name: "local name in wire form", kinds: names, write: func(g gen, e *entry, _ netip.Addr, near bool) (content, bool) {
		labels := strings.Split(g.spelled(e.name), ".")
		if near {
			longer(g, labels)
		}
		return content{octets: g.cut(wireName(append(labels, g.words(1)...)))}, !near
	}},
	{name: "local name of one label in wire form", kinds: []kind{oneLabel}, write: func(g gen, e *entry, _ netip.Addr, near bool) (content, bool) {
		labels := []string{g.spelled(e.name)}
		switch {
		case near && g.bool():
			labels = append(labels, g.word())
		case near:
			longer(g, labels)
		}
		return content{octets: string(wireName(labels))}, !near
	}},
}

// cut returns a name with or without the root label.
func (g gen) cut(name []byte) string { return string(name[:len(name)-g.r.IntN(2)]) }

// longer changes labels, most often by making one longer, so that they are another name.
func longer(g gen, labels []string) {
	last := len(labels) - 1
	switch g.below(5) {
	case 0:
		labels[0] = pick(g, "x", "7", "-", "_", "é", "я", "٣") + labels[0]
	case 1:
		labels[last] += pick(g, "x", "7", "-", "_", "é", "я", "٣")
	case 2:
		labels[last] += "x"
		labels[0] = "x" + labels[0]
	case 3:
		if last > 0 {
			labels[0] += "x"
			return
		}
		labels[0] = "x" + labels[0]
	default:
		labels[last] = labels[last][:1] + "-" + labels[last][1:]
	}
}

// numbers4 returns the four numbers of an IPv4 address in reverse order.
func numbers4(a netip.Addr) (all []string) {
	for _, b := range a.As4() {
		all = append([]string{strconv.Itoa(int(b))}, all...)
	}
	return all
}

// nibbles6 returns the 32 nibbles of an IPv6 address in reverse order.
func nibbles6(a netip.Addr) (all []string) {
	octets := a.As16()
	for _, d := range hex.EncodeToString(octets[:]) {
		all = append([]string{string(d)}, all...)
	}
	return all
}

// reverseName returns labels, which end in a reverse name, as labels, as text and as octets.
func reverseName(g gen, labels ...string) content {
	labels = append(labels, g.words(2)...)
	text := strings.ReplaceAll(strings.Join(labels, "."), "/", "-") // a name in text has no slash
	return content{
		labels: labels,
		text:   pick(g, "", " ", "(", "/") + g.cased(text) + pick(g, "", ".", " ", ")", "!"),
		octets: g.cut(wireName(labels)),
		apart:  true,
	}
}

// isPart reports whether the reverse name of a network matches the entry. before is true if other
// labels precede it.
func (e *entry) isPart(network netip.Prefix, before bool) bool {
	return network.Overlaps(e.prefix) && (e.prefix.Bits() <= network.Bits() || before && !(e.isResolver() && e.single()))
}

// reverseForms are the forms of reverse names.
var reverseForms = []form{
	{name: "reverse name of IPv4", kinds: addresses, four: true, reverse: true, write: func(g gen, e *entry, a netip.Addr, near bool) (content, bool) {
		before := g.words(2)
		if g.bool() {
			before = append(before, strconv.Itoa(g.below(300)))
		}
		return reverseName(g, slices.Concat(before, numbers4(a), inAddr)...), !near
	}},
	{name: "reverse name of an IPv4 network", kinds: addresses, four: true, reverse: true, write: func(g gen, e *entry, a netip.Addr, near bool) (content, bool) {
		octets := 1 + g.below(3)
		before := g.words(2)
		network, _ := a.Prefix(8 * octets)
		return reverseName(g, slices.Concat(before, numbers4(a)[4-octets:], inAddr)...), e.isPart(network, len(before) > 0)
	}},
	{name: "reverse name as in RFC 2317", kinds: addresses, four: true, reverse: true, write: func(g gen, e *entry, a netip.Addr, near bool) (content, bool) {
		numbers := numbers4(a)
		host := pick(g, numbers[0], numbers[0], g.word())
		of := pick(g, "0/25-sub", "64-95-sub", "sub", "256", "1000") // 0/25 would be a number in text
		before := slices.Concat(g.words(1), []string{host}, g.words(1), []string{of})
		network, _ := a.Prefix(24)
		is := e.isPart(network, true)
		if e.isResolver() && e.single() {
			is = network.Contains(e.prefix.Addr()) && host == numbers4(e.prefix.Addr())[0]
		}
		return reverseName(g, slices.Concat(before, numbers[1:], inAddr)...), is
	}},
	{name: "reverse name of IPv6", kinds: addresses, six: true, reverse: true, write: func(g gen, e *entry, a netip.Addr, near bool) (content, bool) {
		before := g.words(2)
		if g.bool() {
			before = append(before, "b")
		}
		return reverseName(g, slices.Concat(before, nibbles6(a), ip6)...), !near
	}},
	{name: "reverse name of an IPv6 network", kinds: addresses, six: true, plain: true, reverse: true, write: func(g gen, e *entry, a netip.Addr, near bool) (content, bool) {
		nibbles := 1 + g.below(31)
		before := g.words(2)
		network, _ := a.Prefix(4 * nibbles)
		return reverseName(g, slices.Concat(before, nibbles6(a)[32-nibbles:], ip6)...), e.isPart(network, len(before) > 0)
	}},
}

var inAddr, ip6 = []string{"in-addr", "arpa"}, []string{"ip6", "arpa"}

// zeros returns a number with zeros before it.
func zeros(g gen, number string, most int) string {
	return strings.Repeat("0", g.r.IntN(max(1, most-len(number)+1))) + number
}

// labelForms are the forms of addresses as labels.
var labelForms = []form{
	{name: "labels of IPv4, reversed", kinds: addresses, four: true, write: func(g gen, e *entry, a netip.Addr, near bool) (content, bool) {
		return aRow(g, near, numbers4(a)), !near
	}},
	{name: "labels of IPv4", kinds: addresses, four: true, write: func(g gen, e *entry, a netip.Addr, near bool) (content, bool) {
		labels := numbers4(a)
		slices.Reverse(labels)
		for i := range labels {
			labels[i] = zeros(g, labels[i], pick(g, 3, 3, 6))
		}
		return aRow(g, near, labels), !near
	}},
	{name: "labels of IPv6, reversed", kinds: addresses, six: true, write: func(g gen, e *entry, a netip.Addr, near bool) (content, bool) {
		return aRow(g, near, nibbles6(a)), !near
	}},
	{name: "labels of IPv6", kinds: addresses, six: true, write: func(g gen, e *entry, a netip.Addr, near bool) (content, bool) {
		var labels []string
		for _, group := range groupsOf(a) {
			labels = append(labels, zeros(g, group, 4))
		}
		return aRow(g, near, labels), !near
	}},
	{name: "labels before ip6.arpa", kinds: addresses, four: true, write: func(g gen, e *entry, a netip.Addr, near bool) (content, bool) {
		item := pick(g, numbers4(a), []string{strings.ReplaceAll(a.String(), ".", "-")})
		foreign := append(strings.Split("1.0.0.2", "."), ip6...)
		if near = near || g.bool(); near {
			return content{labels: slices.Concat(g.words(1), item, g.words(1), foreign, g.words(1))}, false
		}
		return content{labels: slices.Concat(g.words(1), foreign, g.words(1), item, g.words(1))}, true
	}},
}

// aRow returns labels among other labels. Unless near, numbers may precede and follow them.
func aRow(g gen, near bool, labels []string) content {
	if !near && g.below(3) == 0 {
		labels = append([]string{strconv.Itoa(g.below(10))}, labels...)
	}
	if !near && g.below(3) == 0 {
		labels = append(labels, strconv.Itoa(g.below(10)))
	}
	return within(g, labels...)
}

// groupsOf returns the groups of an IPv6 address.
func groupsOf(a netip.Addr) (all []string) {
	b := a.As16()
	for i := 0; i < 16; i += 2 {
		all = append(all, strconv.FormatUint(uint64(binary.BigEndian.Uint16(b[i:])), 16))
	}
	return all
}

// A wording is a form that is text, or inside a label.
type wording struct {
	form
	text func(g gen, a netip.Addr) string
	// longer makes the text part of a longer number.
	longer func(text string) string
	before []string // texts that may precede it
	after  []string
}

// quad returns a writer of four numbers as text.
func quad(by string, reversed bool) func(gen, netip.Addr) string {
	return func(g gen, a netip.Addr) string {
		numbers := numbers4(a)
		if !reversed {
			slices.Reverse(numbers)
		}
		if g.bool() {
			for i := range numbers {
				numbers[i] = zeros(g, numbers[i], pick(g, 3, 5))
			}
		}
		return strings.Join(numbers, by)
	}
}

// groups returns a writer of IPv6 addresses as text.
func groups(by string) func(gen, netip.Addr) string {
	return func(g gen, a netip.Addr) string {
		all := groupsOf(a)
		least := 1
		if by != ":" {
			least = 3
		}
		from := g.r.IntN(8)
		if zero := slices.Index(all, "0"); zero >= 0 && g.bool() {
			from = zero
		}
		to := from
		for to < 8 && !g.dense && all[to] == "0" && from+8-to > least {
			to++
		}
		for i := range all {
			all[i] = zeros(g, all[i], pick(g, 1, 4))
		}
		tail := slices.Clone(all[to:])
		b := a.As16()
		if last := netip.AddrFrom4([4]byte(b[12:])); by == ":" && len(tail) >= 2 && !all4.Contains(last) && g.bool() {
			tail = append(tail[:len(tail)-2], last.String())
		}
		text := strings.Join(append(slices.Clone(all[:from]), tail...), by)
		if to > from {
			text = strings.Join(all[:from], by) + by + by + strings.Join(tail, by)
		}
		return g.cased(text)
	}
}

// decimal returns an address as a decimal number. An IPv4-compatible IPv6 address would have the
// number of its IPv4 address.
func decimal(g gen, a netip.Addr) string {
	if compatible.Contains(a) {
		b := a.As16()
		a = netip.AddrFrom16([16]byte(append([]byte(foreign+"\x00\x01\x02\x03"), b[12:]...)))
	}
	return zeros(g, new(big.Int).SetBytes(a.AsSlice()).String(), 45)
}

func hexadecimal(g gen, a netip.Addr) string { return g.cased(hex.EncodeToString(a.AsSlice())) }

func prefixed(text string) string { return "1" + strings.TrimLeft(text, "0") }

// textForms returns the forms of addresses as text.
func textForms() (all []form) {
	var wordings []wording
	digitBefore := []string{"", "x", "ip", " ", "(", "=", "v=", "host-", "é", "\xff", "7x"}
	digitAfter := []string{"", "x", "-host", " ", ")", "/", "a", "é", "\xff", "x7"}
	for _, by := range []string{".", "-", "_"} {
		before, after := append([]string{"9" + by, "300" + by}, digitBefore...), append([]string{by + "9", by + "300"}, digitAfter...)
		wordings = append(wordings,
			wording{form{name: "numbers with " + by, four: true}, quad(by, false), prefixed, before, after},
			wording{form{name: "numbers with " + by + ", reversed", four: true, least4: 16}, quad(by, true), func(text string) string {
				return text + "1"
			}, before, after},
		)
	}
	hexBefore, hexAfter := []string{"", " ", "x-", ".", "_", "(", "é", "\xff"}, []string{"", " ", "-x", ".", "_", ")", "é", "\xff"}
	wordings = append(wordings,
		wording{form{name: "decimal number, IPv4", four: true, least4: 24}, decimal, prefixed, digitBefore, digitAfter},
		wording{form{name: "decimal number, IPv6", six: true, least4: 24, least6: 48}, decimal, func(text string) string {
			return strings.TrimLeft(text, "0") + "12"
		}, digitBefore, digitAfter},
		wording{form{name: "hexadecimal, IPv4", four: true, least4: 16}, hexadecimal, prefixed, hexBefore, hexAfter},
		wording{form{name: "hexadecimal, IPv6", six: true, least4: 16, least6: 48}, hexadecimal, func(text string) string {
			return text + "g"
		}, hexBefore, hexAfter},
		wording{form{name: "nibbles with .", six: true}, func(g gen, a netip.Addr) string {
			return g.cased(strings.Join(nibbles6(a), "."))
		}, func(text string) string { return "1" + text }, []string{"", " ", "x.", "7.", "-", "é", "\xff"}, []string{"", " ", ".x", ".f", "-", "é", "\xff"}},
	)
	for _, by := range []string{":", "-", "_", "."} {
		before, after := []string{"", " ", "x", "host" + by, "5" + by, "[", "é", "\xff"}, []string{"", " ", "x", by + "host", by + "7", "]", "/64", "é", "\xff"}
		wordings = append(wordings, wording{form{name: "groups with " + by, six: true}, groups(by), func(text string) string {
			if strings.HasPrefix(text, by) {
				return "5" + strings.TrimLeft(text, by) // without zeros
			}
			return "01234" + text
		}, before, after})
	}
	for _, w := range wordings {
		f := w.form
		f.kinds = addresses
		f.write = func(g gen, e *entry, a netip.Addr, near bool) (content, bool) {
			g.dense = near
			text := w.text(g, a)
			before, after := pick(g, w.before...), pick(g, w.after...)
			if near || g.bool() {
				before, after = "", ""
			}
			if near && e.is6() == f.six && g.bool() {
				text = w.longer(w.text(g, g.inside(e.prefix)))
			}
			x := content{text: before + text + after}
			if label := text; len(label) < 64 {
				if len(x.text) < 64 {
					label = x.text
				}
				x.labels = within(g, label).labels
			}
			return x, !near
		}
		all = append(all, f)
	}
	return all
}

// octetForms are the forms of addresses in octets.
var octetForms = []form{
	{name: "octets of IPv4", kinds: addresses, four: true, write: func(g gen, e *entry, a netip.Addr, near bool) (content, bool) {
		return content{octets: string(a.AsSlice())}, !near && e.single()
	}},
	{name: "octets of IPv6", kinds: addresses, six: true, plain: true, write: func(g gen, e *entry, a netip.Addr, near bool) (content, bool) {
		return content{octets: string(a.AsSlice())}, !near
	}},
	{name: "octets of an IPv6 prefix", kinds: []kind{identity}, six: true, plain: true, write: func(g gen, e *entry, _ netip.Addr, near bool) (content, bool) {
		octets, whole := g.inside(e.prefix).AsSlice(), e.prefix.Bits()/8
		n := whole + g.below(16-whole)
		switch {
		case near && g.bool():
			n = whole - 1
		case near:
			octets[whole-1] ^= 1
		}
		return content{octets: string(octets[:n]), whole: true}, !near
	}},
}

// An embedding is a way to embed an IPv4 address in an IPv6 address.
type embedding struct {
	name   string
	single bool // counts for single addresses only
	never  bool // counts for nothing
	octets func(g gen, v4 string) string
}

var embeddings = []embedding{
	{"mapped", false, false, func(_ gen, v4 string) string { return strings.Repeat("\x00", 10) + "\xff\xff" + v4 }},
	{"NAT64", false, false, func(_ gen, v4 string) string { return "\x00\x64\xff\x9b" + strings.Repeat("\x00", 8) + v4 }},
	{"6to4", false, false, func(g gen, v4 string) string { return "\x20\x02" + v4 + octets(g, 10) }},
	{"local NAT64, 48", false, false, func(g gen, v4 string) string {
		return "\x00\x64\xff\x9b\x00\x01" + v4[:2] + octets(g, 1) + v4[2:] + octets(g, 5)
	}},
	{"local NAT64, 56", false, false, func(g gen, v4 string) string {
		return "\x00\x64\xff\x9b\x00\x01" + octets(g, 1) + v4[:1] + octets(g, 1) + v4[1:] + octets(g, 4)
	}},
	{"local NAT64, 64", false, false, func(g gen, v4 string) string {
		return "\x00\x64\xff\x9b\x00\x01" + octets(g, 3) + v4 + octets(g, 3)
	}},
	{"local NAT64, 96", false, false, func(g gen, v4 string) string { return "\x00\x64\xff\x9b\x00\x01" + octets(g, 6) + v4 }},
	{"RFC 6052, 32", true, false, func(g gen, v4 string) string { return foreign[:4] + v4 + strings.Repeat("\x00", 8) }},
	{"RFC 6052, 40", true, false, func(g gen, v4 string) string {
		return foreign[:5] + v4[:3] + "\x00" + v4[3:] + strings.Repeat("\x00", 6)
	}},
	{"RFC 6052, 48", true, false, func(g gen, v4 string) string {
		return foreign[:6] + v4[:2] + "\x00" + v4[2:] + strings.Repeat("\x00", 5)
	}},
	{"RFC 6052, 56", true, false, func(g gen, v4 string) string {
		return foreign[:7] + v4[:1] + "\x00" + v4[1:] + strings.Repeat("\x00", 4)
	}},
	{"RFC 6052, 64", true, false, func(g gen, v4 string) string { return foreign[:8] + "\x00" + v4 + "\x00\x00\x00" }},
	{"RFC 6052, 96", true, false, func(g gen, v4 string) string { return foreign[:8] + "\x00" + octets(g, 3) + v4 }},
	{"compatible", true, false, func(g gen, v4 string) string { return strings.Repeat("\x00", 12) + v4 }},
	{"ISATAP", true, false, func(g gen, v4 string) string { return foreign[:8] + pick(g, "\x00", "\x02") + "\x00\x5e\xfe" + v4 }},
	{"server of Teredo", true, false, func(g gen, v4 string) string { return "\x20\x01\x00\x00" + v4 + octets(g, 8) }},
	{"client of Teredo", true, false, func(g gen, v4 string) string {
		b := []byte("\x20\x01\x00\x00" + octets(g, 8) + v4)
		for i := 12; i < 16; i++ {
			b[i] ^= 0xff
		}
		return string(b)
	}},
	{"nothing that is known", false, true, func(g gen, v4 string) string { return foreign[:8] + "\x01" + octets(g, 2) + v4 + "\x01" }},
}

var compatible = netip.MustParsePrefix("::/96")

// foreign is the beginning of an address that no entry contains.
const foreign = "\x2a\x00\x12\x34\x56\x78\x9a\xbc"

// octets returns n octets that begin no entry.
func octets(g gen, n int) string {
	b := make([]byte, n)
	for i := range b {
		b[i] = 0x80 + byte(g.r.IntN(0x40))
	}
	return string(b)
}

// embed embeds an IPv4 address, and reports whether it counts for the entry in this form.
func embed(g gen, e *entry, a netip.Addr) (netip.Addr, bool) {
	how := pick(g, embeddings...)
	return netip.AddrFrom16([16]byte([]byte(how.octets(g, string(a.AsSlice()))))), !how.never && (!how.single || e.single())
}

// inALabels returns a name in A-labels.
func inALabels(name string) string {
	a, err := idna.New(idna.MapForLookup(), idna.Transitional(false), idna.StrictDomainName(false)).ToASCII(name)
	if err != nil {
		panic(fmt.Sprintf("%q: %v", name, err))
	}
	return a
}
