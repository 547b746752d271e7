package main

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	dnstap "github.com/dnstap/golang-dnstap"
	framestream "github.com/farsightsec/golang-framestream"
	"google.golang.org/protobuf/proto"

	"github.com/dnstap-pdns/dnstap-pdns/collector"
	"github.com/dnstap-pdns/dnstap-pdns/conf"
	"github.com/dnstap-pdns/dnstap-pdns/transform"
)

// hostileTexts returns texts with every byte, and with sequences that terminals, browsers,
// loggers and printf interpret.
func hostileTexts() []string {
	all := []string{
		"\x1b[2J\x1b]0;owned\x07", "\u009b31m", "\x9b31m", "\x1b]8;;http://evil.test\x1b\\", "\u202egnp.exe", "\u2066x\u2069",
		"\r\nlevel=ERROR msg=forged", "<script>alert(1)</script>", "&amp;", "%s%n%!d(MISSING)", "${IFS}`id`",
		`"},{"`, `\u001b`, "\u2028\u2029", "\ufeff", "\U000e0041", "\U0010ffff", "\xed\xa0\x80", "", "é漢",
	}
	for c := range 256 {
		all = append(all, string([]byte{'a', byte(c), 'b'}))
	}
	return all
}

// checkPlain fails the test if out contains anything that a terminal does not show as text.
func checkPlain(t *testing.T, out string) {
	t.Helper()
	isControl := func(r rune) bool { return !unicode.IsPrint(r) && r != '\t' && r != '\n' }
	if !utf8.ValidString(out) || strings.ContainsFunc(out, isControl) {
		t.Errorf("not plain: %q", out)
	}
}

func TestHostileArguments(t *testing.T) {
	commands := map[string]struct {
		args  func(string) []string
		lines int // maximum
	}{
		"a file to print":         {func(s string) []string { return []string{"cat", "/nonexistent/" + s} }, 1},
		"a folder to print":       {func(s string) []string { return []string{"cat", "/nonexistent/../tmp/./" + s + "/.."} }, 1},
		"an address to listen on": {func(s string) []string { return []string{"cat", "udp://127.0.0.1:x" + s} }, 1},
		"a file to replay":        {func(s string) []string { return []string{"replay", "--to", "stdout:", "/nonexistent/" + s} }, 2},
		"a target of replay":      {func(s string) []string { return []string{"replay", "--to", "x://" + s, "-"} }, 2},
		"a file to write":         {func(s string) []string { return []string{"replay", "--to", "file:///nonexistent/" + s + "/x", "-"} }, 8}, // the ledger has six
		"a host to send to":       {func(s string) []string { return []string{"replay", "--to", "udp://" + s, "-"} }, 2},
		"a type to replay as":     {func(s string) []string { return []string{"replay", "--to", "stdout:", "--message", "x" + s, "-"} }, 2},
		"a configuration":         {func(s string) []string { return []string{"check", "-c", "/nonexistent/" + s} }, 2},
		"a configuration of run":  {func(s string) []string { return []string{"run", "-c", "/nonexistent/" + s} }, 2},
		"a command":               {func(s string) []string { return []string{"x" + s} }, 1},
		"an option":               {func(s string) []string { return []string{"cat", "--x" + s} }, 1},
		"an extra argument":       {func(s string) []string { return []string{"check", s} }, 1},
		"an option's value":       {func(s string) []string { return []string{"explain", "--for", "x" + s, "-"} }, 1},
	}
	for name, c := range commands {
		t.Run(name, func(t *testing.T) {
			for _, s := range hostileTexts() {
				if strings.Contains(s, "\x00") {
					continue // an argument cannot contain it
				}
				var out, errs bytes.Buffer
				code := realMain(c.args(s), stdio{in: nullInput(t), out: &out, err: &errs})
				if errs.Len() == 0 || code == exitDone && name != "a folder to print" {
					t.Errorf("%q: exit %d, %q", s, code, errs.String())
				}
				checkPlain(t, errs.String())
				if n := strings.Count(errs.String(), "\n"); n > c.lines {
					t.Errorf("%q: %d lines, want at most %d:\n%s", s, n, c.lines, errs.String())
				}
			}
		})
	}
}

// nullInput returns an empty input.
func nullInput(t *testing.T) *os.File {
	t.Helper()
	f, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f
}

func TestHostileFileNames(t *testing.T) {
	dir := t.TempDir()
	for _, s := range hostileTexts() {
		if strings.ContainsAny(s, "\x00/") {
			continue // a file name cannot contain them
		}
		file := filepath.Join(dir, "x"+s)
		if err := os.WriteFile(file, []byte("neither NMSG nor dnstap"), 0o600); err != nil {
			t.Fatal(err)
		}
		for _, args := range [][]string{{"cat", file}, {"cat", "--json", file}, {"replay", "--to", "stdout:", file}, {"check", "-c", file}} {
			var out, errs bytes.Buffer
			if code := realMain(args, stdio{in: nullInput(t), out: &out, err: &errs}); code == exitDone || errs.Len() == 0 {
				t.Errorf("%q: exit %d, %q", args, code, errs.String())
			}
			checkPlain(t, errs.String())
		}
	}
}

