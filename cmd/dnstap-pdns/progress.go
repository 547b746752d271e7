package main

import (
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// A progress shows one line about the work of a command at the end of a terminal's output. Its
// Write erases the line first. The methods of a nil progress show nothing.
type progress struct {
	mu    sync.Mutex
	w     io.Writer // the terminal
	shown bool
}

func newProgress(w io.Writer) *progress { return &progress{w: w} }

const eraseLine = "\r\x1b[K"

func (p *progress) Write(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.erase()
	return p.w.Write(b)
}

func (p *progress) erase() {
	if p.shown {
		io.WriteString(p.w, eraseLine)
		p.shown = false
	}
}

func (p *progress) show(line string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	io.WriteString(p.w, eraseLine+line)
	p.shown = true
}

// progressTime is the time between two updates. Work that takes less time shows nothing.
const progressTime = 500 * time.Millisecond

// watch shows what m counts, until the caller calls end, which erases the line.
func (p *progress) watch(m *meter) (end func()) {
	if p == nil {
		return func() {}
	}
	stop, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		began := time.Now()
		ticker := time.NewTicker(progressTime)
		defer ticker.Stop()
		for {
			select {
			case now := <-ticker.C:
				p.show(m.line(now.Sub(began)))
			case <-stop:
				return
			}
		}
	}()
	return func() {
		close(stop)
		<-done
		p.mu.Lock()
		defer p.mu.Unlock()
		p.erase()
	}
}

// A meter counts what was read of inputs, and the records that were made of it. A nil meter
// counts nothing.
type meter struct {
	does    string
	size    int64 // octets of all inputs; 0: unknown
	octets  atomic.Int64
	records func() uint64 // nil: none are made
}

// newMeter returns the meter of these inputs. Their size is known if all are regular files.
func newMeter(does string, inputs []string) *meter {
	m := &meter{does: does}
	for _, input := range inputs {
		info, err := os.Stat(input)
		if err != nil || !info.Mode().IsRegular() {
			m.size = 0
			return m
		}
		m.size += info.Size()
	}
	return m
}

// counted returns a reader that counts what is read from r.
func (m *meter) counted(r io.Reader) io.Reader {
	if m == nil {
		return r
	}
	return io.TeeReader(r, m)
}

func (m *meter) Write(b []byte) (int, error) {
	m.octets.Add(int64(len(b)))
	return len(b), nil
}

// line returns what was counted after this time.
func (m *meter) line(after time.Duration) string {
	octets := m.octets.Load()
	parts := []string{fmt.Sprintf("%s: %.1f MB", m.does, float64(octets)/1e6)}
	if m.size > 0 {
		parts = append(parts, fmt.Sprintf("%d %%", min(octets*100/m.size, 100)))
	}
	if m.records != nil {
		n := m.records()
		parts = append(parts, fmt.Sprintf("%d records", n), fmt.Sprintf("%.0f records/s", float64(n)/after.Seconds()))
	}
	return strings.Join(parts, ", ")
}
