package transform

// A nameSet holds local names, and finds them as names and in other octets. A
// name is in the set if it is equal to or under an entry, by whole labels.
type nameSet struct {
	wire map[string]struct{} // lowercase wire form, with the root
	text map[string]struct{} // lowercase presentation form

	wireLens [maxName + 1]bool // of entries with the root
	textLens []int             // distinct
	firstLen [64]bool          // of entries' first labels
	dotted   bool              // every entry has two labels or more
	foreign  [][]byte          // spellings with octets beyond ASCII
}

// newNameSet takes names as ParseLocalName returns them; texts are their
// spellings in U-labels, to look for in text only.
func newNameSet(names, texts []string) (*nameSet, error) {
	s := &nameSet{wire: map[string]struct{}{}, text: map[string]struct{}{}, dotted: true}
	for _, name := range names {
		wire, err := packName(name)
		if err != nil {
			return nil, err
		}
		s.wire[string(wire)] = struct{}{}
		s.wireLens[len(wire)] = true
		s.firstLen[wire[0]] = true
		s.addText(name, int(wire[0])+2 < len(wire))
	}
	for _, t := range texts {
		s.foreign = append(s.foreign, []byte(t))
	}
	return s, nil
}

func (s *nameSet) addText(name string, dotted bool) {
	s.dotted = s.dotted && dotted
	if _, known := s.text[name]; known {
		return
	}
	s.text[name] = struct{}{}
	for _, n := range s.textLens {
		if n == len(name) {
			return
		}
	}
	s.textLens = append(s.textLens, len(name))
}

func (s *nameSet) empty() bool { return len(s.wire) == 0 }

// hasName reports whether an uncompressed name in lowercase wire form is local.
func (s *nameSet) hasName(name []byte) bool {
	for off := 0; off < len(name) && name[off] != 0; off += 1 + int(name[off]) {
		if s.wireLens[len(name)-off] {
			if _, ok := s.wire[string(name[off:])]; ok {
				return true
			}
		}
	}
	return false
}
