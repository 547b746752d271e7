package transform

import (
	"cmp"
	"container/heap"
	"slices"
	"strings"
	"unsafe"

	"github.com/miekg/dns"
	"golang.org/x/net/publicsuffix"

	"github.com/dnstap-pdns/dnstap-pdns/transform/dnswire"
)

// maxDomains bounds the domains that the zero DomainCounts holds.
const maxDomains = 256

// A DomainCount is the number of dropped messages with a query name in one registered domain,
// by what forbade the record.
type DomainCount struct {
	Domain          string // presentation form in lower case, without the final dot
	ResolverAddress uint64 // the reason ResolverAddress
	Lookup          uint64 // the reason Lookup
	LocalNameInside uint64 // the rule LocalNameInside
}

// Total is the sum of the three counts.
func (c *DomainCount) Total() uint64 { return c.ResolverAddress + c.Lookup + c.LocalNameInside }

// by returns the count of a rule, or nil if it has none.
func (c *DomainCount) by(r Rule) *uint64 {
	switch why := r.ForbidsAs(); {
	case why == ResolverAddress:
		return &c.ResolverAddress
	case why == Lookup:
		return &c.Lookup
	case r == LocalNameInside:
		return &c.LocalNameInside
	}
	return nil
}

// DomainCounts counts dropped messages by registered domain, for the domains that are
// dropped most: the algorithm is Space-Saving (Metwally, Agrawal, El Abbadi, 2005). It
// holds a limited number of domains; when full, a new domain replaces the one with the
// lowest rank and inherits that rank. So every domain with more than one in limit of all
// drops is held, and no count is above the true one. The zero value is empty and holds
// 256 domains.
type DomainCounts struct {
	limit int // 0: maxDomains
	slots domainHeap
	index map[string]*domainSlot // slots by domain
	text  [dnswire.MaxName]byte  // scratch

	lengths map[string]uint8 // of registered domains, by recently counted names
}

// NewDomainCounts returns an empty DomainCounts that holds limit domains.
func NewDomainCounts(limit int) *DomainCounts { return &DomainCounts{limit: limit} }

type domainSlot struct {
	DomainCount        // Domain in wire form
	rank        uint64 // at least the true total
	at          int    // its index in the heap
}

// A domainHeap is a heap of slots: the first has the lowest rank.
type domainHeap []*domainSlot

func (h domainHeap) Len() int           { return len(h) }
func (h domainHeap) Less(i, j int) bool { return h[i].rank < h[j].rank }
func (h domainHeap) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].at, h[j].at = i, j
}

// Push is for package heap.
func (h *domainHeap) Push(x any) {
	s := x.(*domainSlot)
	s.at = len(*h)
	*h = append(*h, s)
}

// Pop is for package heap. A DomainCounts never removes a slot.
func (h *domainHeap) Pop() any {
	last := len(*h) - 1
	s := (*h)[last]
	*h = (*h)[:last]
	return s
}

// Count counts a message that was dropped by the rule, under the registered domain of
// its query name in lowercase wire form. Rules that have no count are ignored.
func (d *DomainCounts) Count(name []byte, r Rule) {
	var one DomainCount
	if n := one.by(r); n != nil {
		*n = 1
		d.add(view(d.registered(name)), &one, 1)
	}
}

// Merge adds the counts of o.
func (d *DomainCounts) Merge(o *DomainCounts) {
	for _, s := range o.slots {
		d.add(s.Domain, &s.DomainCount, s.rank)
	}
}

// Top returns at most n domains, the highest total first, then in the order of their text.
func (d *DomainCounts) Top(n int) []DomainCount {
	all := make([]DomainCount, 0, len(d.slots))
	for _, s := range d.slots {
		c := s.DomainCount
		c.Domain = shownName(c.Domain)
		all = append(all, c)
	}
	slices.SortFunc(all, func(a, b DomainCount) int {
		return cmp.Or(cmp.Compare(b.Total(), a.Total()), strings.Compare(a.Domain, b.Domain))
	})
	return all[:min(n, len(all))]
}

