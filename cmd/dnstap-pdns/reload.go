package main

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"os"
	"slices"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/dnstap-pdns/dnstap-pdns/cmd/dnstap-pdns/internal/admin"
	"github.com/dnstap-pdns/dnstap-pdns/cmd/dnstap-pdns/internal/observers"
	"github.com/dnstap-pdns/dnstap-pdns/cmd/dnstap-pdns/internal/sensor"
	"github.com/dnstap-pdns/dnstap-pdns/cmd/dnstap-pdns/internal/service"
	"github.com/dnstap-pdns/dnstap-pdns/cmd/dnstap-pdns/internal/startcheck"
	"github.com/dnstap-pdns/dnstap-pdns/conf"
)

// pollInterval is the time between two checks of local_names_file.
const pollInterval = 2 * time.Second

// A reloader applies configurations to a running sensor: the whole configuration at SIGHUP, and
// the names in local_names_file when the file has changed.
type reloader struct {
	path     string // of the configuration in force; empty: the built-in one
	sensor   *sensor.Sensor
	admin    *admin.Server
	sent     observers.Set // gets the containers that sinks have sent
	notifier *service.Notifier
	log      *slog.Logger
	level    *slog.LevelVar
	std      stdio

	inForce *conf.File
	format  string // of the log; a reload does not change it
	names   filePoller

	mu       sync.Mutex
	started  time.Time
	last     admin.Reload
	problems problems
	warnings []conf.Warning // about inForce
}

// setStarted records the start, at which the first configuration came into force.
func (r *reloader) setStarted(at time.Time) {
	r.started = at
	r.last = admin.Reload{OK: true, Time: at, InForceSince: at}
}

// status returns the result of the latest reload.
func (r *reloader) status() admin.Reload {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.last
}

// configWarnings returns the warnings about the configuration in force.
func (r *reloader) configWarnings() []conf.Warning {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.warnings
}

// run reloads at each hangup, and when local_names_file changes, until ctx ends.
func (r *reloader) run(ctx context.Context, hangups <-chan os.Signal) {
	r.names.path = r.inForce.LocalNamesFile
	poll := time.NewTicker(pollInterval)
	defer poll.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-hangups:
			r.notifier.Reloading()
			r.reload(ctx)
			r.notifier.Ready(statusOf(r.sensor, r.status()))
		case <-poll.C:
			if r.names.changed() {
				r.reloadNames()
			}
		}
	}
}

// reload reads and applies the configuration file. If a file was in force, it must still exist:
// the built-in configuration, which has no local names, never replaces it.
func (r *reloader) reload(ctx context.Context) {
	defer r.keepSecrets()
	path := cmp.Or(r.path, configPath(""))
	file, err := loadFile(path, r.std)
	var warnings []conf.Warning
	if err == nil {
		if warnings, err = startcheck.Run(ctx, file, startcheck.Options{Listens: r.listens, InForce: r.inForce.Sinks}); err != nil {
			err = refusedError{err}
		} else {
			err = r.apply(file)
		}
	}
	r.record(func(p *problems) {
		if err == nil {
			*p = problems{}
		} else {
			p.config = problemOf(err)
		}
	})
	switch {
	case err != nil && ctx.Err() != nil:
		return // the sensor is stopping
	case err != nil:
		r.log.Error("reload failed; the configuration in force stays", "reason", err)
		return
	}
	r.path = path
	r.names = filePoller{path: file.LocalNamesFile}
	r.level.Set(file.Log.Level)
	if file.Log.Format != r.format {
		r.log.Warn("a reload does not change log.format: restart the sensor")
	}
	r.log.Info("reloaded", "sources", file.NumSources(), "sinks", len(file.Sinks))
	logWarnings(r.log, warnings, r.std.secrets)
	logExcluded(r.log, r.sensor.Excluded())
}

// reloadNames reads and applies the names in local_names_file.
func (r *reloader) reloadNames() {
	defer r.keepSecrets()
	renewed, diags := r.inForce.WithCurrentNames()
	file, err := printDiagnostics(renewed, diags, r.std)
	if err == nil && slices.Equal(file.Policy.LocalNames, r.inForce.Policy.LocalNames) && r.problems.names == (problem{}) {
		return
	}
	if err == nil {
		err = r.apply(file)
	}
	r.record(func(p *problems) {
		if p.names = (problem{}); err != nil {
			p.names = namesProblemOf(err)
		}
	})
	if err != nil {
		r.log.Error("local_names_file has changed and cannot be used; the names in force stay", "reason", err)
		return
	}
	r.log.Info("local_names_file was read again", "names", len(file.Policy.LocalNames))
}

