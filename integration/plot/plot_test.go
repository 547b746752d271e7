package plot

import (
	"encoding/xml"
	"errors"
	"io"
	"strings"
	"testing"
)

// TestSVG draws lines on both kinds of axes. Every point and name must be in the picture, which must be
// well-formed XML.
func TestSVG(t *testing.T) {
	lines := []Line{
		{"a < b", []Point{{1000, 0}, {10_000, 3}, {100_000, 40}}},
		{"flat", []Point{{1000, 1}, {100_000, 1}}},
	}
	svg := string(SVG("test", Panel{Title: "share, %", X: Axis{Name: "rate", Log: true}, Lines: lines}))
	for d := xml.NewDecoder(strings.NewReader(svg)); ; {
		if _, err := d.Token(); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
	}
	if n := strings.Count(svg, ">●<") + strings.Count(svg, ">■<"); n != 5 {
		t.Errorf("%d points, want 5", n)
	}
	for _, text := range []string{"a &lt; b", "flat", "share, %", ">rate<", ">1k<", ">100k<", ">40<"} {
		if !strings.Contains(svg, text) {
			t.Errorf("no %q in the picture", text)
		}
	}
}

// TestNamesOfLinesDoNotOverlap draws lines that end at the same point.
func TestNamesOfLinesDoNotOverlap(t *testing.T) {
	at := spread([]float64{10, 10, 50, 12})
	if at[0] != 10 || at[1] != 25 || at[3] != 40 || at[2] != 55 {
		t.Errorf("labels at %v", at)
	}
}
