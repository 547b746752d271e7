package page

import (
	"strconv"
	"strings"

	"github.com/dnstap-pdns/dnstap-pdns/cmd/dnstap-pdns/internal/admin"
	"github.com/dnstap-pdns/dnstap-pdns/transform"
)

// An account is a [transform.Account] as a table, with every row, also if zero.
type account struct {
	ID    string // of the element with None
	Of    string // the things counted: "messages" or "records"
	Whole []part
	Total uint64 // the sum of Whole
	Kept  []part // parts that are not losses
	Lost  part   // the sum of Some and None
	Some  []part // losses that occurred, by their reason
	None  []part // losses that did not occur
	Sum   uint64 // of all parts
}

// A part is a row of an account.
type part struct {
	Key     string // selects its colour
	Name    string
	Meaning string
	N       uint64
	Share   string // of the whole
	Of      []part // what N consists of, without parts that are zero
}

// Adds reports whether the parts add up to the whole; they do unless there is a defect.
func (a *account) Adds() bool { return a.Sum == a.Total }

// Names returns the names of Whole.
func (a *account) Names() string {
	var names []string
	for _, p := range a.Whole {
		names = append(names, p.Name)
	}
	return strings.Join(names, " + ")
}

func accountOf(id, of string, from transform.Account) account {
	row := func(key string, r transform.Row) part {
		return part{Key: key, Name: r.Name, Meaning: r.Meaning, N: r.Value, Share: admin.Share(r.Value, from.Total())}
	}
	lost := transform.Row{Name: from.Lost.Name, Meaning: from.Lost.Meaning, Value: from.Lost.Sum()}
	a := account{ID: id, Of: of, Total: from.Total(), Lost: row(lost.Name, lost), Sum: from.Sum()}
	for _, r := range from.Whole {
		a.Whole = append(a.Whole, row("read", r))
	}
	for _, r := range from.Parts {
		a.Kept = append(a.Kept, row(r.Name, r))
	}
	for _, r := range from.Lost.Rows {
		if p := row(lost.Name, r); r.Value > 0 {
			a.Some = append(a.Some, p)
		} else {
			a.None = append(a.None, p)
		}
	}
	return a
}

// divide shows what the part of that name consists of.
func (a *account) divide(by transform.Group, name string) {
	for i := range a.Kept {
		p := &a.Kept[i]
		for _, r := range by.Rows {
			if p.Name == name && r.Value > 0 {
				p.Of = append(p.Of, part{Key: p.Key, Name: r.Name, Meaning: r.Meaning, N: r.Value, Share: admin.Share(r.Value, a.Total)})
			}
		}
	}
}

// parts returns the parts that add up to the whole, with all losses as one part.
func (a *account) parts() []part { return append(a.Kept[:len(a.Kept):len(a.Kept)], a.Lost) }

// A segment is a part as a piece of a bar, in percent of the bar's width.
type segment struct{ Key, X, Width string }

// Bar returns the account as a bar.
func (a *account) Bar() (all []segment) {
	at := 0.0
	for _, p := range a.parts() {
		if a.Total == 0 || p.N == 0 {
			continue
		}
		width := 100 * float64(p.N) / float64(a.Total)
		all = append(all, segment{p.Key, percent(at), percent(width)})
		at += width
	}
	return all
}

func percent(f float64) string { return strconv.FormatFloat(f, 'f', 2, 64) + "%" }

// fill returns n of a whole as the width of a bar.
func fill(n, whole int64) string {
	if whole <= 0 {
		return "0%"
	}
	return percent(min(100, 100*float64(n)/float64(whole)))
}
