package lab

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"testing"
	"time"
)

// A Capture is a running fstrm_capture, which writes the frames that resolvers send it to a
// file.
type Capture struct {
	process *Process
	Socket  string // its Unix socket
	File    string
}

// StartCapture starts fstrm_capture on a socket and a file in the namespace's folder.
func (n *Namespace) StartCapture(t testing.TB, name string) *Capture {
	t.Helper()
	Need(t, "fstrm_capture")
	c := &Capture{Socket: n.Dir + "/" + name + ".sock", File: n.Dir + "/" + name + ".fstrm"}
	c.process = n.Start(t, "fstrm_capture", exec.Command("fstrm_capture", "-t", "protobuf:dnstap.Dnstap", "-u", c.Socket, "-w", c.File))
	AwaitSocket(t, c.process, c.Socket)
	return c
}

// Stop ends the capture after it has processed all frames; its senders must have stopped.
// It must be idle before it is stopped: its signal handler allocates memory, and if the
// signal interrupts an allocation (3 of 300 tries) it aborts and writes half a frame.
func (c *Capture) Stop(t testing.TB) {
	t.Helper()
	const looks = 3 // consecutive polls that must find it asleep
	deadline := time.Now().Add(stopTime)
	for asleep := 0; asleep < looks; time.Sleep(2 * time.Millisecond) {
		if asleep++; !c.process.asleep(t) {
			asleep = 0
		}
		if time.Now().After(deadline) {
			t.Fatalf("fstrm_capture still worked %s after its senders had stopped", stopTime)
		}
	}
	c.process.Stop(t)
}

// asleep reports whether the program is in an interruptible sleep (proc(5)).
func (p *Process) asleep(t testing.TB) bool {
	t.Helper()
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", p.PID()))
	if err != nil {
		t.Fatal(err)
	}
	return bytes.HasPrefix(stat[bytes.LastIndexByte(stat, ')')+1:], []byte(" S "))
}
