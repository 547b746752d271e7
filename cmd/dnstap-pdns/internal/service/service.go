// Package service is what a sensor and the service manager that started it say to each
// other, in systemd's words: sd_notify(3) and sd_listen_fds(3). Where nobody listens
// nothing is said.
//
// It knows nothing of what the sensor does.
package service

import (
	"context"
	"log/slog"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/coreos/go-systemd/v22/activation"
	"github.com/coreos/go-systemd/v22/daemon"
)

// Inherited returns the sockets that were handed over to this process, and not to those
// that it starts. They are the caller's to close.
func Inherited() []*os.File { return activation.Files(true) }

// pulse is how often the status is told where no watchdog asks for a sign of life.
const pulse = 10 * time.Second

// A Notifier tells the service manager how things are.
type Notifier struct {
	log     *slog.Logger
	every   time.Duration // between signs of life
	watched bool          // they are asked for

	mu     sync.Mutex
	failed bool // the latest call
}

// New returns a Notifier to the service manager of this process, if it has one.
func New(log *slog.Logger) *Notifier {
	n := &Notifier{log: log, every: pulse}
	limit, err := daemon.SdWatchdogEnabled(false)
	if err != nil {
		log.Warn("the watchdog of the service manager gets no signs of life", "error", err)
	}
	if limit > 0 {
		n.watched, n.every = true, limit/3 // half is what systemd advises; a slow one is no dead one
	}
	return n
}

// Ready says that the start, or a reload, is over.
func (n *Notifier) Ready(status string) { n.tell(daemon.SdNotifyReady, statusLine(status)) }

// Reloading says that a reload has begun, whose end is Ready.
func (n *Notifier) Reloading() {
	n.tell(daemon.SdNotifyReloading, strings.TrimSpace(daemon.SdNotifyMonotonicUsec()))
}

// Keep gives signs of life until ctx ends, and then says that the sensor stops. There
// is none while status, which is to prove that it lives, does not return.
func (n *Notifier) Keep(ctx context.Context, status func() string) {
	ticker := time.NewTicker(n.every)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			n.tell(daemon.SdNotifyStopping)
			return
		case <-ticker.C:
			if line := statusLine(status()); n.watched {
				n.tell(daemon.SdNotifyWatchdog, line)
			} else {
				n.tell(line)
			}
		}
	}
}

// statusLine is what systemctl status shows.
func statusLine(status string) string {
	return "STATUS=" + strings.ReplaceAll(status, "\n", " ")
}

func (n *Notifier) tell(lines ...string) {
	_, err := daemon.SdNotify(false, strings.Join(lines, "\n"))
	n.mu.Lock()
	defer n.mu.Unlock()
	if err != nil && !n.failed {
		n.log.Warn("the service manager cannot be told how the sensor is", "error", err)
	}
	n.failed = err != nil
}