// A discardLane is a lane that drops every message.
type discardLane struct{}

func (discardLane) Begin()                                   {}
func (discardLane) Take(*transform.Message) transform.Reason { return transform.NotOutward }
func (discardLane) Drop(transform.Reason)                    {}
func (discardLane) End()                                     {}
func (discardLane) Close()                                   {}

// logOf returns the log of a source, in that format, while play connects to it.
func logOf(t *testing.T, format string, play func(dial func() net.Conn)) string {
	t.Helper()
	var b bytes.Buffer
	var level slog.LevelVar
	log := newLogger(conf.Log{Level: slog.LevelDebug, Format: format}, stdio{err: plainWriter{&b}}, &level)
	cfg := conf.SourceDefaults()
	cfg.Name, cfg.Network, cfg.Address, cfg.Mode = "x", "unix", filepath.Join(t.TempDir(), "s"), 0o600
	s, err := collector.Listen(cfg, func() transform.Lane { return discardLane{} }, log)
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	play(func() net.Conn {
		nc, err := net.Dial("unix", cfg.Address)
		if err != nil {
			t.Fatal(err)
		}
		nc.SetDeadline(time.Now().Add(time.Minute))
		return nc
	})
	stop()
	if err := <-done; err != nil {
		t.Error(err)
	}
	return b.String()
}

// named returns a frame with s as identity and in the version.
func named(t *testing.T, s string) []byte {
	t.Helper()
	b, err := proto.Marshal(&dnstap.Dnstap{
		Identity: []byte(s), Version: []byte("unbound " + s),
		Type: dnstap.Dnstap_MESSAGE.Enum(), Message: &dnstap.Message{Type: dnstap.Message_CLIENT_QUERY.Enum()},
	})
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestHostileIdentities(t *testing.T) {
	play := func(dial func() net.Conn) {
		for _, s := range hostileTexts() { // a connection each: of one burst only the last name is logged
			nc := dial()
			w, err := framestream.NewWriter(nc, &framestream.WriterOptions{
				ContentTypes: [][]byte{dnstap.FSContentType}, Bidirectional: true,
			})
			if err != nil {
				t.Fatal(err)
			}
			if _, err := w.WriteFrame(named(t, s)); err != nil {
				t.Fatal(err)
			}
			if err := w.Close(); err != nil {
				t.Fatal(err)
			}
			nc.Close()
		}
	}
	for _, format := range []string{"text", "json"} {
		t.Run(format, func(t *testing.T) {
			log := logOf(t, format, play)
			checkPlain(t, log)
			logged := 0
			for line := range strings.Lines(log) {
				if strings.Contains(line, "resolver named itself") {
					logged++
				}
				checkLogLine(t, format, line)
			}
			if want := len(hostileTexts()); logged != want {
				t.Errorf("%d of %d names are logged", logged, want)
			}
		})
	}
}

func TestHostileContentTypes(t *testing.T) {
	play := func(dial func() net.Conn) {
		for i, s := range hostileTexts() {
			kind := []uint32{framestream.CONTROL_READY, framestream.CONTROL_START}[i%2]
			frame := framestream.ControlFrame{ControlType: kind, ContentTypes: [][]byte{[]byte("x" + s)}}
			var b bytes.Buffer
			if err := frame.Encode(&b); err != nil {
				t.Fatal(err)
			}
			nc := dial()
			if _, err := nc.Write(b.Bytes()); err != nil {
				t.Fatal(err)
			}
			if _, err := io.ReadAll(nc); err != nil {
				t.Error(err)
			}
			nc.Close()
		}
	}
	for _, format := range []string{"text", "json"} {
		t.Run(format, func(t *testing.T) {
			log := logOf(t, format, play)
			checkPlain(t, log)
			for line := range strings.Lines(log) {
				checkLogLine(t, format, line)
			}
			if got, want := strings.Count(log, "content type"), len(hostileTexts()); got != want {
				t.Errorf("%d of %d content types are logged", got, want)
			}
		})
	}
}

// checkLogLine fails the test if the logger did not write the beginning of the line.
func checkLogLine(t *testing.T, format, line string) {
	t.Helper()
	if format == "json" {
		var fields map[string]any
		if err := json.Unmarshal([]byte(line), &fields); err != nil || fields["msg"] == "" {
			t.Errorf("not JSON: %s: %v", line, err)
		}
		return
	}
	if !strings.HasPrefix(line, "time=") {
		t.Errorf("not a log line: %q", line)
	}
}

func TestIdentityInJSONIsExact(t *testing.T) {
	for _, s := range hostileTexts() {
		var b bytes.Buffer
		var level slog.LevelVar
		newLogger(conf.Log{Format: "json"}, stdio{err: plainWriter{&b}}, &level).Info("x", "identity", s)
		var fields struct{ Identity string }
		if err := json.Unmarshal(b.Bytes(), &fields); err != nil {
			t.Fatal(err)
		}
		if want := strings.ToValidUTF8(s, "\ufffd"); utf8.ValidString(s) && fields.Identity != want {
			t.Errorf("%q was logged as %q", s, fields.Identity)
		}
	}
}
