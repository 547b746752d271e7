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

var errNotLinux = errors.New("capturing packets needs Linux: replay capture files instead")

// Open returns an error.
func Open(Config, *slog.Logger) (*Capture, error) { return nil, errNotLinux }

// Attach returns an error.
func (*Capture) Attach() error { return errNotLinux }

// Run returns an error.
func (*Capture) Run(context.Context) error { return errNotLinux }

// Reader returns nil.
func (*Capture) Reader(int) *Reader { return nil }

// Stats returns none.
func (*Capture) Stats() Stats { return Stats{} }

// Ended returns NoTime.
func (*Capture) Ended() transform.Time { return transform.NoTime }

// Close does nothing.
func (*Capture) Close() error { return nil }

// Wait returns false.
func (*Reader) Wait() bool { return false }

// Next returns false.
func (*Reader) Next(*Packet) bool { return false }

// Sample returns an error.
func Sample(context.Context, []string, int, func(*Packet)) error { return errNotLinux }
