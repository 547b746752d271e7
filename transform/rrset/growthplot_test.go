//go:build sweep

package rrset

import (
	"bytes"
	"cmp"
	"fmt"
	"math"
	"slices"
)

// A panel is a plot with logarithmic axes. Its lines differ by dashes and marks, and have their names
// at the right end, so that they can be distinguished without colour.
type panel struct {
	title string
	lines []line
}

type line struct {
	name string
	of   func(growth) float64
}

// The size of a panel without its labels, and its distance from the edges, in pixels.
const (
	plotWidth, plotHeight = 300, 150
	plotLeft, plotTop     = 60, 40
	panelHeight           = plotTop + plotHeight + 40
	labelHeight           = 15
)

var styles = []struct{ dashes, mark string }{{"", "●"}, {"7 4", "■"}, {"2 4", "▲"}}

// growthPlot draws a panel for each unit.
func growthPlot(all []growth) []byte {
	panels := []panel{
		{"CPU time for an RRset, ns", []line{
			{"new", func(g growth) float64 { return g.added }},
			{"known", func(g growth) float64 { return g.hit }},
			{"new, evicts another", func(g growth) float64 { return g.evicted }},
		}},
		{"Heap for an entry with 26 octets of data, octets", []line{
			{"heap", func(g growth) float64 { return g.heap }},
		}},
		{"CPU time to save and to load all entries, s", []line{
			{"save", func(g growth) float64 { return g.saved }},
			{"load", func(g growth) float64 { return g.loaded }},
		}},
	}
	var b bytes.Buffer
	width, height := plotLeft+plotWidth+180, panelHeight*len(panels)
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" width="%d" height="%[2]d" font-family="sans-serif" font-size="12">`+"\n", width, height, width)
	fmt.Fprintf(&b, "<title>Cost of a table of RRsets from 10^4 to 10^7 entries</title>\n<rect width=\"100%%\" height=\"100%%\" fill=\"white\"/>\n")
	for i, p := range panels {
		fmt.Fprintf(&b, "<g transform=\"translate(%d %d)\">\n", plotLeft, plotTop+i*panelHeight)
		p.draw(&b, all)
		b.WriteString("</g>\n")
	}
	b.WriteString("</svg>\n")
	return b.Bytes()
}

func (p *panel) draw(b *bytes.Buffer, all []growth) {
	first, last := math.Log10(float64(all[0].entries)), math.Log10(float64(all[len(all)-1].entries))
	low, high := p.decades(all)
	x := func(log float64) float64 { return plotWidth * (log - first) / (last - first) }
	y := func(log float64) float64 { return plotHeight * (high - log) / (high - low) }

	fmt.Fprintf(b, "<text x=\"%d\" y=\"-14\" font-weight=\"bold\">%s</text>\n", -plotLeft/2, p.title)
	for e := low; e <= high; e++ {
		fmt.Fprintf(b, "<path d=\"M0 %.1fh%d\" stroke=\"#ccc\"/><text x=\"-8\" y=\"%[1]f\" text-anchor=\"end\" dominant-baseline=\"central\">%[3]g</text>\n", y(e), plotWidth, math.Pow(10, e))
	}
	for e := first; e <= last; e++ {
		fmt.Fprintf(b, "<path d=\"M%.1f 0v%d\" stroke=\"#ccc\"/><text x=\"%[1]f\" y=\"%[3]d\" text-anchor=\"middle\">10<tspan dy=\"-5\" font-size=\"9\">%.0[4]f</tspan></text>\n", x(e), plotHeight, plotHeight+20, e)
	}
	fmt.Fprintf(b, "<text x=\"%d\" y=\"%d\">entries</text>\n", plotWidth+14, plotHeight+20)
	var ends []float64
	for i, l := range p.lines {
		fmt.Fprintf(b, `<path fill="none" stroke="black" stroke-width="1.5" stroke-dasharray="%s" d="`, styles[i].dashes)
		for j, g := range all {
			fmt.Fprintf(b, "%c%.1f %.1f", "ML"[min(j, 1)], x(math.Log10(float64(g.entries))), y(math.Log10(l.of(g))))
		}
		b.WriteString("\"/>\n")
		for _, g := range all {
			fmt.Fprintf(b, "<text x=\"%.1f\" y=\"%.1f\" text-anchor=\"middle\" dominant-baseline=\"central\">%s</text>\n", x(math.Log10(float64(g.entries))), y(math.Log10(l.of(g))), styles[i].mark)
		}
		ends = append(ends, y(math.Log10(l.of(all[len(all)-1]))))
	}
	for i, at := range spread(ends) {
		fmt.Fprintf(b, "<text x=\"%d\" y=\"%.1f\" dominant-baseline=\"central\">%s %s</text>\n", plotWidth+14, at, styles[i].mark, p.lines[i].name)
	}
}

// decades returns the ends of the vertical axis, as exponents of ten.
func (p *panel) decades(all []growth) (low, high float64) {
	low, high = math.Inf(1), math.Inf(-1)
	for _, l := range p.lines {
		for _, g := range all {
			v := math.Log10(l.of(g))
			low, high = min(low, math.Floor(v)), max(high, math.Ceil(v))
		}
	}
	return low, high
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
