package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
)

// A lockedBuffer is a buffer that one goroutine writes and another empties.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(b)
}

// take returns what was written since the latest call.
func (l *lockedBuffer) take() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	defer l.b.Reset()
	return l.b.String()
}

// TestProgressIsShownAndErased checks every octet that a terminal gets.
func TestProgressIsShownAndErased(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var terminal lockedBuffer
		p := newProgress(&terminal)
		m := &meter{does: "reading", size: 8_000_000}
		var records atomic.Uint64
		m.records = records.Load
		end := p.watch(m)
		expect := func(want string) {
			t.Helper()
			synctest.Wait()
			if d := cmp.Diff(want, terminal.take()); d != "" {
				t.Errorf("(-want +got):\n%s", d)
			}
		}
		expect("")
		if _, err := m.counted(strings.NewReader(strings.Repeat("x", 2_000_000))).Read(make([]byte, 2_000_000)); err != nil {
			t.Fatal(err)
		}
		records.Store(300)
		time.Sleep(progressTime)
		expect("\r\x1b[Kreading: 2.0 MB, 25 %, 300 records, 600 records/s")
		if _, err := p.Write([]byte("a log line\n")); err != nil {
			t.Fatal(err)
		}
		expect("\r\x1b[Ka log line\n")
		time.Sleep(progressTime)
		expect("\r\x1b[Kreading: 2.0 MB, 25 %, 300 records, 300 records/s")
		end()
		expect("\r\x1b[K")
		if _, err := p.Write([]byte("the ledger\n")); err != nil {
			t.Fatal(err)
		}
		expect("the ledger\n")
	})
}

func TestProgressOfShortWorkShowsNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var terminal bytes.Buffer
		end := newProgress(&terminal).watch(&meter{})
		time.Sleep(progressTime - 1)
		end()
		if terminal.Len() > 0 {
			t.Errorf("%q", &terminal)
		}
	})
}

func TestMeterKnowsTheSizeOfRegularFilesOnly(t *testing.T) {
	a := filepath.Join(t.TempDir(), "a")
	if err := os.WriteFile(a, make([]byte, 1_500_000), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		inputs []string
		octets int64
		want   string
	}{
		"files":             {[]string{a, a}, 1_500_000, "reading: 1.5 MB, 50 %"},
		"a file that grew":  {[]string{a}, 1_600_000, "reading: 1.6 MB, 100 %"},
		"also a device":     {[]string{a, os.DevNull}, 1_500_000, "reading: 1.5 MB"},
		"also a pipe":       {[]string{a, "-"}, 1_500_000, "reading: 1.5 MB"},
		"also a socket":     {[]string{"unix:///run/x", a}, 1_500_000, "reading: 1.5 MB"},
		"also a wrong name": {[]string{a, a + "b"}, 1_500_000, "reading: 1.5 MB"},
	} {
		m := newMeter("reading", c.inputs)
		m.octets.Add(c.octets)
		if got := m.line(time.Second); got != c.want {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
}
