package main

import (
	"bytes"
	"fmt"
	"strings"
	"sync"
	"time"
)

// A lockedBuffer is what a process has said so far.
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

// await returns once the process has said a thing.
func (b *lockedBuffer) await(thing string) error {
	for deadline := time.Now().Add(startTime); time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) {
		if strings.Contains(b.String(), thing) {
			return nil
		}
	}
	return fmt.Errorf("no %q within %s:\n%s", thing, startTime, b.String())
}
