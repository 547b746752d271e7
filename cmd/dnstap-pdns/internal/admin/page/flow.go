package page

import (
	"fmt"
	"strings"
)

// Dimensions of the flow, in units of its view box.
const (
	flowWidth  = 1200.0
	flowHeight = 190.0 // of all messages that were read
	barWidth   = 10.0
	outcomesAt = 400.0
	sinksAt    = 700.0
	linePitch  = 22.0 // distance of captions
	space      = 8.0
	thinnest   = 2.0 // height that is visible

	longestName = 45 // characters that fit right of sinksAt; the tables contain the whole name
)

// A flow is the accounts of messages and records as a picture: messages on the left become
// records, which are offered to the sinks on the right. The tables contain the same numbers.
type flow struct {
	Label    string // in words
	Height   string
	Bands    []band
	Blocks   []block
	Captions []caption
}

// A band connects two blocks.
type band struct{ Key, D string }

// A block is a part of an account.
type block struct{ Key, X, Y, Height string }

// A caption is text on the right of a block.
type caption struct{ X, Y, Name, Text string }

// Flow returns the picture of the accounts, or nil as long as nothing was read.
func (v *view) Flow() *flow {
	if v.Messages.Total == 0 {
		return nil
	}
	f := &flow{Label: v.flowLabel()}
	f.block("read", 0, 0, flowHeight)
	f.caption(0, flowHeight/2, "read", number(v.Messages.Total))
	recordsHeight, bottom := f.outcomes(&v.Messages)
	f.Height = decimal(max(flowHeight, bottom, f.sinks(v.Sinks, recordsHeight)))
	return f
}

// outcomes draws the parts of the messages, records first. It returns the height of the records
// and the lower end of the drawing.
func (f *flow) outcomes(a *account) (recordsHeight, bottom float64) {
	from, to := 0.0, 0.0
	for i, p := range a.parts() {
		share := flowHeight * float64(p.N) / float64(a.Total)
		height := visible(p.N, share)
		if i == 0 {
			recordsHeight = height
		}
		if i > 0 {
			to += max(0, linePitch-height) / 2 // so that the caption fits
		}
		f.band(p.Key, barWidth, from, share, outcomesAt, to, height)
		f.block(p.Key, outcomesAt, to, height)
		f.caption(outcomesAt, to+height/2, p.Name, number(p.N))
		from, to = from+share, to+max(height, (height+linePitch)/2)+space
	}
	return recordsHeight, to
}

// sinks draws what each sink was offered, records or RRsets, and returns the lower end of the drawing.
func (f *flow) sinks(sinks []sinkView, records float64) (bottom float64) {
	height := min(records, max(2*linePitch, flowHeight/float64(max(1, len(sinks)))-space))
	for i := range sinks {
		a := &sinks[i].Account
		if a.Total > 0 && sinks[i].From == "" {
			f.band("records", outcomesAt+barWidth, 0, records, sinksAt, bottom, height)
		}
		y := bottom
		texts := []string{}
		for _, p := range a.parts() {
			if p.N == 0 {
				continue
			}
			part := visible(p.N, height*float64(p.N)/float64(a.Total))
			f.block(p.Key, sinksAt, y, part)
			y += part
			texts = append(texts, number(p.N)+" "+p.Name)
		}
		middle := bottom + max(height, 2*linePitch)/2
		f.caption(sinksAt, middle-linePitch/2+2, shortened(sinks[i].Name), "")
		f.caption(sinksAt, middle+linePitch/2-2, "", strings.Join(texts, ", "))
		bottom = max(y, bottom+2*linePitch) + space
	}
	return bottom
}

func shortened(name string) string {
	if r := []rune(name); len(r) > longestName {
		return string(r[:longestName-1]) + "…"
	}
	return name
}

// visible returns a height that is visible, or 0 if n is 0.
func visible(n uint64, height float64) float64 {
	if n == 0 {
		return 0
	}
	return max(thinnest, height)
}

func (f *flow) block(key string, x, y, height float64) {
	f.Blocks = append(f.Blocks, block{key, decimal(x), decimal(y), decimal(height)})
}

func (f *flow) caption(x, middle float64, name, text string) {
	f.Captions = append(f.Captions, caption{decimal(x + 2*barWidth), decimal(middle), name, text})
}

// band draws a band from the right edge of a block at x0 to the left edge of a block at x1.
func (f *flow) band(key string, x0, y0, h0, x1, y1, h1 float64) {
	if h0 == 0 || h1 == 0 {
		return
	}
	half := (x0 + x1) / 2
	f.Bands = append(f.Bands, band{key, fmt.Sprintf("M%.1f %.1fC%.1f %.1f %.1f %.1f %.1f %.1fV%.1fC%.1f %.1f %.1f %.1f %.1f %.1fZ",
		x0, y0, half, y0, half, y1, x1, y1, y1+h1, half, y1+h1, half, y0+h0, x0, y0+h0)})
}

// flowLabel returns the flow in words, for screen readers.
func (v *view) flowLabel() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s messages read:", number(v.Messages.Total))
	for _, p := range v.Messages.parts() {
		fmt.Fprintf(&b, " %s %s,", number(p.N), p.Name)
	}
	for i := range v.Sinks {
		fmt.Fprintf(&b, " sink %s was offered %s records,", v.Sinks[i].Name, number(v.Sinks[i].Offered))
	}
	return strings.TrimSuffix(b.String(), ",") + ". The tables below contain the details."
}
