package transform

import (
	"bytes"
	"slices"
)

// A nameSet holds local names, and finds them as names and in other octets. A
// name is in the set if it is equal to or under an entry, by whole labels.
type nameSet struct {
	wire map[string]struct{} // lowercase wire form, with the root
	text map[string]struct{} // lowercase presentation form

	wireLens [maxName + 1]bool  // of entries with the root
	firsts   map[string][]uint8 // those lengths by entries' first two labels, or only one, as text
	begins   [64][4]uint64      // by the length of a first label: what octets it begins with
	dotted   bool               // every entry has two labels or more

	foreign      map[[2]byte][][]byte // spellings in U-labels by their first two octets
	foreignFirst [256]bool            // the first of those
}

// newNameSet takes names as ParseLocalName returns them; texts are their
// spellings in U-labels, to look for in text only.
func newNameSet(names, texts []string) (*nameSet, error) {
	s := &nameSet{
		wire:   map[string]struct{}{},
		text:   map[string]struct{}{},
		firsts: map[string][]uint8{},
		dotted: true,

		foreign: map[[2]byte][][]byte{},
	}
	for _, name := range names {
		wire, err := packName(name)
		if err != nil {
			return nil, err
		}
		s.wire[string(wire)] = struct{}{}
		s.text[name] = struct{}{}
		s.wireLens[len(wire)] = true
		s.addFirst(wire, name)
	}
	for _, t := range texts {
		key := [2]byte([]byte(t)) // a U-label has an octet beyond ASCII, so two at least
		s.foreign[key] = append(s.foreign[key], []byte(t))
		s.foreignFirst[t[0]] = true
	}
	return s, nil
}

func (s *nameSet) addFirst(wire []byte, name string) {
	first := int(wire[0])
	s.begins[first][name[0]>>6] |= 1 << (name[0] & 63)
	s.dotted = s.dotted && first < len(name)
	key := name[:twoLabels([]byte(name), first)]
	if n := uint8(len(wire)); !slices.Contains(s.firsts[key], n) {
		s.firsts[key] = append(s.firsts[key], n)
	}
}

// twoLabels returns where the second label of text ends, of which the first ends
// at first.
func twoLabels(text []byte, first int) int {
	if first == len(text) {
		return first
	}
	if dot := bytes.IndexByte(text[first+1:], '.'); dot >= 0 {
		return first + 1 + dot
	}
	return len(text)
}

// mayBegin reports whether an entry's first label is so long and begins so.
func (s *nameSet) mayBegin(length int, first byte) bool {
	return 0 < length && length < 64 && s.begins[length][first>>6]&(1<<(first&63)) != 0
}

// beginning returns the lengths in wire form of the entries of one label, and of
// those of several, that begin as lowercase text does whose first label ends at
// first.
func (s *nameSet) beginning(text []byte, first int) (one, several []uint8) {
	if !s.dotted {
		one = s.firsts[string(text[:first])]
	}
	if first < len(text) {
		several = s.firsts[string(text[:twoLabels(text, first)])]
	}
	return one, several
}

func (s *nameSet) empty() bool { return len(s.wire) == 0 }

// hasName reports whether an uncompressed name in lowercase wire form is local.
func (s *nameSet) hasName(name []byte) bool {
	for off := 0; off < len(name) && name[off] != 0; off += 1 + int(name[off]) {
		if s.wireLens[len(name)-off] && s.mayBegin(int(name[off]), name[off+1]) {
			if _, ok := s.wire[string(name[off:])]; ok {
				return true
			}
		}
	}
	return false
}

// inToken reports whether an entry stands in lowercase text of name characters,
// whole labels of it; end tells that the text does not go on.
func (s *nameSet) inToken(text []byte, end bool) bool {
	for len(text) > 0 {
		first := bytes.IndexByte(text, '.')
		if first < 0 {
			first = len(text)
		}
		if s.mayBegin(first, text[0]) {
			one, several := s.beginning(text, first)
			if s.stands(text, one, end) || s.stands(text, several, end) {
				return true
			}
		}
		text = text[min(first+1, len(text)):]
	}
	return false
}

// stands reports whether text begins with an entry of one of these lengths.
func (s *nameSet) stands(text []byte, lengths []uint8, end bool) bool {
	for _, length := range lengths {
		stop := int(length) - len("\x00\x00") // the first length octet and the root
		if stop > len(text) || stop < len(text) && text[stop] != '.' || stop == len(text) && !end {
			continue
		}
		if _, ok := s.text[string(text[:stop])]; ok {
			return true
		}
	}
	return false
}

// foreignIn reports whether a spelling in U-labels stands in text, bounded by
// other than label characters, without regard to ASCII case.
func (s *nameSet) foreignIn(b []byte) bool {
	if len(s.foreign) == 0 {
		return false
	}
	for i := 0; i+1 < len(b); i++ {
		if !s.foreignFirst[toLower(b[i])] || i > 0 && isLabelChar(b[i-1]) {
			continue
		}
		for _, name := range s.foreign[[2]byte{toLower(b[i]), toLower(b[i+1])}] {
			end := i + len(name)
			if end <= len(b) && equalFold(b[i:end], name) && (end == len(b) || !isLabelChar(b[end])) {
				return true
			}
		}
	}
	return false
}
