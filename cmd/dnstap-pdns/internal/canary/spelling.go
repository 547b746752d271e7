package canary

import (
	"slices"
	"strings"
	"unicode/utf8"

	"golang.org/x/net/idna"
	"golang.org/x/text/unicode/norm"
)

// A Name is a local name that must not leave.
type Name struct {
	ALabels string // in lower case, without the final dot
	Written string // the name as Hit.Entry shows it
}

// names finds local names, spelled in A-labels, in U-labels in NFC, or in U-labels in NFD.
type names struct {
	written []string
	single  map[string]int // names of one label, folded
	text    spellingSet    // names of several labels, folded
	wire    spellingSet    // every name as labels in wire form, folded
}

// A spellingSet finds every string of a set with which a text begins.
type spellingSet struct {
	names   map[string]int   // index of the name
	lengths map[string][]int // lengths of the strings that begin with this label
}

func newNames(all []Name) *names {
	n := &names{
		single: map[string]int{},
		text:   spellingSet{map[string]int{}, map[string][]int{}},
		wire:   spellingSet{map[string]int{}, map[string][]int{}},
	}
	for i, name := range all {
		n.written = append(n.written, name.Written)
		for _, spelled := range spell(name.ALabels) {
			n.add(i, spelled)
		}
	}
	return n
}

// spell returns the different spellings of a name: A-labels, and U-labels in NFC and in NFD.
func spell(aLabels string) []string {
	all := []string{aLabels}
	uLabels, err := idna.Punycode.ToUnicode(aLabels)
	if err != nil || uLabels == aLabels {
		return all
	}
	all = append(all, norm.NFC.String(uLabels))
	if decomposed := norm.NFD.String(uLabels); decomposed != all[1] {
		all = append(all, decomposed)
	}
	return all
}

func (n *names) add(i int, spelled string) {
	text := fold([]byte(spelled)).text
	first, _, several := strings.Cut(text, ".")
	wire := labels(strings.Split(text, "."))
	switch {
	case several:
		n.text.add(i, first, text)
	default:
		n.single[text] = i
		wire += "\x00" // the name ends here
	}
	if len(first) <= longestLabel {
		n.wire.add(i, wire[:1+len(first)], wire)
	}
}

func (s *spellingSet) add(i int, head, whole string) {
	if _, known := s.names[whole]; known {
		return
	}
	s.names[whole] = i
	for _, n := range s.lengths[head] {
		if n == len(whole) {
			return
		}
	}
	s.lengths[head] = append(s.lengths[head], len(whole))
}

// begin calls found for each string of the set with which in begins; head is the first label of in.
func (s *spellingSet) begin(in, head string, found func(name, length int)) {
	for _, n := range s.lengths[head] {
		if n > len(in) {
			continue
		}
		if i, ok := s.names[in[:n]]; ok {
			found(i, n)
		}
	}
}

// inText calls found for each bounded occurrence of a name of several labels.
func (n *names) inText(t *folded, found func(name, from, to int)) {
	dot := -1 // offset of the next dot; below from if not searched for yet
	for from := range len(t.text) {
		if from > 0 && t.word[from-1] {
			continue
		}
		if dot < from {
			next := strings.IndexByte(t.text[from:], '.')
			if next < 0 {
				return
			}
			dot = from + next
		}
		if dot-from > longestSpelled {
			continue
		}
		n.text.begin(t.text[from:], t.text[from:dot], func(name, length int) {
			if t.bounded(from, from+length) {
				found(name, from, from+length)
			}
		})
	}
}

// longestSpelled exceeds the length in octets of every spelling of a label.
const longestSpelled = 1024

// inOctets calls found for each name that octets contain as labels in wire form.
func (n *names) inOctets(b []byte, found func(name int)) {
	in := lower(string(b))
	for from := range len(in) {
		head, _ := foldLabel(in[from:])
		if len(n.wire.lengths[head]) == 0 {
			continue
		}
		var wire strings.Builder
		longest := slices.Max(n.wire.lengths[head])
		for rest := in[from:]; wire.Len() < longest; {
			label, size := foldLabel(rest)
			wire.WriteString(label)
			if size <= 1 {
				break
			}
			rest = rest[size:]
		}
		n.wire.begin(wire.String(), head, func(name, _ int) { found(name) })
	}
}

// foldLabel returns the label in wire form with which in begins, folded, and its size before
// folding; "" and 0 if in does not begin with a label.
func foldLabel(in string) (label string, size int) {
	if in == "" || in[0] > longestLabel || 1+int(in[0]) > len(in) {
		return "", 0
	}
	size = 1 + int(in[0])
	if isASCII(in[1:size]) {
		return in[:size], size
	}
	text := fold([]byte(in[1:size])).text
	return string([]byte{byte(len(text))}) + text, size
}

// isASCII reports whether a text is ASCII. Folding does not change such a text in lower case.
func isASCII(s string) bool {
	return strings.IndexFunc(s, func(r rune) bool { return r >= utf8.RuneSelf }) < 0
}
