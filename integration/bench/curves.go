package main

import (
	"errors"
	"fmt"

	"github.com/dnstap-pdns/dnstap-pdns/integration/plot"
)

// heldPercent is the share of one core that a receiver gets when it is held.
const heldPercent = 25

// A curve is the losses of a receiver at rising rates.
type curve struct {
	receiver string
	held     bool
	outcomes []outcome // one for each rate
}

// An outcome is the loss at one rate.
type outcome struct {
	rate    float64 // that was reached
	percent float64 // of the frames or packets that were sent
	inside  uint64  // records that the sinks of the sensor lost, which percent contains
}

// eachLimit calls measure for receivers without a limit, and for receivers held to heldPercent. If
// this machine has no cgroups for that, the section says so.
func eachLimit(r *report, measure func(q *quota) error) (err error) {
	if err := measure(nil); err != nil {
		return err
	}
	q, err := newQuota(heldPercent)
	if err != nil {
		r.printf("Nothing was held to %d %% of a core: %v.\n", heldPercent, err)
		return nil
	}
	defer func() { err = errors.Join(err, q.remove()) }()
	return measure(q)
}

// topSpeed is the rate of a generator that sends as fast as it can.
const topSpeed = 0

// writeCurves writes a table with a row for each rate, and a picture. unit is that of the rates.
func writeCurves(r *report, title, unit string, rates []int, curves []curve) error {
	heading, panels := []string{unit}, []plot.Panel{}
	for _, held := range []bool{false, true} {
		var lines []plot.Line
		for _, c := range curves {
			if c.held == held {
				heading, lines = append(heading, c.title()), append(lines, c.line())
			}
		}
		if len(lines) > 0 {
			panels = append(panels, plot.Panel{Title: panelTitle(held), X: plot.Axis{Name: unit, Log: true}, Lines: lines})
		}
	}
	rows := [][]string{heading}
	for i, rate := range rates {
		row := []string{thousands(rate)}
		if rate == topSpeed {
			row[0] = "top speed"
		}
		for _, c := range curves {
			row = append(row, c.outcomes[i].text(rate))
		}
		rows = append(rows, row)
	}
	r.table(rows...)
	return r.plot(title, panels...)
}

func panelTitle(held bool) string {
	if held {
		return fmt.Sprintf("loss in percent, receiver held to %d %% of a core", heldPercent)
	}
	return "loss in percent, receiver without a limit"
}

func (c *curve) title() string {
	if c.held {
		return fmt.Sprintf("%s, held", c.receiver)
	}
	return c.receiver
}

func (c *curve) line() plot.Line {
	l := plot.Line{Name: c.receiver}
	for _, o := range c.outcomes {
		l.Points = append(l.Points, plot.Point{X: o.rate, Y: o.percent})
	}
	return l
}

// text returns the loss, and the rate that was reached unless it is about the rate that was asked for.
func (o outcome) text(rate int) string {
	text := "0"
	switch {
	case o.percent >= 0.1:
		text = fmt.Sprintf("%.1f %%", o.percent)
	case o.percent > 0:
		text = "< 0.1 %"
	}
	if o.rate < 0.95*float64(rate) || rate == topSpeed {
		text += " at " + thousands(int(o.rate))
	}
	return text
}
