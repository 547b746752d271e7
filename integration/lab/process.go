package lab

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"
)

// stopTime is how long a program may take to end, even on a busy machine.
const stopTime = 30 * time.Second

// Process is a program that runs in a namespace, with its child processes.
type Process struct {
	Name   string
	cmd    *exec.Cmd
	log    string        // the file with its output
	exited chan struct{} // closed when the program has ended
	err    error         // the result of Wait; read after exited is closed
}

// Start starts a program in the namespace. If the test fails, its output is logged. Output
// goes to a file, because a pipe reports its end only after every process started meanwhile
// has closed it. The program is its own process group and the first process of its own PID
// namespace: when it ends, or the test process does, its children end too.
func (n *Namespace) Start(t testing.TB, name string, cmd *exec.Cmd) *Process {
	t.Helper()
	log, err := os.CreateTemp(n.Dir, "log")
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	p := &Process{Name: name, cmd: cmd, log: log.Name(), exited: make(chan struct{})}
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Setpgid:    true,
		Pdeathsig:  syscall.SIGKILL,
		Cloneflags: syscall.CLONE_NEWPID,
	}
	if err := n.do(cmd.Start); err != nil {
		t.Fatalf("start %s: %v", name, err)
	}
	go func() {
		p.err = cmd.Wait()
		close(p.exited)
	}()
	t.Cleanup(func() {
		p.Kill()
		if t.Failed() {
			t.Logf("output of %s (%s):\n%s", p.Name, strings.Join(cmd.Args, " "), tail(p.Log(t), 100))
		}
	})
	return p
}

// PID returns the process ID in the namespace of the test.
func (p *Process) PID() int { return p.cmd.Process.Pid }

// Log returns what the program has written so far.
func (p *Process) Log(t testing.TB) string {
	t.Helper()
	text, err := os.ReadFile(p.log)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// Signal sends a signal to the program itself.
func (p *Process) Signal(t testing.TB, s os.Signal) {
	t.Helper()
	if err := p.cmd.Process.Signal(s); err != nil {
		t.Fatalf("%s to %s: %v", s, p.Name, err)
	}
}

// Kill kills the program and its children, and waits for their end.
func (p *Process) Kill() {
	p.cmd.Process.Kill()
	<-p.exited
}

// Stop sends SIGTERM to the program, and fails the test if it has not ended within stopTime.
// It returns the time that this took.
func (p *Process) Stop(t testing.TB) time.Duration {
	t.Helper()
	began := time.Now()
	p.Signal(t, syscall.SIGTERM)
	p.awaitEnd(t)
	return time.Since(began)
}

// awaitEnd waits for the end of a program that was asked to end. After stopTime it fails the test
// and kills the program.
func (p *Process) awaitEnd(t testing.TB) {
	t.Helper()
	if err := p.Wait(stopTime); errors.Is(err, errRunning) {
		t.Errorf("%s still ran %s after it was asked to end", p.Name, stopTime)
		p.Kill()
	}
}

var errRunning = errors.New("still running")

// Wait waits for the program's end and returns its result: nil for exit code 0. It returns
// another error if the program still runs after atMost.
func (p *Process) Wait(atMost time.Duration) error {
	select {
	case <-p.exited:
	case <-time.After(atMost):
	}
	if !p.Ended() {
		return fmt.Errorf("%s: %w after %s", p.Name, errRunning, atMost)
	}
	return p.err
}

// Ended reports whether the program has ended.
func (p *Process) Ended() bool {
	select {
	case <-p.exited:
		return true
	default:
		return false
	}
}

func tail(log string, lines int) string {
	all := strings.Split(strings.TrimRight(log, "\n"), "\n")
	if len(all) > lines {
		all = all[len(all)-lines:]
	}
	return strings.Join(all, "\n")
}

// AwaitSocket returns when the program has made its Unix socket.
func AwaitSocket(t testing.TB, p *Process, path string) {
	t.Helper()
	for deadline := time.Now().Add(startTime); ; time.Sleep(5 * time.Millisecond) {
		if info, err := os.Stat(path); err == nil && info.Mode()&os.ModeSocket != 0 {
			return
		}
		select {
		case <-p.exited:
			t.Fatalf("%s ended before it made %s: %v", p.Name, path, p.err)
		default:
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s made no socket at %s within %s", p.Name, path, startTime)
		}
	}
}
