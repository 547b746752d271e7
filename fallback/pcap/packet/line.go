package packet

import "github.com/dnstap-pdns/dnstap-pdns/transform"

// A line holds datagrams in the order in which they came into it.
type line struct {
	oldest, newest *assembly
	length         int
}

func (l *line) push(a *assembly, now transform.Time) {
	a.older, a.newer, a.since = l.newest, nil, now
	if l.newest != nil {
		l.newest.newer = a
	} else {
		l.oldest = a
	}
	l.newest = a
	l.length++
}

func (l *line) remove(a *assembly) {
	if a.older != nil {
		a.older.newer = a.newer
	} else {
		l.oldest = a.newer
	}
	if a.newer != nil {
		a.newer.older = a.older
	} else {
		l.newest = a.older
	}
	l.length--
}

// due reports whether the oldest has been there so long. When the clock went back, its
// time begins anew: one from far ahead would hold up all behind it.
func (l *line) due(now, limit transform.Time) bool {
	if l.oldest == nil {
		return false
	}
	l.oldest.since = min(l.oldest.since, now)
	return now-l.oldest.since >= limit
}
