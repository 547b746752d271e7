package lab

import (
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// Namespace is a network namespace and a directory, both gone after the test.
// The namespace has no name, so no two can collide and a killed test leaves none
// behind: the kernel keeps it only as long as a thread or socket is in it.
//
// One OS thread lives in it and does all that must happen there. Programs are
// started by that thread and by no other, because the kernel kills them when the
// thread that started them ends (Pdeathsig), and other threads come and go.
type Namespace struct {
	Dir   string // for files and sockets; short enough for a Unix socket's path
	calls chan func()
}

// NewNamespace makes a namespace that has nothing but loopback.
func NewNamespace(t testing.TB) *Namespace {
	t.Helper()
	Need(t, "ip")
	if os.Geteuid() != 0 {
		t.Fatal("network namespaces need root: run the integration tests as root, on Debian or in a privileged container")
	}
	dir, err := os.MkdirTemp("/dev/shm", "lab") // in memory: syncing to a busy disk takes seconds
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	// Resolvers run as users of their own.
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	n := &Namespace{Dir: dir, calls: make(chan func())}
	entered, left := make(chan error), make(chan struct{})
	go n.reside(entered, left)
	t.Cleanup(func() { close(n.calls); <-left })
	if err := <-entered; err != nil {
		t.Fatalf("enter a new network namespace: %v", err)
	}
	n.configure(t, "link set lo up")
	return n
}

func (n *Namespace) reside(entered chan<- error, left chan<- struct{}) {
	defer close(left)
	runtime.LockOSThread() // for good: the thread ends with this goroutine
	entered <- unix.Unshare(unix.CLONE_NEWNET)
	for call := range n.calls {
		call()
	}
}

// do runs call inside the namespace. Sockets opened and processes started there
// stay there.
func (n *Namespace) do(call func() error) error {
	result := make(chan error, 1)
	n.calls <- func() { result <- call() }
	return <-result
}

// configure runs ip(8) commands, one a line.
func (n *Namespace) configure(t testing.TB, commands string) {
	t.Helper()
	n.call(t, commands, "ip", "-batch", "-")
}

// call runs a program inside the namespace and waits for it.
func (n *Namespace) call(t testing.TB, input string, args ...string) {
	t.Helper()
	cmd := exec.Command(args[0], args[1:]...)
	cmd.Stdin = strings.NewReader(input)
	err := n.do(func() error {
		if out, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("%w: %s", err, out)
		}
		return nil
	})
	if err != nil {
		t.Fatalf("%s: %v", strings.Join(args, " "), err)
	}
}

// ListenUDP opens a socket inside the namespace; port 0 lets the kernel choose.
// It is closed after the test.
func (n *Namespace) ListenUDP(t testing.TB, at netip.AddrPort) *net.UDPConn {
	t.Helper()
	var conn *net.UDPConn
	err := n.do(func() (err error) {
		conn, err = net.ListenUDP("udp", net.UDPAddrFromAddrPort(at))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn
}

// DialTCP connects from inside the namespace. The connection is closed after the
// test.
func (n *Namespace) DialTCP(t testing.TB, to netip.AddrPort) net.Conn {
	t.Helper()
	var conn net.Conn
	err := n.do(func() (err error) {
		conn, err = net.DialTCP("tcp", nil, net.TCPAddrFromAddrPort(to))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn
}
