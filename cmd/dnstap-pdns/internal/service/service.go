// Package service communicates with the service manager that started the sensor, by the
// protocols of systemd: sd_notify(3) and sd_listen_fds(3). Without a service manager it
// does nothing.
//
// It does not know what the sensor does.
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

// Inherited returns the sockets that the service manager passed to this process. Processes
// that this one starts do not inherit them. The caller closes them.
func Inherited() []*os.File { return activation.Files(true) }

// statusInterval is the time between two notices of the status if there is no watchdog.
const statusInterval = 10 * time.Second

// A Notifier notifies the service manager of the state of the sensor.
type Notifier struct {
	log     *slog.Logger
	every   time.Duration // between notices
	watched bool          // by a watchdog

	mu     sync.Mutex
	failed bool // the latest notice
}

// New returns a Notifier for the service manager of this process, if there is one.
func New(log *slog.Logger) *Notifier {
	n := &Notifier{log: log, every: statusInterval}
	limit, err := daemon.SdWatchdogEnabled(false)
	if err != nil {
		log.Warn("the watchdog of the service manager will not be notified", "error", err)
	}
	if limit > 0 {
		n.watched, n.every = true, limit/3 // systemd advises half; a third tolerates a slow sensor
	}
	return n
}

// Ready reports that the start, or a reload, is complete.
func (n *Notifier) Ready(status string) { n.notify(daemon.SdNotifyReady, statusLine(status)) }

// Reloading reports that a reload has begun. Ready ends it.
func (n *Notifier) Reloading() {
	n.notify(daemon.SdNotifyReloading, strings.TrimSpace(daemon.SdNotifyMonotonicUsec()))
}

// Keep notifies at intervals until ctx ends, and then reports that the sensor stops. While
// status does not return, which shows that the sensor hangs, it does not notify.
func (n *Notifier) Keep(ctx context.Context, status func() string) {
	ticker := time.NewTicker(n.every)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			n.notify(daemon.SdNotifyStopping)
			return
		case <-ticker.C:
			if line := statusLine(status()); n.watched {
				n.notify(daemon.SdNotifyWatchdog, line)
			} else {
				n.notify(line)
			}
		}
	}
}

// statusLine returns the notice of a status, which systemctl status shows.
func statusLine(status string) string {
	return "STATUS=" + strings.ReplaceAll(status, "\n", " ")
}

func (n *Notifier) notify(lines ...string) {
	_, err := daemon.SdNotify(false, strings.Join(lines, "\n"))
	n.mu.Lock()
	defer n.mu.Unlock()
	if err != nil && !n.failed {
		n.log.Warn("the service manager cannot be notified", "error", err)
	}
	n.failed = err != nil
}
