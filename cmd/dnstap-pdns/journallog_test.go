package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/dnstap-pdns/dnstap-pdns/conf"
)

func TestLogLinesForTheJournalHaveAPriorityAndNoTime(t *testing.T) {
	for format, want := range map[string]string{
		"text": "<7>level=DEBUG msg=a source=s\n<6>level=INFO msg=b source=s g.n=1\n<4>level=WARN msg=c source=s text=\"x\\ny\"\n<3>level=ERROR msg=d source=s\n",
		"json": `<7>{"level":"DEBUG","msg":"a","source":"s"}` + "\n" + `<6>{"level":"INFO","msg":"b","source":"s","g":{"n":1}}` + "\n" +
			`<4>{"level":"WARN","msg":"c","source":"s","text":"x\ny"}` + "\n" + `<3>{"level":"ERROR","msg":"d","source":"s"}` + "\n",
	} {
		var b bytes.Buffer
		var level slog.LevelVar
		log := newLogger(conf.Log{Level: slog.LevelDebug, Format: format}, stdio{err: plainWriter{&b}, journal: true}, &level).With("source", "s")
		log.Debug("a")
		log.WithGroup("g").Info("b", "n", 1)
		log.Warn("c", "text", "x\ny")
		log.Error("d")
		if diff := cmp.Diff(want, b.String()); diff != "" {
			t.Errorf("%s (-want +got):\n%s", format, diff)
		}
	}
}

// logLines returns the log of a sensor as JSON. Lines that are not JSON are errors.
func logLines(t *testing.T, text string) (all []map[string]any) {
	t.Helper()
	for line := range strings.Lines(text) {
		var l map[string]any
		if err := json.Unmarshal([]byte(line), &l); err != nil {
			t.Errorf("not JSON: %q", line)
			continue
		}
		all = append(all, l)
	}
	return all
}

const jsonLog = "log {\n  format = \"json\"\n}\n"

// TestJSONLogsContainOnlyJSON: the diagnostics of a failed reload are log lines, before the line
// that reports the failure.
func TestJSONLogsContainOnlyJSON(t *testing.T) {
	t.Parallel()
	s := newService(t)
	good := fmt.Sprintf(serviceConfig, s.dir) + jsonLog
	s.put(t, "c.hcl", good)
	s.start(t)
	s.next(t, "READY=1")
	s.put(t, "c.hcl", good+"nonsense = 1\npairing {\n  timeout = \"0s\"\n}\n")
	reloadAndStop(t, s)
	var failures []string
	for _, l := range logLines(t, s.logged(t)) {
		if l["level"] == "ERROR" {
			failures = append(failures, fmt.Sprintf("%s, %s, %t", filepath.Base(fmt.Sprint(l["place"])), l["msg"], l["remedy"] != nil))
		}
	}
	if len(failures) != 3 || !strings.HasPrefix(failures[0], "c.hcl:") || !strings.HasPrefix(failures[1], "c.hcl:") ||
		failures[2] != "<nil>, reload failed; the configuration in force stays, false" {
		t.Errorf("got %q", failures)
	}
}

// TestFailedStartsLogOnlyJSON: a start fails because of the configuration, and because of a socket.
func TestFailedStartsLogOnlyJSON(t *testing.T) {
	dir := t.TempDir()
	sink := "sink \"nmsg\" \"s\" {\n  to = \"stdout:\"\n}\nadmin {\n  listen = \"\"\n}\n"
	for name, tt := range map[string]struct {
		config, want string
	}{
		"an unknown attribute": {jsonLog + sink + "source \"dnstap\" \"a\" {\n  listen = \"unix://" + dir + "/a.sock\"\n  nonsense = 1\n}\n", "nonsense"},
		"no source":            {jsonLog + sink, "source"},
		"no folder":            {jsonLog + sink + "source \"dnstap\" \"a\" {\n  listen = \"unix://" + dir + "/none/a.sock\"\n}\n", "none/a.sock"},
	} {
		path := filepath.Join(dir, "c.hcl")
		if err := os.WriteFile(path, []byte(tt.config), 0o600); err != nil {
			t.Fatal(err)
		}
		var errs bytes.Buffer
		std := stdio{out: &bytes.Buffer{}, err: plainWriter{&errs}, secrets: new(secrets)}
		ctx, stop := context.WithCancel(t.Context())
		exit := exitCode("run", run(ctx, []string{"-c", path}, std), std)
		stop()
		lines := logLines(t, errs.String())
		if len(lines) == 0 || lines[0]["level"] != "ERROR" || !strings.Contains(fmt.Sprint(lines[0]), tt.want) || exit == exitDone {
			t.Errorf("%s: exit %d; %s", name, exit, &errs)
		}
	}
}

// reloadAndStop reloads a service, and stops it when it is ready again.
func reloadAndStop(t *testing.T, s *serviceSensor) {
	t.Helper()
	s.Process.Signal(syscall.SIGHUP)
	s.next(t, "RELOADING=1")
	s.next(t, "READY=1")
	s.Process.Signal(syscall.SIGTERM)
	if err := s.Wait(); err != nil {
		t.Error(err)
	}
}

func TestLoggedFailuresKeepTheirExitCode(t *testing.T) {
	for want, err := range map[int]error{exitDone: nil, exitFailed: errors.New("no room"), exitUsage: &usageError{errors.New("no source")}} {
		var b bytes.Buffer
		got := exitCode("run", logFailure(slog.New(slog.NewJSONHandler(&b, nil)), err, stdio{err: &b}), stdio{err: &b})
		if lines := strings.Count(b.String(), "\n"); got != want || lines != min(want, 1) {
			t.Errorf("%v: exit %d, want %d; %d lines: %s", err, got, want, lines, &b)
		}
	}
}

// TestFailureInTheJournalKeepsItsLines: an operator copies a file from it.
func TestFailureInTheJournalKeepsItsLines(t *testing.T) {
	var b bytes.Buffer
	std := stdio{err: &b, secrets: new(secrets)}
	got := exitCode("run", logFailure(nil, &usageError{errors.New("no socket\nWrite this:\n\n[Socket]")}, std), std)
	if want := "<3>the sensor cannot start: no socket\n<3>Write this:\n<3>\n<3>[Socket]\n"; got != exitUsage || b.String() != want {
		t.Errorf("exit %d; got %q, want %q", got, b.String(), want)
	}
}

// TestServiceLogsToTheJournal runs a sensor as systemd does if standard error is the journal.
func TestServiceLogsToTheJournal(t *testing.T) {
	t.Parallel()
	s := newService(t)
	s.journal = true
	s.start(t)
	s.next(t, "READY=1")
	s.put(t, "c.hcl", "nonsense {\n}\n")
	reloadAndStop(t, s)
	log := s.logged(t)
	for line := range strings.Lines(log) {
		if len(line) < 3 || line[0] != '<' || line[2] != '>' || strings.Contains(line, "time=") {
			t.Errorf("got %q", line)
		}
	}
	if !strings.Contains(log, "<6>level=INFO msg=started ") || !strings.Contains(log, `<3>level=ERROR msg="reload failed;`) {
		t.Error("the log has no priorities")
	}
}
