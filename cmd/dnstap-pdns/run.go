package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"runtime/debug"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/dnstap-pdns/dnstap-pdns/cmd/dnstap-pdns/internal/admin"
	"github.com/dnstap-pdns/dnstap-pdns/cmd/dnstap-pdns/internal/sensor"
	"github.com/dnstap-pdns/dnstap-pdns/cmd/dnstap-pdns/internal/service"
)

func run(ctx context.Context, args []string, std stdio) error {
	fs := newFlags("run", "[-c FILE]", std)
	path := fs.String("c", "", configUsage)
	if err := parseAlone(fs, args); err != nil {
		return err
	}
	hangups := make(chan os.Signal, 1) // from here on: it would kill a sensor that starts
	signal.Notify(hangups, syscall.SIGHUP)
	defer signal.Stop(hangups)
	inherited := service.Inherited()
	defer closeAll(inherited)
	found := configPath(*path)
	file, err := loadFile(found, std)
	if err != nil {
		return err
	}
	if err := file.Runnable(); err != nil {
		return &usageError{err}
	}
	beFrugal()
	var level slog.LevelVar
	direct := newLogger(file.Log, std, &level)
	queue := newLogQueue(std.err, func(lost uint64) {
		direct.Warn("log lines are lost, for nobody read them in time", "lines", lost)
	})
	defer queue.Close()
	std.err = queue
	log := newLogger(file.Log, std, &level)
	r := reloader{path: found, notifier: service.New(log), log: log, level: &level, std: std, inForce: file, format: file.Log.Format}
	r.began(time.Now())
	if r.admin, err = r.listen(file.Admin); err != nil {
		return err
	}
	s, err := sensor.New(&file.Config, sensor.Options{Log: log, Stdout: std.out, Observer: &r.tap, Inherited: inherited})
	if err != nil {
		return errors.Join(err, r.admin.Close())
	}
	r.sensor = s
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	stopShowing := r.show(stop)
	background, end := context.WithCancel(ctx)
	defer end()
	var beside sync.WaitGroup
	err = s.Run(ctx, func() {
		log.Info("started", "version", buildVersion(), "sources", len(file.Sources)+len(file.Packets), "sinks", len(file.Sinks))
		logWarnings(log, file)
		logExcluded(log, s.Excluded())
		status := func() string { return statusOf(s, r.status()) }
		r.notifier.Ready(status())
		beside.Go(func() { r.notifier.Keep(background, status) })
		beside.Go(func() { r.run(background, hangups) })
	})
	end()
	beside.Wait()
	err = errors.Join(err, stopShowing())
	logPackets(log, s.Packets())
	logLedger(log, s.Ledger())
	return err
}

func closeAll(files []*os.File) {
	for _, f := range files {
		f.Close()
	}
}

// beFrugal keeps memory near what is in use, unless the environment has GOGC. Next
// to no garbage is made, so that collecting it early costs nothing.
func beFrugal() {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(10)
	}
}

// statusOf is the sensor in one line. It takes every lane's lock and every queue's: that
// it returns proves that none of them hangs.
func statusOf(s *sensor.Sensor, reload admin.Reload) string {
	l := s.Ledger()
	parts := []string{fmt.Sprintf("read %d messages, made %d records", l.Total.Read, l.Total.Records)}
	for i := range l.Sinks {
		sink := &l.Sinks[i]
		said := fmt.Sprintf("sink %s delivered %d", sink.Name, sink.Delivered)
		if sink.Error != "" {
			said += ", and fails"
		}
		parts = append(parts, said)
	}
	if !reload.OK {
		failed := fmt.Sprintf("the reload at %s failed: %s", reload.Time.Format(time.TimeOnly), reload.Error)
		parts = append([]string{failed}, parts...)
	}
	return strings.Join(parts, "; ")
}
