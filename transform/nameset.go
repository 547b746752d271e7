package transform

// A nameSet holds names, and finds those that are equal to or below one of them.
type nameSet struct {
	wire     map[string]string // entries as written, by lowercase wire form with the root
	wireLens [maxName + 1]bool // lengths in wire form
	begins   firstOctets
}

// firstOctets is which octets a label of a length begins with.
type firstOctets [64][4]uint64

func (f *firstOctets) add(label []byte) { f.addAt(len(label), label[0]) }

func (f *firstOctets) addAt(length int, first byte) { f[length][first>>6] |= 1 << (first & 63) }

// has reports whether a label of this length begins with this octet.
func (f *firstOctets) has(length, first byte) bool {
	return f[length&63][first>>6]&(1<<(first&63)) != 0
}

// newNameSet takes names in presentation form.
func newNameSet(names []string) (*nameSet, error) {
	s := &nameSet{wire: map[string]string{}}
	for _, name := range names {
		wire, err := packName(name)
		if err != nil {
			return nil, err
		}
		lower(wire)
		s.wire[string(wire)] = name
		s.wireLens[len(wire)] = true
		s.begins.add(wire[1 : 1+wire[0]])
	}
	return s, nil
}

// above returns the entry that an uncompressed name in lowercase wire form is equal
// to, or below; of several the longest. proper excludes equality.
func (s *nameSet) above(name []byte, proper bool) (entry string, ok bool) {
	off := 0
	if proper {
		off = 1 + int(name[0])
	}
	for ; off < len(name) && name[off] != 0; off += 1 + int(name[off]) {
		if s.wireLens[len(name)-off] && s.begins.has(name[off], name[off+1]) {
			if entry, ok := s.wire[string(name[off:])]; ok {
				return entry, true
			}
		}
	}
	return "", false
}
