//go:build sweep

package rrset

import "github.com/dnstap-pdns/dnstap-pdns/integration/plot"

// growthPlot draws a panel for each unit.
func growthPlot(all []growth) []byte {
	line := func(name string, of func(growth) float64) plot.Line {
		l := plot.Line{Name: name}
		for _, g := range all {
			l.Points = append(l.Points, plot.Point{X: float64(g.entries), Y: of(g)})
		}
		return l
	}
	panel := func(title string, lines ...plot.Line) plot.Panel {
		return plot.Panel{Title: title, X: plot.Axis{Name: "entries", Log: true}, Y: plot.Axis{Log: true}, Lines: lines}
	}
	return plot.SVG("Cost of a table of RRsets from 10^4 to 10^7 entries",
		panel("CPU time for an RRset, ns",
			line("new", func(g growth) float64 { return g.added }),
			line("known", func(g growth) float64 { return g.hit }),
			line("new, evicts another", func(g growth) float64 { return g.evicted })),
		panel("Heap for an entry with 26 octets of data, octets",
			line("heap", func(g growth) float64 { return g.heap })),
		panel("CPU time to save and to load all entries, s",
			line("save", func(g growth) float64 { return g.saved }),
			line("load", func(g growth) float64 { return g.loaded })))
}
