package lab

import (
	"bytes"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"testing"
	"time"
)

// A Capture is a running fstrm_capture, which writes the frames that resolvers send it to a
// file.
type Capture struct {
	process *Process
	Socket  string // its Unix socket; empty: it has a port
	File    string
}

// StartCapture starts fstrm_capture on a socket and a file in the namespace's folder.
func (n *Namespace) StartCapture(t testing.TB, name string) *Capture {
	t.Helper()
	c := &Capture{Socket: n.Dir + "/" + name + ".sock"}
	c.start(t, n, name, "-u", c.Socket)
	AwaitSocket(t, c.process, c.Socket)
	return c
}

// StartTCPCapture starts fstrm_capture on a port and a file in the namespace's folder. The port
// may be closed for a moment.
func (n *Namespace) StartTCPCapture(t testing.TB, name string, at netip.AddrPort) *Capture {
	t.Helper()
	c := &Capture{}
	c.start(t, n, name, "-a", at.Addr().String(), "-p", fmt.Sprint(at.Port()))
	return c
}

func (c *Capture) start(t testing.TB, n *Namespace, name string, listen ...string) {
	t.Helper()
	RequirePrograms(t, "fstrm_capture")
	c.File = n.Dir + "/" + name + ".fstrm"
	args := append(listen, "-t", "protobuf:dnstap.Dnstap", "-w", c.File)
	c.process = n.Start(t, "fstrm_capture", exec.Command("fstrm_capture", args...))
}

// Stop ends the capture after it has processed all frames; its senders must have stopped.
// It must be idle before it is stopped: its signal handler allocates memory, and if the
// signal interrupts an allocation (3 of 300 tries) it aborts and writes half a frame.
func (c *Capture) Stop(t testing.TB) {
	t.Helper()
	const polls = 3 // in a row must find it asleep
	deadline := time.Now().Add(stopTime)
	for asleep := 0; asleep < polls; time.Sleep(2 * time.Millisecond) {
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
