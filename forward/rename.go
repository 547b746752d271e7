package forward

import "slices"

// Rename gives sources other names, all at once: from the old one to the new. What is
// counted of a source goes along, its lanes that live and those that are gone; sources
// that have one name then become one.
func (f *Forwarder) Rename(names map[string]string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	byName := map[string]*source{}
	f.sources = slices.DeleteFunc(f.sources, func(s *source) bool {
		if name, ok := names[s.name]; ok {
			s.name = name
		}
		first, same := byName[s.name]
		if same {
			f.merge(first, s)
		} else {
			byName[s.name] = s
		}
		return same
	})
}

// merge gives s all that another source has. f.mu is held.
func (f *Forwarder) merge(s, other *source) {
	for _, l := range f.lanes {
		if l.source == other {
			l.source = s
		}
	}
	s.gone.Add(&other.gone)
	s.last = s.last.later(other.last)
	s.logs = append(s.logs, other.logs...)
}
