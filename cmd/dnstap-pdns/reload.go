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
	"github.com/dnstap-pdns/dnstap-pdns/cmd/dnstap-pdns/internal/leaving"
	"github.com/dnstap-pdns/dnstap-pdns/cmd/dnstap-pdns/internal/sensor"
	"github.com/dnstap-pdns/dnstap-pdns/cmd/dnstap-pdns/internal/service"
	"github.com/dnstap-pdns/dnstap-pdns/conf"
)

// lookEvery is how often local_names_file is looked at.
const lookEvery = 2 * time.Second

// A reloader gives a running sensor another configuration: the whole of it at SIGHUP,
// and the names in local_names_file when that has changed.
type reloader struct {
	path     string // of the configuration in force; empty: the built-in one
	sensor   *sensor.Sensor
	admin    *admin.Server
	tap      leaving.Tap // sees what sinks have sent
	notifier *service.Notifier
	log      *slog.Logger
	level    *slog.LevelVar
	std      stdio

	inForce *conf.File
	format  string // of the log, for as long as the process lives
	names   watch

	mu       sync.Mutex
	started  time.Time
	last     admin.Reload
	problems problems
}

// began notes the start, which puts the first configuration in force.
func (r *reloader) began(at time.Time) {
	r.started = at
	r.last = admin.Reload{OK: true, Time: at, InForceSince: at}
}

// status returns how the latest reload went.
func (r *reloader) status() admin.Reload {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.last
}

// run reloads until ctx ends.
func (r *reloader) run(ctx context.Context, hangups <-chan os.Signal) {
	r.names.path = r.inForce.LocalNamesFile
	look := time.NewTicker(lookEvery)
	defer look.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-hangups:
			r.notifier.Reloading()
			r.reload(ctx)
			r.notifier.Ready(statusOf(r.sensor, r.status()))
		case <-look.C:
			if r.names.changed() {
				r.renew()
			}
		}
	}
}

// reload brings the configuration file into force. One that has been in force must be
// there: the built-in configuration, which has no local names, never takes its place.
func (r *reloader) reload(ctx context.Context) {
	defer r.keepSecrets()
	path := cmp.Or(r.path, configPath(""))
	file, why := loadFile(path, r.std)
	if why == nil {
		why = r.apply(file)
	}
	r.note(func(p *problems) {
		if why == nil {
			*p = problems{}
		} else {
			p.config = problemOf(why)
		}
	})
	switch {
	case why != nil && ctx.Err() != nil:
		return // the sensor is stopping
	case why != nil:
		r.log.Error("reload failed; the configuration in force stays", "reason", why)
		return
	}
	r.path = path
	r.names = watch{path: file.LocalNamesFile}
	r.level.Set(file.Log.Level)
	if file.Log.Format != r.format {
		r.log.Warn("log.format changes at the next start")
	}
	r.log.Info("reloaded", "sources", len(file.Sources)+len(file.Packets), "sinks", len(file.Sinks))
	logWarnings(r.log, file)
	logExcluded(r.log, r.sensor.Excluded())
}

// renew brings the names into force that local_names_file holds now.
func (r *reloader) renew() {
	defer r.keepSecrets()
	renewed, diags := r.inForce.Renewed()
	file, why := explained(renewed, diags, r.std)
	if why == nil && slices.Equal(file.Policy.LocalNames, r.inForce.Policy.LocalNames) && r.problems.names == (problem{}) {
		return
	}
	if why == nil {
		why = r.apply(file)
	}
	r.note(func(p *problems) {
		if p.names = (problem{}); why != nil {
			p.names = namesProblemOf(why)
		}
	})
	if why != nil {
		r.log.Error("local_names_file has changed and cannot be used; the names in force stay", "reason", why)
		return
	}
	r.log.Info("local_names_file was read again", "names", len(file.Policy.LocalNames))
}

// keepSecrets ends the masking of secrets that the configuration in force does not contain.
func (r *reloader) keepSecrets() { r.std.secrets.keep(r.inForce) }

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
	r.inForce = file
	return nil
}

// note keeps how a reload went.
func (r *reloader) note(set func(*problems)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	set(&r.problems)
	r.last = r.problems.latest(r.last)
}

// problems are the reasons why a configuration or its names are not in force.
type problems struct{ config, names problem }

// A problem is shown to every client of the admin address. It therefore quotes nothing of
// the configuration: the log does. The zero value is no problem.
type problem struct {
	since    time.Time
	says, do string
}

// problemOf returns the problem of a configuration.
func problemOf(why error) problem {
	p := problem{time.Now(), "the log says why", "Mend what the sensor's log tells of, and reload again (SIGHUP)."}
	switch bad, ok := errors.AsType[*configError](why); {
	case !ok:
	case bad.place == "":
		p.says = "the configuration file cannot be read; the log says why"
		p.do = "See that the file is there and that the sensor's user may read it, and reload again (SIGHUP)."
	default:
		p.says = bad.place + " cannot be used; dnstap-pdns check says why"
		p.do = "Mend what dnstap-pdns check finds (nothing, if that has been mended since), and reload again (SIGHUP)."
	}
	return p
}

// namesProblemOf returns the problem of local_names_file, which is read again when it changes.
func namesProblemOf(why error) problem {
	p := problemOf(why)
	if _, ok := errors.AsType[*configError](why); ok {
		p.do = "Mend what dnstap-pdns check finds; the file is read again by itself."
	}
	return p
}

// latest returns the reload to show: one that failed, until a later one puts in force what
// it would have. before is what was shown so far.
func (p *problems) latest(before admin.Reload) admin.Reload {
	now := time.Now()
	if left := cmp.Or(p.config, p.names); left != (problem{}) {
		return admin.Reload{Time: left.since, InForceSince: before.InForceSince, Error: left.says, Advice: left.do}
	}
	return admin.Reload{OK: true, Time: now, InForceSince: now}
}

// A watch detects changes of a file. It polls, because that detects renames, links and
// mounts, and works on every file system.
type watch struct {
	path  string
	taken fileState // at the latest change that was reported
	seen  fileState // at the latest poll
}

// A fileState differs between two states of a file. It is zero if the file does not exist
// or is not accessible.
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
// two polls, so that a file that is being written is left alone. The first state is a
// change.
func (w *watch) changed() bool {
	if w.path == "" {
		return false
	}
	now := stateOf(w.path)
	settled := now == w.seen
	w.seen = now
	if !settled || now == w.taken {
		return false
	}
	w.taken = now
	return true
}
