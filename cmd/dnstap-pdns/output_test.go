package main

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/dnstap-pdns/dnstap-pdns/cmd/dnstap-pdns/internal/selftest"
)

// startFakeSensor starts a server that answers status and selftest as a sensor without problems
// does, and returns its address.
func startFakeSensor(t *testing.T) string {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/ledger":
			io.WriteString(w, read(t, "internal/admin/testdata/ledger.json"))
		case "/domains":
			io.WriteString(w, "{}")
		case "/selftest":
			lines := json.NewEncoder(w)
			lines.Encode(selftest.Line{Watching: &selftest.Watching{}})
			lines.Encode(selftest.Line{Verdict: passedReport().Verdict})
		}
	}))
	t.Cleanup(server.Close)
	return server.Listener.Addr().String()
}

// outputCommands returns the arguments of commands that succeed and print, by name.
func outputCommands(t *testing.T) map[string][]string {
	t.Helper()
	dir, sensor := t.TempDir(), startFakeSensor(t)
	config := filepath.Join(dir, "c.hcl")
	text := "source \"dnstap\" \"d\" {\n  listen = \"unix://" + dir + "/d.sock\"\n}\n" +
		"sink \"nmsg\" \"s\" {\n  to = \"file://" + dir + "/%Y%m%dT%H%M%S.nmsg\"\n}\nadmin {\n  listen = \"" + sensor + "\"\n}\n"
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return map[string][]string{
		"help":               {"help"},
		"help of a command":  {"help", "cat"},
		"--help":             {"cat", "--help"},
		"--help of run":      {"run", "--help"},
		"--version":          {"--version"},
		"demo":               {"demo"},
		"check":              {"check", "-c", config},
		"replay":             {"replay", "--to", "-", "demo.fstrm"},
		"explain":            {"explain", "demo.fstrm"},
		"explain, JSON":      {"explain", "--json", "demo.fstrm"},
		"cat":                {"cat", vectors + "dnsobs.nmsg"},
		"status":             {"status", sensor},
		"selftest":           {"selftest", "-c", config, "--resolver", "127.93.53.9:9"},
		"init":               {"init", "unbound", "--force", "-c", filepath.Join(dir, "new.hcl")},
		"init, without file": {"init", "unbound", "-c", "-"},
		"version":            {"version"},
	}
}

// TestUnwritableOutputIsAFailure runs every command that prints, with a full disk as standard
// output and as standard error.
func TestUnwritableOutputIsAFailure(t *testing.T) {
	full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer full.Close()
	all := outputCommands(t)
	for _, c := range commands {
		if _, ok := all[c.usage.name]; !ok && !c.accounts {
			t.Errorf("%s is missing in this test", c.usage.name)
		}
	}
	for name, args := range all {
		var out, errs bytes.Buffer
		if code := realMain(args, stdio{in: nullInput(t), out: &out, err: &errs}); code != exitDone || out.Len() == 0 {
			t.Errorf("%s: exit %d without a full disk: %s", name, code, &errs)
		}
		hasErrs := errs.Len() > 0
		errs.Reset()
		code := realMain(args, stdio{in: nullInput(t), out: full, err: &errs})
		if code != exitFailed || !strings.Contains(errs.String(), "no space left on device") {
			t.Errorf("%s: exit %d: %s", name, code, &errs)
		}
		if code := realMain(args, stdio{in: nullInput(t), out: io.Discard, err: full}); hasErrs != (code == exitFailed) {
			t.Errorf("%s: exit %d with a full disk as standard error", name, code)
		}
	}
}

// openTerminal returns a new terminal, and the end at which its user is.
func openTerminal(t *testing.T) (user, terminal *os.File) {
	t.Helper()
	user, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { user.Close() })
	if err := unix.IoctlSetPointerInt(int(user.Fd()), unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	n, err := unix.IoctlGetInt(int(user.Fd()), unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	terminal, err = os.OpenFile("/dev/pts/"+strconv.Itoa(n), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { terminal.Close() })
	return user, terminal
}

// TestNMSGIsNotWrittenToATerminal: terminals do not show it, and obey some of its octets.
func TestNMSGIsNotWrittenToATerminal(t *testing.T) {
	_, terminal := openTerminal(t)
	dir := t.TempDir()
	config := filepath.Join(dir, "c.hcl")
	text := "source \"dnstap\" \"d\" {\n  listen = \"unix://" + dir + "/d.sock\"\n}\nsink \"nmsg\" \"s\" {\n  to = \"stdout:\"\n}\n"
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{
		{"replay", "--to", "-", "demo.fstrm"}, {"replay", "--to", "stdout:", "demo.fstrm"}, {"replay", "-c", config, "demo.fstrm"}, {"run", "-c", config},
	} {
		var errs bytes.Buffer
		code := realMain(args, stdio{in: nullInput(t), out: terminal, err: &errs})
		if code != exitUsage || !strings.Contains(errs.String(), "writes NMSG, which is not text, to standard output, which is a terminal") {
			t.Errorf("%q: exit %d: %s", args, code, &errs)
		}
	}
	if code := realMain([]string{"check", "-c", config}, stdio{in: nullInput(t), out: terminal, err: io.Discard}); code != exitDone {
		t.Errorf("check: exit %d", code)
	}
}

// TestProgressIsOnATerminalOnly runs commands that wait for input until they have shown their
// progress.
func TestProgressIsOnATerminalOnly(t *testing.T) {
	capture, err := os.ReadFile("demo.fstrm")
	if err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{{"replay", "--to", filepath.Join(t.TempDir(), "x.nmsg"), "-"}, {"explain", "-"}} {
		user, terminal := openTerminal(t)
		cmd := exec.Command("dnstap-pdns", args...)
		in, err := cmd.StdinPipe()
		if err != nil {
			t.Fatal(err)
		}
		cmd.Stderr = terminal
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { cmd.Process.Kill() })
		terminal.Close()
		if _, err := in.Write(capture[:len(capture)/2]); err != nil {
			t.Fatal(err)
		}
		var shown strings.Builder
		buf := make([]byte, 4096)
		for !strings.Contains(shown.String(), " records/s") {
			n, err := user.Read(buf)
			if err != nil {
				t.Fatalf("%q: no progress: %v: %q", args, err, &shown)
			}
			shown.Write(buf[:n])
		}
		if _, err := in.Write(capture[len(capture)/2:]); err != nil {
			t.Fatal(err)
		}
		in.Close()
		rest, _ := io.ReadAll(user) // EIO after the end of the command
		shown.Write(rest)
		if err := cmd.Wait(); err != nil {
			t.Errorf("%q: %v", args, err)
		}
		_, after, _ := strings.Cut(shown.String(), "\x1b[Kreading: 0.0 MB, ")
		last := after[strings.LastIndex(after, "reading")+1:]
		if !strings.Contains(last, eraseLine) || strings.Contains(after, "%,") {
			t.Errorf("%q: %q", args, &shown)
		}
	}
}