// keepSecrets ends the masking of secrets that are not in the configuration in force.
func (r *reloader) keepSecrets() { r.std.secrets.keep(r.inForce) }

// listens reports whether the sensor or its admin server listens at an address.
func (r *reloader) listens(network, address string) bool {
	return r.sensor.Listens(network, address) || network == "tcp" && address == r.inForce.Admin.Listen
}

// apply applies a configuration. After an error nothing has changed.
func (r *reloader) apply(file *conf.File) error {
	change, err := r.admin.Prepare(file.Admin)
	if err != nil {
		return err
	}
	if err := r.sensor.Reload(&file.Config); err != nil {
		return errors.Join(err, change.Discard())
	}
	change.Adopt()
	r.mu.Lock()
	defer r.mu.Unlock()
	r.inForce, r.warnings = file, file.Warnings()
	return nil
}

// record changes the problems, and sets the status that follows from them.
func (r *reloader) record(set func(*problems)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	set(&r.problems)
	r.last = r.problems.latest(r.last)
}

// problems are the reasons why a configuration or its names are not in force.
type problems struct{ config, names problem }

// A problem is the reason for a failed reload and its remedy. Every client of the admin address
// can read it, so it does not quote the configuration as the log does. Its zero value means
// that there is no problem.
type problem struct {
	since        time.Time
	text, remedy string
}

// A refusedError contains the errors of startcheck, which check prints too.
type refusedError struct{ error }

// problemOf returns the problem that err is: the error of reading or applying a configuration.
func problemOf(err error) problem {
	p := problem{time.Now(), "the log says why", "Fix the problem that the log of the sensor reports, and reload again (SIGHUP)."}
	_, refused := errors.AsType[refusedError](err)
	switch bad, ok := errors.AsType[*configError](err); {
	case refused:
		p.text = "the configuration cannot take effect on this machine; dnstap-pdns check says why"
		p.remedy = "Fix the errors that dnstap-pdns check prints, and reload again (SIGHUP)."
	case !ok:
	case bad.place == "":
		p.text = "the configuration file cannot be read; the log says why"
		p.remedy = "Check that the file exists and that the user of the sensor may read it, and reload again (SIGHUP)."
	default:
		p.text = bad.place + " cannot be used; dnstap-pdns check says why"
		p.remedy = "Fix the errors that dnstap-pdns check prints (none, if they were fixed meanwhile), and reload again (SIGHUP)."
	}
	return p
}

// namesProblemOf is problemOf for an error of reading or applying local_names_file, which the
// sensor reads again when it changes.
func namesProblemOf(err error) problem {
	p := problemOf(err)
	if _, ok := errors.AsType[*configError](err); ok {
		p.remedy = "Fix the errors that dnstap-pdns check prints; the sensor then reads the file again by itself."
	}
	return p
}

// latest returns the new status of the reloader: the failed reload with a problem that no later
// reload has solved, or else a reload that succeeded now. before is the previous status.
func (p *problems) latest(before admin.Reload) admin.Reload {
	now := time.Now()
	if unsolved := cmp.Or(p.config, p.names); unsolved != (problem{}) {
		return admin.Reload{Time: unsolved.since, InForceSince: before.InForceSince, Error: unsolved.text, Advice: unsolved.remedy}
	}
	return admin.Reload{OK: true, Time: now, InForceSince: now}
}

// A filePoller detects changes of a file. It polls, because that detects renames, links and
// mounts, and works on every file system.
type filePoller struct {
	path     string
	reported fileState // at the latest reported change
	polled   fileState // at the latest poll
}

// A fileState is a state of a file, which changes when the file does. It is zero if the file
// does not exist or is not accessible.
type fileState struct {
	device, inode uint64
	size          int64
	changed       unix.Timespec // ctime, which no user can set
}

func stateOf(path string) fileState {
	var s unix.Stat_t
	if unix.Stat(path, &s) != nil {
		return fileState{}
	}
	return fileState{s.Dev, s.Ino, s.Size, s.Ctim}
}

// changed reports whether the file changed since the last report and has been stable for
// two polls, so that a file is not read while it is written. The first state is a change.
func (f *filePoller) changed() bool {
	if f.path == "" {
		return false
	}
	now := stateOf(f.path)
	stable := now == f.polled
	f.polled = now
	if !stable || now == f.reported {
		return false
	}
	f.reported = now
	return true
}
