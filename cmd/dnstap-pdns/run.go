package main

import (
	"context"
	"log/slog"
	"os"
	"os/signal"
	"runtime/debug"
	"sync"
	"syscall"

	"github.com/dnstap-pdns/dnstap-pdns/cmd/dnstap-pdns/internal/sensor"
	"github.com/dnstap-pdns/dnstap-pdns/conf"
)

func run(ctx context.Context, args []string, std stdio) error {
	fs := newFlags("run", "[-c FILE]", std)
	path := fs.String("c", "", configUsage)
	if err := parseAlone(fs, args); err != nil {
		return err
	}
	file, err := loadConfig(*path, std)
	if err != nil {
		return err
	}
	if err := file.Runnable(); err != nil {
		return &usageError{err}
	}
	beFrugal()
	var level slog.LevelVar
	log := newLogger(file.Log, std.err, &level)
	s, err := sensor.New(&file.Config, sensor.Options{Log: log, Stdout: std.out})
	if err != nil {
		return err
	}
	log.Info("started", "version", buildVersion(), "sources", len(file.Sources)+len(file.Packets), "sinks", len(file.Sinks))
	logExcluded(log, file.Sources)

	r := reloader{path: *path, sensor: s, log: log, level: &level, format: file.Log.Format, std: std}
	stopReloading := r.start(ctx)
	err = s.Run(ctx)
	stopReloading()
	logPackets(log, s.Packets())
	logLedger(log, s.Ledger())
	return err
}

// beFrugal keeps memory near what is in use, unless the environment has GOGC. Next
// to no garbage is made, so that collecting it early costs nothing.
func beFrugal() {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(10)
	}
}

// A reloader re-reads the configuration at SIGHUP.
type reloader struct {
	path   string
	sensor *sensor.Sensor
	log    *slog.Logger
	level  *slog.LevelVar
	format string // of the log, for as long as the process lives
	std    stdio
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
				r.reload()
			}
		}
	})
	return func() {
		cancel()
		wg.Wait()
	}
}

func (r *reloader) reload() {
	const kept = "reload failed; the configuration in force stays"
	file, err := loadConfig(r.path, r.std)
	if err != nil {
		r.log.Error(kept, "reason", "the new configuration is not valid; see the lines before this one")
		return
	}
	if err := r.apply(file); err != nil {
		r.log.Error(kept, "reason", err)
		return
	}
	r.level.Set(file.Log.Level)
	if file.Log.Format != r.format {
		r.log.Warn("log.format changes at the next start")
	}
	r.log.Info("reloaded", "sources", len(file.Sources)+len(file.Packets), "sinks", len(file.Sinks))
	logExcluded(r.log, file.Sources)
}

func (r *reloader) apply(file *conf.File) error {
	if err := file.Runnable(); err != nil {
		return err
	}
	return r.sensor.Reload(&file.Config)
}
