package main

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"syscall"
	"testing"
)

// TestRecordsLostAtTheStopAreAFailure: of every sink, the log has a warning with the number of
// records, and the exit code is 1.
func TestRecordsLostAtTheStopAreAFailure(t *testing.T) {
	receiver, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { receiver.Close() }) // the subtests are parallel
	for name, tt := range map[string]struct {
		sink  string
		loses bool
	}{
		"udp, slower than the records":   {fmt.Sprintf("to = \"udp://%s\"\n  mtu = 512\n  rate = 1", receiver.LocalAddr()), true},
		"udp":                            {fmt.Sprintf("to = \"udp://%s\"", receiver.LocalAddr()), false},
		"files, whose folder is missing": {`to = "file://DIR/gone/%Y%m%dT%H%M%S.nmsg"`, true},
		"files":                          {`to = "file://DIR/out/%Y%m%dT%H%M%S.nmsg"`, false},
		"standard output, not read":      {`to = "stdout:"`, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := newCrashTest(t, "sink \"nmsg\" \"s\" {\n  "+tt.sink+"\n}\n")
			if err := os.Mkdir(c.path("gone"), 0o700); err != nil {
				t.Fatal(err)
			}
			cmd := exec.Command("dnstap-pdns", "run", "-c", c.path("c.hcl"))
			var log bytes.Buffer
			stdout := fullPipe(t)
			defer stdout.Close()
			cmd.Stderr, cmd.Stdout = &log, stdout
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { cmd.Process.Kill() })
			awaitSocket(t, c.path("tap.sock"))
			if err := os.Remove(c.path("gone")); err != nil {
				t.Fatal(err)
			}
			c.send(t, 500)
			cmd.Process.Signal(syscall.SIGTERM)
			err := cmd.Wait()
			failed, _ := errors.AsType[*exec.ExitError](err)
			warned := regexp.MustCompile(`level=WARN msg="records were lost at the stop" sink=s records=\d+ lost\.`).MatchString(log.String())
			reported := strings.Contains(log.String(), " records were lost at the stop\n")
			if lost := failed != nil && failed.ExitCode() == exitFailed; lost != tt.loses || warned != tt.loses || reported != tt.loses {
				t.Errorf("it ended with %v, want a failure: %t\n%s", err, tt.loses, &log)
			}
		})
	}
}

// send sends n responses over one connection, which it closes.
func (c *crashTest) send(t *testing.T, n int) {
	t.Helper()
	conn, w, err := c.connect(t)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	for range n {
		if _, err := w.WriteFrame(response(t, fmt.Sprintf("n%d.example.com.", c.next))); err != nil {
			t.Fatal(err)
		}
		c.next++
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
}

// TestHangupsDuringTheStop: SIGHUP reaches the sensor until the process has ended.
func TestHangupsDuringTheStop(t *testing.T) {
	c := newCrashTest(t, "sink \"nmsg\" \"s\" {\n  to = \"file://DIR/out/%Y%m%dT%H%M%S.nmsg\"\n}\n")
	for range 20 {
		cmd := c.start(t)
		cmd.Process.Signal(syscall.SIGTERM)
		ended := make(chan error, 1)
		go func() { ended <- cmd.Wait() }()
		for running := true; running; {
			select {
			case err := <-ended:
				if err != nil {
					t.Fatalf("it ended with: %v", err)
				}
				running = false
			default:
				cmd.Process.Signal(syscall.SIGHUP)
			}
		}
	}
}

// TestHangupsDuringTheStart: while the sensor reads its configuration, which is a pipe here.
func TestHangupsDuringTheStart(t *testing.T) {
	c := newCrashTest(t, "")
	if err := syscall.Mkfifo(c.path("pipe"), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("dnstap-pdns", "run", "-c", c.path("pipe"))
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cmd.Process.Kill() })
	config, err := os.OpenFile(c.path("pipe"), os.O_WRONLY, 0) // waits until the sensor has opened it
	if err != nil {
		t.Fatal(err)
	}
	for range 100 {
		cmd.Process.Signal(syscall.SIGHUP)
	}
	fmt.Fprintln(config, "invalid")
	config.Close()
	failed, ok := errors.AsType[*exec.ExitError](cmd.Wait())
	if !ok || failed.ExitCode() != exitUsage {
		t.Errorf("it ended with %v, want exit code %d", failed, exitUsage)
	}
}
