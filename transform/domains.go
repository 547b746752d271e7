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
	switch why := r.Forbids(); {
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

// add adds counts to those of a domain.
func (d *DomainCounts) add(domain string, c *DomainCount, rank uint64) {
	s := d.slot(domain)
	s.ResolverAddress += c.ResolverAddress
	s.Lookup += c.Lookup
	s.LocalNameInside += c.LocalNameInside
	s.rank += rank
	heap.Fix(&d.slots, s.at)
}

// slot returns the domain's slot. domain is cloned if it is kept.
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

// registered returns the end of a name in wire form that is its public suffix and one
// label more, or the whole name if there is none. An address before the name of a list is cut
// off first, because the names in a list are many. The result is remembered, because the
// public suffix list allocates memory at each call.
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

// registeredPart returns the registered domain of a name, by the public suffix list. The text
// for the list is the name without the first length octet and the root; the other length
// octets become dots. Octets that host names do not contain become NUL: a dot in a label does
// not end it, and the list reads "::1%label.example.com" as an address.
func (d *DomainCounts) registeredPart(name []byte) []byte {
	text := d.text[:copy(d.text[:], name[1:len(name)-1])]
	for i, c := range text {
		if !isLabelChar(c) {
			text[i] = 0
		}
	}
	for off := 1 + int(name[0]); off <= len(text); off += 1 + int(name[off]) {
		text[off-1] = '.'
	}
	suffix, _ := publicsuffix.PublicSuffix(view(text))
	start, end := 0, len(text)-len(suffix)
	for next := 1 + int(name[0]); next <= end; next += 1 + int(name[next]) {
		if next == end {
			return name[start:]
		}
		start = next
	}
	return name
}

// view returns b as a string that is valid until b changes.
func view(b []byte) string { return unsafe.String(unsafe.SliceData(b), len(b)) }
