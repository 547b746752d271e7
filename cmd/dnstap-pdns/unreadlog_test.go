package main

import (
	"fmt"
	"os"
	"os/exec"
	"syscall"
	"testing"
	"time"
)

// fullPipe returns the write end of a pipe whose buffer is full and that is not read.
func fullPipe(t *testing.T) *os.File {
	t.Helper()
	var fds [2]int
	if err := syscall.Pipe2(fds[:], syscall.O_CLOEXEC|syscall.O_NONBLOCK); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { syscall.Close(fds[0]) })
	for size := 4096; size > 0; size /= 2 {
		for {
			if _, err := syscall.Write(fds[1], make([]byte, size)); err != nil {
				break
			}
		}
	}
	if err := syscall.SetNonblock(fds[1], false); err != nil {
		t.Fatal(err)
	}
	return os.NewFile(uintptr(fds[1]), "pipe")
}

// TestUnreadLogDoesNotBlockTheSensor: with a log that is not read, handshakes, records, reloads
// and the stop must work.
func TestUnreadLogDoesNotBlockTheSensor(t *testing.T) {
	c := newCrashTest(t, `
sink "nmsg" "files" {
  to = "file://DIR/out/%Y%m%dT%H%M%S.nmsg"
}
log {
  level = "debug"
}
`)
	stderr := fullPipe(t)
	defer stderr.Close()
	cmd := exec.Command("dnstap-pdns", "run", "-c", c.path("c.hcl"))
	cmd.Stderr = stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	t.Cleanup(func() { cmd.Process.Kill() })
	awaitSocket(t, c.path("tap.sock"))
	for range 2 {
		conn, w, err := c.connect(t)
		if err != nil {
			t.Fatalf("the connection is not accepted: %v", err)
		}
		defer conn.Close()
		if _, err := w.WriteFrame(response(t, fmt.Sprintf("n%d.example.com.", c.next))); err != nil {
			t.Fatal(err)
		}
		c.next++
		if err := w.Flush(); err != nil {
			t.Fatal(err)
		}
		cmd.Process.Signal(syscall.SIGHUP)
	}
	await(t, "records", func() bool { return len(c.unfinished(t)) > 0 })
	cmd.Process.Signal(syscall.SIGTERM)
	select {
	case err := <-ended:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(patience):
		t.Fatalf("it does not end within %s", patience)
	}
	if names := c.delivered(t); len(names) != 2 {
		t.Errorf("delivered: %v, want two names", names)
	}
}
