package page

import (
	"strconv"

	"github.com/dnstap-pdns/dnstap-pdns/cmd/dnstap-pdns/internal/admin"
	"github.com/dnstap-pdns/dnstap-pdns/forward"
	"github.com/dnstap-pdns/dnstap-pdns/transform"
)

// An account is a sum and what it is made of: all of it, what is zero too.
type account struct {
	ID    string // of its parts that are folded
	Of    string // what is counted: "messages"
	Whole part
	Kept  []part // what is no loss
	Lost  part   // the sum of what follows
	Some  []part // losses that there were, by their reason
	None  []part // those that there were not
	Sum   uint64 // of all parts: the whole
}

// A part is a row of an account.
type part struct {
	Key     string // of its colour
	Name    string
	Meaning string
	N       uint64
	Share   string // of the whole
}

// Adds reports whether the parts are the whole: always.
func (a *account) Adds() bool { return a.Sum == a.Whole.N }

func (a *account) keep(key, meaning string, n uint64) {
	a.Kept = append(a.Kept, part{Key: key, Name: key, Meaning: meaning, N: n, Share: admin.Share(n, a.Whole.N)})
	a.Sum += n
}

func (a *account) lose(name, meaning string, n uint64) {
	p := part{Key: a.Lost.Key, Name: name, Meaning: meaning, N: n, Share: admin.Share(n, a.Whole.N)}
	a.Sum += n
	a.Lost.N += n
	a.Lost.Share = admin.Share(a.Lost.N, a.Whole.N)
	if n == 0 {
		a.None = append(a.None, p)
	} else {
		a.Some = append(a.Some, p)
	}
}

func messagesAccount(m *admin.Messages) account {
	a := account{
		ID: "messages", Of: "messages",
		Whole: part{Key: "read", Name: "read", Meaning: "messages, and frames or packets that should have been one", N: m.Read},
		Lost:  part{Key: "dropped", Name: "dropped", Meaning: "messages that became no record, by reason"},
	}
	a.keep("records", "messages that became a record", m.Records)
	a.keep("paired", "queries that found their response", m.Paired)
	a.keep("held", "queries that wait for their response", m.Held)
	for _, r := range transform.Reasons() {
		a.lose(r.String(), r.Meaning(), m.Dropped[r.String()])
	}
	return a
}

func sinkAccount(id string, s *admin.Sink) account {
	a := account{
		ID: id, Of: "records",
		Whole: part{Key: "read", Name: "offered", Meaning: "records, since the sink is there", N: s.Offered},
		Lost:  part{Key: "lost", Name: "lost", Meaning: "records that did not leave, by reason"},
	}
	a.keep("delivered", "records that left", s.Delivered)
	a.keep("queued", "records that wait", s.Queued)
	a.keep("filtered", "records that the message type has no form for", s.Filtered)
	for _, l := range forward.Losses() {
		a.lose(l.String(), l.Meaning(), s.Lost[l.String()])
	}
	return a
}

// parts are those that add up to the whole, losses as one.
func (a *account) parts() []part { return append(a.Kept[:len(a.Kept):len(a.Kept)], a.Lost) }

// A segment is a part as a piece of a bar, in percent of the bar.
type segment struct{ Key, X, Width string }

// Bar is the account as a bar.
func (a *account) Bar() (all []segment) {
	at := 0.0
	for _, p := range a.parts() {
		if a.Whole.N == 0 || p.N == 0 {
			continue
		}
		width := 100 * float64(p.N) / float64(a.Whole.N)
		all = append(all, segment{p.Key, percent(at), percent(width)})
		at += width
	}
	return all
}

func percent(f float64) string { return strconv.FormatFloat(f, 'f', 2, 64) + "%" }

// fill is how full something is, as the width of a bar.
func fill(n, whole int64) string {
	if whole <= 0 {
		return "0%"
	}
	return percent(min(100, 100*float64(n)/float64(whole)))
}
