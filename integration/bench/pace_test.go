package main

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"testing"
	"time"
)

// writes records each write.
type writes [][]byte

func (w *writes) Write(p []byte) (int, error) {
	*w = append(*w, bytes.Clone(p))
	return len(p), nil
}

// framesOf returns frames of 100 octets and their lengths.
func framesOf(n int) []byte {
	var all []byte
	for i := range n {
		all = binary.BigEndian.AppendUint32(all, 100)
		all = append(all, bytes.Repeat([]byte{byte(i)}, 100)...)
	}
	return all
}

// TestPacerWritesAsResolversDo checks the writes of both resolvers, and that they are the frames.
func TestPacerWritesAsResolversDo(t *testing.T) {
	const frames = 320
	file := framesOf(frames)
	for _, w := range []struct {
		as          int
		first, sent int // octets of the first write, frames until at least 200 are sent
	}{{0, 104, 224}, {1, 79 * 104, 237}} {
		var got writes
		p := pacer{writing: writings[w.as], from: bufio.NewReader(bytes.NewReader(file)), to: &got}
		if err := p.skip(200); err != nil {
			t.Fatal(err)
		}
		if n := len(bytes.Join(got, nil)); len(got[0]) != w.first || n != w.sent*104 {
			t.Errorf("%s: first write of %d octets, %d octets in all, want %d and %d", p.name, len(got[0]), n, w.first, w.sent*104)
		}
		if !bytes.HasPrefix(file, bytes.Join(got, nil)) {
			t.Errorf("%s: other octets than the file's", p.name)
		}
		if err := p.skip(frames); !errors.Is(err, io.EOF) {
			t.Errorf("%s: after the last frame: %v", p.name, err)
		}
	}
}

// TestPacerKeepsTheRate sends at a rate for a time, twice: no frame is lost between.
func TestPacerKeepsTheRate(t *testing.T) {
	const rate, d = 10_000, 20 * time.Millisecond
	var got writes
	p := pacer{writing: writings[0], from: bufio.NewReader(bytes.NewReader(framesOf(1000))), to: &got}
	all := 0
	for range 2 {
		began := time.Now()
		n, err := p.send(rate, d)
		if err != nil {
			t.Fatal(err)
		}
		if most := int(rate * d.Seconds()); n > most || n <= most-writings[0].frames {
			t.Errorf("%d frames, want up to a batch less than %d", n, most)
		}
		if took := time.Since(began); took < d {
			t.Errorf("took %v, want at least %v", took, d)
		}
		all += n
	}
	if len(got) != all || !bytes.HasPrefix(framesOf(1000), bytes.Join(got, nil)) {
		t.Errorf("%d writes of %d frames, or other octets", len(got), all)
	}
	if n, err := p.send(0, time.Millisecond); n != 0 || err != nil {
		t.Errorf("rate 0: %d frames, %v", n, err)
	}
}
