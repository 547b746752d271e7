package page

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/dnstap-pdns/dnstap-pdns/cmd/dnstap-pdns/internal/admin"
)

const (
	tick   = 10 * time.Second
	window = time.Hour
)

// A measure is a rate per second that is plotted.
type measure int

const (
	read measure = iota
	records
	dropped
	delivered // or written to a file that is not complete; such records may become lost
	lost
	numMeasures
)

// amounts are counts by measure.
type amounts [numMeasures]uint64

// A point is the counts of the interval that ends at a time.
type point struct {
	at   time.Time
	took time.Duration
	amounts
}

func (p *point) rate(m measure) float64 { return float64(p.amounts[m]) / p.took.Seconds() }

// history is the points of the last hour, in fixed memory.
type history struct {
	mu     sync.Mutex
	last   totals
	points [window / tick]point
	n      int // points so far, also those that were overwritten
}

// add adds a point: the difference to the ledger of the previous call. The first call adds none.
func (h *history) add(l *admin.Ledger) {
	now := totalsOf(l)
	h.mu.Lock()
	defer h.mu.Unlock()
	if p := now.since(&h.last); p.took > 0 {
		h.points[h.n%len(h.points)] = p
		h.n++
	}
	h.last = now
}

// within returns the points of the hour before now, the oldest first.
func (h *history) within(now time.Time) (all []point) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for i := max(0, h.n-len(h.points)); i < h.n; i++ {
		if p := h.points[i%len(h.points)]; now.Sub(p.at) < window && !p.at.After(now) {
			all = append(all, p)
		}
	}
	return all
}

// totals are the counts of a ledger, for all sources and for each sink.
type totals struct {
	at time.Time          // zero: there was no ledger yet
	by map[string]amounts // "" for all sources, or a sink
}

func totalsOf(l *admin.Ledger) totals {
	t := totals{at: l.Time, by: map[string]amounts{}}
	t.by[""] = amounts{read: l.Total.Read, records: l.Total.Records, dropped: l.Total.Account().Lost.Sum()}
	for i := range l.Sinks {
		s := &l.Sinks[i]
		t.by["sink "+s.Name] = amounts{delivered: s.Delivered + s.Written, lost: s.Account().Lost.Sum()}
	}
	return t
}

// since returns the difference to the previous totals. A count that is new began at zero. One
// that decreased, because written records were lost, adds nothing.
func (t *totals) since(before *totals) point {
	p := point{at: t.at}
	if before.at.IsZero() {
		return p
	}
	p.took = t.at.Sub(before.at)
	for c, now := range t.by {
		was, known := before.by[c]
		for m, n := range now {
			if known {
				n -= min(n, was[m])
			}
			p.amounts[m] += n
		}
	}
	return p
}

// Dimensions of a plot, in units of its view box.
const (
	plotWidth  = 720.0
	plotHeight = 100.0
)

// A plot is the last hour of a measure.
type plot struct {
	Key   string // selects its colour
	Title string
	What  string // the things counted: "messages" or "records"

	Now, Mean, Most string // per second
	Top, Half       string // labels of the axis
	Line, Area      string // paths; empty if there are no points yet
	Since           string // the part of the hour that points cover
}

// Label returns the plot in words.
func (p *plot) Label() string {
	if p.Line == "" {
		return p.Title + " over the last hour: nothing is known yet."
	}
	return fmt.Sprintf("%s over the last %s, %s per second: now %s, on average %s, at most %s.", p.Title, p.Since, p.What, p.Now, p.Mean, p.Most)
}

func (h *history) plots(now time.Time) []plot {
	points := h.within(now)
	return []plot{
		draw(plot{Key: "read", Title: "Messages read", What: "messages"}, points, read, now),
		draw(plot{Key: "records", Title: "Records made", What: "records"}, points, records, now),
		draw(plot{Key: "dropped", Title: "Messages dropped", What: "messages"}, points, dropped, now),
		draw(plot{Key: "delivered", Title: "Records delivered or written to files, all sinks", What: "records"}, points, delivered, now),
		draw(plot{Key: "lost", Title: "Records lost, all sinks", What: "records"}, points, lost, now),
	}
}

// draw adds the axis, the line and the rates of a measure to a plot.
func draw(p plot, points []point, m measure, now time.Time) plot {
	if len(points) == 0 {
		p.Top, p.Half = "1", "0.5"
		return p
	}
	var most float64
	var all uint64
	var took time.Duration
	for i := range points {
		most = max(most, points[i].rate(m))
		all += points[i].amounts[m]
		took += points[i].took
	}
	top := ceiling(most)
	p.Now, p.Most, p.Mean = rate(points[len(points)-1].rate(m)), rate(most), rate(float64(all)/took.Seconds())
	p.Top, p.Half, p.Since = rate(top), rate(top/2), span(min(took, window))
	p.Line, p.Area = paths(points, m, top, now)
	return p
}

// paths returns the line and the area below it, as SVG paths.
func paths(points []point, m measure, top float64, now time.Time) (line, area string) {
	x := func(t time.Time) string { return decimal(plotWidth * max(0, 1-now.Sub(t).Seconds()/window.Seconds())) }
	y := func(i int) string { return decimal(plotHeight * (1 - points[i].rate(m)/top)) }
	begins, ends := x(points[0].at.Add(-points[0].took)), x(points[len(points)-1].at)
	var b strings.Builder
	fmt.Fprintf(&b, "M%s %s", begins, y(0))
	for i := range points {
		fmt.Fprintf(&b, "L%s %s", x(points[i].at), y(i))
	}
	line = b.String()
	return line, fmt.Sprintf("%sL%s %vL%s %vZ", line, ends, plotHeight, begins, plotHeight)
}

func decimal(f float64) string { return strconv.FormatFloat(f, 'f', 1, 64) }

// ceiling returns the least of 1, 2 and 5 times a power of ten that is at least f, and at least 1.
func ceiling(f float64) float64 {
	if f <= 1 {
		return 1
	}
	power := math.Pow(10, math.Floor(math.Log10(f)))
	for _, c := range []float64{1, 2, 5} {
		if f <= c*power {
			return c * power
		}
	}
	return 10 * power
}
