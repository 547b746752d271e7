package fstrm

import (
	"bytes"
	"errors"
	"slices"
	"testing"
	"testing/iotest"
)

// file returns an unfinished file of n frames, and the offsets at which whole units end: that of
// START first.
func file(t testing.TB, n int) (b []byte, ends []int) {
	f := Format{}
	b = f.Begin()
	ends = append(ends, len(b))
	for range n {
		b = appendTo(t, f, b, answered(t))
		ends = append(ends, len(b))
	}
	return b, ends
}

func whole(t testing.TB, b []byte) int {
	t.Helper()
	n, err := Format{}.Whole(bytes.NewReader(b))
	if err != nil {
		t.Fatal(err)
	}
	return int(n)
}

// TestExactlyWholeFramesAreWhole cuts a file at every byte, and appends what a crash may leave.
func TestExactlyWholeFramesAreWhole(t *testing.T) {
	b, ends := file(t, 4)
	tails := map[string][]byte{
		"nothing":       nil,
		"zeros":         make([]byte, 4096),
		"STOP":          Format{}.End(),
		"a huge length": bytes.Repeat([]byte{0xff}, 50),
		"a length":      {0, 0, 0, 1},
		"junk":          {0, 0, 0, 1, 0xff},
	}
	for cut := range len(b) + 1 {
		want := 0
		for _, end := range ends {
			if end <= cut {
				want = end
			}
		}
		for name, tail := range tails {
			if got := whole(t, append(bytes.Clone(b[:cut]), tail...)); got != want {
				t.Errorf("cut at %d, then %s: %d bytes are whole, want %d", cut, name, got, want)
			}
		}
	}
}

func TestZerosInsideAFrameAreNotWhole(t *testing.T) {
	b, ends := file(t, 3)
	clear(b[ends[1]+10 : ends[1]+20])
	if got := whole(t, b); got != ends[1] {
		t.Errorf("%d bytes are whole, want %d", got, ends[1])
	}
}

func TestErrorsOfTheFileAreReturned(t *testing.T) {
	failed := errors.New("failed")
	for _, n := range []int{0, 5, 20, 100} {
		b, _ := file(t, 3)
		r := slices.Clone(b[:n])
		if _, err := (Format{}).Whole(iotest.DataErrReader(&failing{r, failed})); !errors.Is(err, failed) {
			t.Errorf("after %d bytes: %v", n, err)
		}
	}
}

// A failing reader returns an error after its bytes.
type failing struct {
	b   []byte
	err error
}

func (f *failing) Read(p []byte) (int, error) {
	n := copy(p, f.b)
	f.b = f.b[n:]
	if n == 0 {
		return 0, f.err
	}
	return n, nil
}

// FuzzWhole checks that the whole part of a file is whole by itself and can be read to its end.
func FuzzWhole(f *testing.F) {
	b, ends := file(f, 2)
	f.Add(b)
	f.Add(b[:ends[1]+7])
	f.Add(append(b, Format{}.End()...))
	f.Fuzz(func(t *testing.T, b []byte) {
		n := whole(t, b)
		if n > len(b) || whole(t, b[:n]) != n {
			t.Fatalf("%d of %d bytes are whole, but not by themselves", n, len(b))
		}
		if n > 0 {
			readAll(t, append(bytes.Clone(b[:n]), Format{}.End()...))
		}
	})
}
