package main

import (
	"bytes"
	"fmt"
	"strings"
	"sync"
	"time"
)

// A lockedBuffer collects the output of a process.
type lockedBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}

// await returns when the output contains text, or with an error after startTime.
func (b *lockedBuffer) await(text string) error {
	for deadline := time.Now().Add(startTime); time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) {
		if strings.Contains(b.String(), text) {
			return nil
		}
	}
	return fmt.Errorf("no %q in the output within %s:\n%s", text, startTime, b.String())
}
