// Package plot draws measurements as SVG: panels with lines over one horizontal axis each. It must
// not know what was measured.
package plot

import (
	"bytes"
	"cmp"
	"fmt"
	"html"
	"math"
	"slices"
)

// A Panel is a plot. Its lines differ by dashes and marks, and have their names at the right end,
// so that they can be distinguished without colour.
type Panel struct {
	Title string // with the unit of the vertical axis
	X     Axis
	Y     Axis
	Lines []Line // at most 4
}

// An Axis is linear from 0 on, or logarithmic.
type Axis struct {
	Name string // horizontal axis only
	Log  bool
}

// A Line is drawn through its points, in their order.
type Line struct {
	Name   string
	Points []Point
}

// A Point is a measurement. On a logarithmic axis it must be above 0.
type Point struct{ X, Y float64 }

// The size of a panel without its labels, and its distance from the edges, in pixels.
const (
	width, height = 300, 150
	left, top     = 70, 40
	panelHeight   = top + height + 40
	labelHeight   = 15
	labelWidth    = 200
)

var styles = []struct{ dashes, mark string }{{"", "●"}, {"7 4", "■"}, {"2 4", "▲"}, {"9 3 2 3", "◆"}}

// SVG draws the panels one below the other.
func SVG(title string, panels ...Panel) []byte {
	var b bytes.Buffer
	w, h := left+width+labelWidth, panelHeight*len(panels)
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" width="%d" height="%[2]d" font-family="sans-serif" font-size="12">`+"\n", w, h, w)
	fmt.Fprintf(&b, "<title>%s</title>\n<rect width=\"100%%\" height=\"100%%\" fill=\"white\"/>\n", html.EscapeString(title))
	for i := range panels {
		fmt.Fprintf(&b, "<g transform=\"translate(%d %d)\">\n", left, top+i*panelHeight)
		panels[i].draw(&b)
		b.WriteString("</g>\n")
	}
	b.WriteString("</svg>\n")
	return b.Bytes()
}

func (p *Panel) draw(b *bytes.Buffer) {
	x := p.X.scale(p.Lines, func(at Point) float64 { return at.X })
	y := p.Y.scale(p.Lines, func(at Point) float64 { return at.Y })
	fmt.Fprintf(b, "<text x=\"%d\" y=\"-14\" font-weight=\"bold\">%s</text>\n", -left+10, html.EscapeString(p.Title))
	for _, tick := range y.ticks {
		fmt.Fprintf(b, "<path d=\"M0 %.1fh%d\" stroke=\"#ccc\"/><text x=\"-8\" y=\"%[1]f\" text-anchor=\"end\" dominant-baseline=\"central\">%[3]s</text>\n", height*(1-y.at(tick)), width, label(tick))
	}
	for _, tick := range x.ticks {
		fmt.Fprintf(b, "<path d=\"M%.1f 0v%d\" stroke=\"#ccc\"/><text x=\"%[1]f\" y=\"%[3]d\" text-anchor=\"middle\">%[4]s</text>\n", width*x.at(tick), height, height+20, label(tick))
	}
	fmt.Fprintf(b, "<text x=\"%d\" y=\"%d\">%s</text>\n", width+22, height+20, html.EscapeString(p.X.Name))
	var ends []float64
	for i, l := range p.Lines {
		fmt.Fprintf(b, `<path fill="none" stroke="black" stroke-width="1.5" stroke-dasharray="%s" d="`, styles[i].dashes)
		for j, at := range l.Points {
			fmt.Fprintf(b, "%c%.1f %.1f", "ML"[min(j, 1)], width*x.at(at.X), height*(1-y.at(at.Y)))
		}
		b.WriteString("\"/>\n")
		for _, at := range l.Points {
			fmt.Fprintf(b, "<text x=\"%.1f\" y=\"%.1f\" text-anchor=\"middle\" dominant-baseline=\"central\">%s</text>\n", width*x.at(at.X), height*(1-y.at(at.Y)), styles[i].mark)
		}
		ends = append(ends, height*(1-y.at(l.Points[len(l.Points)-1].Y)))
	}
	for i, at := range spread(ends) {
		fmt.Fprintf(b, "<text x=\"%d\" y=\"%.1f\" dominant-baseline=\"central\">%s %s</text>\n", width+14, at, styles[i].mark, html.EscapeString(p.Lines[i].Name))
	}
}

// A scale maps values to positions from 0 to 1.
type scale struct {
	log       bool
	low, high float64 // values, or exponents of ten
	ticks     []float64
}

// scale returns the scale that contains a coordinate of all points.
func (a Axis) scale(lines []Line, of func(Point) float64) scale {
	low, high := math.Inf(1), math.Inf(-1)
	for _, l := range lines {
		for _, at := range l.Points {
			low, high = min(low, of(at)), max(high, of(at))
		}
	}
	s := scale{log: a.Log}
	if a.Log {
		s.low, s.high = math.Floor(math.Log10(low)), math.Ceil(math.Log10(high))
		s.high = max(s.high, s.low+1)
		for e := s.low; e <= s.high; e++ {
			s.ticks = append(s.ticks, math.Pow(10, e))
		}
		return s
	}
	if high <= 0 {
		high = 1
	}
	step := math.Pow(10, math.Floor(math.Log10(high)))
	for high/step < 3 {
		step /= 2
	}
	s.high = math.Ceil(high/step) * step
	for i := 0.0; i*step <= s.high; i++ {
		s.ticks = append(s.ticks, i*step)
	}
	return s
}

func (s *scale) at(v float64) float64 {
	if s.log {
		v = math.Log10(v)
	}
	return (v - s.low) / (s.high - s.low)
}

// label returns a number with an SI prefix.
func label(v float64) string {
	for _, unit := range []struct {
		size float64
		name string
	}{{1e9, "G"}, {1e6, "M"}, {1e3, "k"}} {
		if v >= unit.size {
			return fmt.Sprintf("%g%s", v/unit.size, unit.name)
		}
	}
	return fmt.Sprintf("%g", v)
}

// spread moves labels down where they would overlap.
func spread(at []float64) []float64 {
	order := make([]int, len(at))
	for i := range order {
		order[i] = i
	}
	slices.SortFunc(order, func(i, j int) int { return cmp.Compare(at[i], at[j]) })
	for k := 1; k < len(order); k++ {
		at[order[k]] = max(at[order[k]], at[order[k-1]]+labelHeight)
	}
	return at
}