// shownName returns a name in wire form as text without the final dot.
func shownName(wire string) string {
	text, _, _ := dns.UnpackDomainName([]byte(wire), 0) // Count gets only names
	if text == "." {
		return text
	}
	return strings.TrimSuffix(text, ".")
}

func (d *DomainCounts) add(domain string, c *DomainCount, rank uint64) {
	s := d.slot(domain)
	s.ResolverAddress += c.ResolverAddress
	s.Lookup += c.Lookup
	s.LocalNameInside += c.LocalNameInside
	s.rank += rank
	heap.Fix(&d.slots, s.at)
}

// slot returns the domain's slot. A new domain gets a new slot or, when full, the slot with the
// lowest rank; only then domain is cloned.
func (d *DomainCounts) slot(domain string) *domainSlot {
	s := d.index[domain]
	switch {
	case s != nil:
		return s
	case d.index == nil:
		d.index = map[string]*domainSlot{}
	}
	if len(d.slots) < cmp.Or(d.limit, maxDomains) {
		s = new(domainSlot)
		heap.Push(&d.slots, s)
	} else {
		s = d.slots[0] // it keeps its rank
		delete(d.index, s.Domain)
	}
	s.DomainCount = DomainCount{Domain: strings.Clone(domain)}
	d.index[s.Domain] = s
	return s
}

// registered returns the registered domain of a name in wire form, or the whole name if it has
// none. It remembers the result, because the public suffix list allocates memory at each call.
// An address before the zone of a list is cut off first: otherwise each would be remembered.
func (d *DomainCounts) registered(name []byte) []byte {
	if len(name) < 2 || !dnswire.IsName(name) {
		return name
	}
	var l labels
	l.split(name)
	name = name[l.starts[addressLabels(name, &l)]:]
	n, ok := d.lengths[string(name)]
	if !ok {
		if d.lengths == nil || len(d.lengths) == maxDomains {
			d.lengths = map[string]uint8{}
		}
		n = uint8(len(d.registeredPart(name)))
		d.lengths[string(name)] = n
	}
	return name[len(name)-int(n):]
}

// registeredPart is registered without remembering.
func (d *DomainCounts) registeredPart(name []byte) []byte {
	text := listText(d.text[:0], name)
	suffix, _ := publicsuffix.PublicSuffix(view(text))
	if start := lastLabelBefore(name, len(text)-len(suffix)); start >= 0 {
		return name[start:]
	}
	return name
}

// RegisteredDomain returns the part of a name in lowercase wire form that a registry has
// delegated: the public suffix, by the ICANN section of the list, and one label. It returns nil if
// there is no such label: the name is a public suffix, or a part of one, or the root.
func RegisteredDomain(name []byte) []byte {
	if len(name) < 2 {
		return nil
	}
	var buf [dnswire.MaxName]byte
	if start := lastLabelBefore(name, suffixStart(listText(buf[:0], name))); start >= 0 {
		return name[start:]
	}
	return nil
}

// listText appends a name as the public suffix list expects it, without the final dot. Octets
// that host names do not contain are NUL, because a dot inside a label separates nothing, and
// the list would take "::1%label.example.com" for an address.
func listText(b, name []byte) []byte {
	start := len(b)
	b = append(b, name[1:len(name)-1]...)
	text := b[start:]
	for i, c := range text {
		if !isLabelChar(c) {
			text[i] = 0
		}
	}
	for off := 1 + int(name[0]); off <= len(text); off += 1 + int(name[off]) {
		text[off-1] = '.'
	}
	return b
}

// lastLabelBefore returns the offset of the label of a name that ends before the octet end of the
// name's text; -1 if there is none.
func lastLabelBefore(name []byte, end int) int {
	start := 0
	for next := 1 + int(name[0]); next <= end; next += 1 + int(name[next]) {
		if next == end {
			return start
		}
		start = next
	}
	return -1
}

// view returns b as a string that is valid until b changes.
func view(b []byte) string { return unsafe.String(unsafe.SliceData(b), len(b)) }
