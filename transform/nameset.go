package transform

import "github.com/dnstap-pdns/dnstap-pdns/transform/dnswire"

// A nameSet holds names, and finds those that are equal to or below one of them.
type nameSet struct {
	wire   map[string]use                // by lowercase wire form with the root
	firsts [dnswire.MaxName + 1]octetSet // by length in wire form: the octets that first labels begin with
}

// A use is what names of a nameSet are used for.
type use struct {
	zone    string // of lists; its name in presentation form
	special bool
}

// newNameSet returns an empty set.
func newNameSet() *nameSet { return &nameSet{wire: map[string]use{}} }

// add adds a name in presentation form.
func (s *nameSet) add(name string, special bool) error {
	wire, err := packName(name)
	if err != nil {
		return err
	}
	dnswire.Lower(wire)
	u := s.wire[string(wire)]
	if special {
		u.special = true
	} else {
		u.zone = name
	}
	s.wire[string(wire)] = u
	s.firsts[len(wire)].add(wire[1])
	return nil
}

// of returns the use of an uncompressed name in lowercase wire form: special if it is
// equal to or below a special name; of several zones that it is below, the longest.
func (s *nameSet) of(name []byte) (u use) {
	for off := 0; off < len(name) && name[off] != 0; off += 1 + int(name[off]) {
		if !s.firsts[len(name)-off].has(name[off+1]) {
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
