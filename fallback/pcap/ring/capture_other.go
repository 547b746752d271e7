//go:build !linux

package ring

import (
	"context"
	"errors"
	"log/slog"

	"github.com/dnstap-pdns/dnstap-pdns/transform"
)

// Capture needs Linux.
type Capture struct{}

// Reader needs Linux.
type Reader struct{}

var errNotLinux = errors.New("packets are captured on Linux only: replay capture files instead")

// Open returns an error.
func Open(Config, *slog.Logger) (*Capture, error) { return nil, errNotLinux }

func (*Capture) Attach() error             { return errNotLinux }
func (*Capture) Run(context.Context) error { return errNotLinux }
func (*Capture) Reader(int) *Reader        { return nil }
func (*Capture) Stats() Stats              { return Stats{} }
func (*Capture) Ended() transform.Time     { return transform.NoTime }
func (*Capture) Close() error              { return nil }
func (*Reader) Wait() bool                 { return false }
func (*Reader) Next(*Packet) bool          { return false }
