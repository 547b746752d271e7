package main

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"runtime/debug"
	"time"

	"github.com/dnstap-pdns/dnstap-pdns/cmd/dnstap-pdns/internal/sensor"
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
	r := reloader{path: *path, log: log, level: &level, format: file.Log.Format, std: std}
	r.began(time.Now())
	if r.admin, err = r.listen(file.Admin); err != nil {
		return err
	}
	s, err := sensor.New(&file.Config, sensor.Options{Log: log, Stdout: std.out})
	if err != nil {
		return errors.Join(err, r.admin.Close())
	}
	r.sensor = s
	log.Info("started", "version", buildVersion(), "sources", len(file.Sources)+len(file.Packets), "sinks", len(file.Sinks))
	logExcluded(log, s.Excluded())

	ctx, stop := context.WithCancel(ctx)
	defer stop()
	stopShowing := r.show(stop)
	stopReloading := r.start(ctx)
	err = s.Run(ctx)
	stopReloading()
	err = errors.Join(err, stopShowing())
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
