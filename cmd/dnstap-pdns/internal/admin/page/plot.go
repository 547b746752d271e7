package page

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// The plane of a plot, in units of its view box.
const (
	plotWidth  = 720.0
	plotHeight = 100.0
)

// A plot is a measure's last hour.
type plot struct {
	Key   string // of its colour
	Title string
	What  string // what there is so much of in a second

	Now, Mean, Most string // a second
	Top, Half       string // what the axis says
	Line, Area      string // paths; empty: nothing is known yet
	Since           string // how much of the hour is known
}

// Label is the plot in words.
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
		draw(plot{Key: "delivered", Title: "Records delivered, all sinks", What: "records"}, points, delivered, now),
		draw(plot{Key: "lost", Title: "Records lost, all sinks", What: "records"}, points, lost, now),
	}
}

// draw fills in what the points say of a measure.
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

// paths are the line, and what is below it.
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

// ceiling is the least of 1, 2 and 5 times a power of ten that is no less; 1 at least.
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
