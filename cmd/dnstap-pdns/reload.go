package main

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"os/signal"
	"sync"
	"syscall"
	"time"

	"github.com/dnstap-pdns/dnstap-pdns/cmd/dnstap-pdns/internal/admin"
	"github.com/dnstap-pdns/dnstap-pdns/cmd/dnstap-pdns/internal/sensor"
	"github.com/dnstap-pdns/dnstap-pdns/conf"
)

// A reloader re-reads the configuration at SIGHUP.
type reloader struct {
	path   string
	sensor *sensor.Sensor
	admin  *admin.Server
	log    *slog.Logger
	level  *slog.LevelVar
	format string // of the log, for as long as the process lives
	std    stdio

	mu      sync.Mutex
	started time.Time
	last    admin.Reload
}

// start watches for SIGHUP until ctx ends or the returned function is called,
// which waits for a reload under way.
func (r *reloader) start(ctx context.Context) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	hangups := make(chan os.Signal, 1)
	signal.Notify(hangups, syscall.SIGHUP)
	var wg sync.WaitGroup
	wg.Go(func() {
		defer signal.Stop(hangups)
		for {
			select {
			case <-ctx.Done():
				return
			case <-hangups:
				r.note(r.reload(), time.Now())
			}
		}
	})
	return func() {
		cancel()
		wg.Wait()
	}
}

func (r *reloader) reload() error {
	const kept = "reload failed; the configuration in force stays"
	file, err := loadConfig(r.path, r.std)
	if err != nil {
		r.log.Error(kept, "reason", "the new configuration is not valid; see the lines before this one")
		return err
	}
	if err := r.apply(file); err != nil {
		r.log.Error(kept, "reason", err)
		return err
	}
	r.level.Set(file.Log.Level)
	if file.Log.Format != r.format {
		r.log.Warn("log.format changes at the next start")
	}
	r.log.Info("reloaded", "sources", len(file.Sources)+len(file.Packets), "sinks", len(file.Sinks))
	logExcluded(r.log, r.sensor.Excluded())
	return nil
}

// apply changes all or nothing.
func (r *reloader) apply(file *conf.File) error {
	if err := file.Runnable(); err != nil {
		return err
	}
	status, err := r.admin.Prepare(file.Admin)
	if err != nil {
		return err
	}
	if err := r.sensor.Reload(&file.Config); err != nil {
		return errors.Join(err, status.Discard())
	}
	status.Adopt()
	return nil
}

// began notes the start, which puts the first configuration in force.
func (r *reloader) began(at time.Time) {
	r.started = at
	r.note(nil, at)
}

// note keeps how a reload went, for those who ask.
func (r *reloader) note(err error, at time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.last.OK, r.last.Time, r.last.Error = err == nil, at, ""
	if err == nil {
		r.last.InForceSince = at
	} else {
		r.last.Error = err.Error()
	}
}

func (r *reloader) status() admin.Reload {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.last
}
