package lab

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"testing"
	"time"
)

// A Capture is fstrm_capture, which writes what resolvers send it to a file.
type Capture struct {
	process *Process
	Socket  string // where it listens
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

// Stop ends the capture when it has dealt with all that it was sent; its senders
// have stopped. While it works it must not be told to: its signal handler allocates
// memory, and where that interrupts an allocation (3 of 300 times, when this was
// tried) it aborts and leaves half a frame.
func (c *Capture) Stop(t testing.TB) {
	t.Helper()
	const looks = 3 // in a row
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

// asleep reports whether the program waits for something to happen (proc(5)).
func (p *Process) asleep(t testing.TB) bool {
	t.Helper()
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", p.PID()))
	if err != nil {
		t.Fatal(err)
	}
	return bytes.HasPrefix(stat[bytes.LastIndexByte(stat, ')')+1:], []byte(" S "))
}
