package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"runtime"
	"runtime/debug"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"github.com/dnstap-pdns/dnstap-pdns/cmd/dnstap-pdns/internal/admin"
	"github.com/dnstap-pdns/dnstap-pdns/cmd/dnstap-pdns/internal/admin/page"
	"github.com/dnstap-pdns/dnstap-pdns/cmd/dnstap-pdns/internal/selftest"
	"github.com/dnstap-pdns/dnstap-pdns/cmd/dnstap-pdns/internal/sensor"
	"github.com/dnstap-pdns/dnstap-pdns/cmd/dnstap-pdns/internal/service"
	"github.com/dnstap-pdns/dnstap-pdns/cmd/dnstap-pdns/internal/startcheck"
	"github.com/dnstap-pdns/dnstap-pdns/conf"
	"github.com/dnstap-pdns/dnstap-pdns/transform"
)

var runUsage = usage{
	name:     "run",
	does:     "Runs the sensor until SIGINT or SIGTERM; SIGHUP reloads the configuration.",
	examples: []string{"dnstap-pdns run", "dnstap-pdns run -c site.hcl"},
	exits:    []string{"stopped by a signal", "a source or a sink failed or could not be opened, or records were lost at the stop", "bad usage, or the configuration is invalid"},
}

func run(ctx context.Context, args []string, std stdio) (err error) {
	hangups := make(chan os.Signal, 1) // an uncaught SIGHUP kills the process: caught first, and until the end
	signal.Notify(hangups, syscall.SIGHUP)
	o := newOptions(runUsage, std)
	path := o.config()
	if err := o.parse(args, 0); err != nil {
		return err
	}
	inherited := service.Inherited()
	defer closeAll(inherited)
	found := configPath(*path)
	file, diags := readFile(found)
	var level slog.LevelVar
	if logsEverything(file.Log, std) {
		std.log = newLogger(file.Log, std, &level)
		direct, std := std.log, std
		if file.Log.Format != "json" {
			direct = nil
		}
		defer func() { err = logFailure(direct, err, std) }()
	}
	if file, err = printDiagnostics(file, diags, std); err != nil {
		return err
	}
	if err := checkTerminal(file.Sinks, std); err != nil {
		return &usageError{err}
	}
	inherits, err := sensor.Inherits(inherited)
	if err != nil {
		return err
	}
	warnings, err := startcheck.Run(ctx, file, startcheck.Options{Listens: inherits})
	if err != nil {
		return &usageError{sensor.ExplainSockets(err, inherited, file.Sources)}
	}
	setGCPercent()
	setMemoryLimit()
	direct := newLogger(file.Log, std, &level)
	queue := newLogQueue(std.err, func(lost uint64) {
		direct.Warn("log lines dropped: the reader of the log is too slow", "lines", lost)
	})
	defer queue.Close()
	std.err = queue
	log := newLogger(file.Log, std, &level)
	if std.log != nil {
		std.log = log
	}
	r := reloader{path: found, notifier: service.New(log), log: log, level: &level, std: std, inForce: file, warnings: file.Warnings(), format: file.Log.Format}
	r.setStarted(time.Now())
	if r.admin, err = r.listen(file.Admin); err != nil {
		return err
	}
	s, err := sensor.New(&file.Config, sensor.Options{Log: log, Stdout: std.out, Observer: &r.sent, Inherited: inherited})
	if err != nil {
		err = sensor.ExplainSockets(err, inherited, file.Sources)
		if _, ok := errors.AsType[*sensor.SocketUnitError](err); ok {
			err = &usageError{err}
		}
		return errors.Join(err, r.admin.Close())
	}
	r.sensor = s
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	stopServing := r.serve(stop)
	background, end := context.WithCancel(ctx)
	defer end()
	var tasks sync.WaitGroup
	err = s.Run(ctx, func() {
		log.Info("started", "version", buildVersion(), "sources", file.NumSources(), "sinks", len(file.Sinks))
		logWarnings(log, warnings, std.secrets)
		logExcluded(log, s.Excluded())
		status := func() string { return statusOf(s, r.status()) }
		r.notifier.Ready(status())
		tasks.Go(func() { r.notifier.Keep(background, status) })
		tasks.Go(func() { r.run(background, hangups) })
	})
	end()
	tasks.Wait()
	err = errors.Join(err, stopServing())
	logPackets(log, s.Packets())
	logKafka(log, s.Kafka())
	logLedger(log, s.Ledger())
	return err
}

