package transform

// A nameSet holds names, and finds those that are equal to or below one of them.
type nameSet struct {
	wire     map[string]use    // by lowercase wire form with the root
	wireLens [maxName + 1]bool // lengths in wire form
	begins   firstOctets
}

// A use is what names of a nameSet are used for.
type use struct {
	zone    string // of lists; its name in presentation form
	special bool
}

// firstOctets is which octets a label of a length begins with, in either letter case.
type firstOctets struct{ first [64][4]uint64 }

func (f *firstOctets) add(label []byte) {
	for _, c := range []byte{label[0], toUpper(label[0])} {
		f.first[len(label)][c>>6] |= 1 << (c & 63)
	}
}

// has reports whether a label of this length begins with this octet.
func (f *firstOctets) has(length, first byte) bool {
	return f.first[length&63][first>>6]&(1<<(first&63)) != 0
}

// newNameSet returns an empty set.
func newNameSet() *nameSet { return &nameSet{wire: map[string]use{}} }

// add adds a name in presentation form.
func (s *nameSet) add(name string, special bool) error {
	wire, err := packName(name)
	if err != nil {
		return err
	}
	lower(wire)
	u := s.wire[string(wire)]
	if special {
		u.special = true
	} else {
		u.zone = name
	}
	s.wire[string(wire)] = u
	s.wireLens[len(wire)] = true
	s.begins.add(wire[1 : 1+wire[0]])
	return nil
}

// of returns the use of an uncompressed name in lowercase wire form: special if it is
// equal to or below a special name; of several zones that it is below, the longest.
func (s *nameSet) of(name []byte) (u use) {
	for off := 0; off < len(name) && name[off] != 0; off += 1 + int(name[off]) {
		if !s.wireLens[len(name)-off] || !s.begins.has(name[off], name[off+1]) {
			continue
		}
		entry := s.wire[string(name[off:])]
		u.special = u.special || entry.special
		if u.zone == "" && off > 0 {
			u.zone = entry.zone
		}
	}
	return u
}