func closeAll(files []*os.File) {
	for _, f := range files {
		f.Close()
	}
}

// setGCPercent makes the garbage collector run early to save memory, unless GOGC is set. The
// sensor makes little garbage, so this costs little time.
func setGCPercent() {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(10)
	}
}

// setMemoryLimit makes the garbage collector run more often near the memory limit of the
// cgroup, unless GOMEMLIMIT is set. A tenth is left for what the collector does not manage. The
// check of the configuration reports a limit that cannot be read.
func setMemoryLimit() {
	if os.Getenv("GOMEMLIMIT") != "" {
		return
	}
	if limit, err := startcheck.CgroupLimit(); err == nil && limit > 0 {
		debug.SetMemoryLimit(limit / 10 * 9)
	}
}

// statusOf returns the state of the sensor in one line. It takes the lock of every lane and
// queue: that it returns proves that none of them hangs.
func statusOf(s *sensor.Sensor, reload admin.Reload) string {
	l := s.Ledger()
	parts := []string{fmt.Sprintf("read %d messages, made %d records", l.Total.Read, l.Total.Records)}
	for i := range l.Sinks {
		sink := &l.Sinks[i]
		part := fmt.Sprintf("sink %s delivered %d", sink.Name, sink.Delivered)
		if sink.Written > 0 {
			part += fmt.Sprintf(", wrote %d to files that are not complete", sink.Written)
		}
		if sink.Error != "" {
			part += ", and fails"
		}
		parts = append(parts, part)
	}
	if !reload.OK {
		failed := fmt.Sprintf("the reload at %s failed: %s", reload.Time.Format(time.TimeOnly), reload.Error)
		parts = append([]string{failed}, parts...)
	}
	return strings.Join(parts, "; ")
}

// logExcluded logs which resolvers of this machine cannot connect to open sources.
func logExcluded(log *slog.Logger, all []sensor.AccessProblem) {
	for _, x := range all {
		if x.Err != nil {
			log.Warn("cannot check whether resolvers may connect", "source", x.Source, "error", x.Err)
		}
		for _, e := range x.Exclusions {
			log.Warn("a resolver of this machine cannot connect", "source", x.Source,
				"resolver", e.Resolver, "user", e.User, "problem", e.Problem, "remedy", e.Advice)
		}
	}
}

// listen returns the admin server, which listens but serves nothing yet.
func (r *reloader) listen(c conf.Admin) (*admin.Server, error) {
	registry := prometheus.NewRegistry()
	registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	view := &admin.View{
		Version:   buildVersion(),
		GoVersion: runtime.Version(),
		Started:   r.started,
		State:     r.state,
		Reload:    r.status,
		Warnings:  r.configWarnings,
		Domains:   func(n int) []transform.DomainCount { return r.sensor.Domains(n) },
	}
	host, err := os.Hostname()
	if err != nil {
		r.log.Warn("the status page does not name its host, because the name cannot be read", "error", err)
	}
	statusPage, err := page.New(host, view.Ledger, &r.sent, r.log)
	if err != nil {
		return nil, err
	}
	return admin.Listen(c, view, admin.Options{
		Page:     statusPage,
		Selftest: selftest.New(func() selftest.Sensor { return r.sensor }, &r.sent),
		Ready:    func() error { return r.sensor.Ready() },
		Registry: registry,
		Log:      r.log,
	})
}

// state returns the state of the sensor. It masks secrets, which targets and errors may contain.
func (r *reloader) state() sensor.State {
	s := r.sensor.State()
	for i := range s.Ledger.Sinks {
		l := &s.Ledger.Sinks[i]
		l.Target, l.Error = r.std.secrets.mask(l.Target), r.std.secrets.mask(l.Error)
	}
	for i := range s.Kafka {
		s.Kafka[i].Error = r.std.secrets.mask(s.Kafka[i].Error)
	}
	for i := range s.Dnstap {
		s.Dnstap[i].Certificate.Problem = r.std.secrets.mask(s.Dnstap[i].Certificate.Problem)
	}
	return s
}

// serve serves the admin address until end is called, which waits and returns the error of the
// server. If the server fails, serve calls stop.
func (r *reloader) serve(stop func()) (end func() error) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() {
		err := r.admin.Run(ctx)
		if err != nil {
			stop()
		}
		done <- err
	}()
	return func() error {
		cancel()
		return <-done
	}
}
