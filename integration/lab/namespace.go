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

// Namespace is a network namespace and a directory; both are removed after the test. The
// namespace has no name, so that names cannot collide and a killed test leaves no namespace:
// the kernel removes it with its last thread or socket.
//
// One OS thread stays in the namespace and makes all calls there. It also starts all
// programs, because the kernel kills a program when the thread that started it ends
// (Pdeathsig), and the Go runtime may end other threads at any time.
type Namespace struct {
	Dir    string // for files and sockets; short enough for the path of a Unix socket
	calls  chan func()
	thread int // the ID of the thread, if the namespace has mounts of its own
}

// NewNamespace makes a namespace that has only the loopback interface.
func NewNamespace(t testing.TB) *Namespace {
	t.Helper()
	RequirePrograms(t, "ip")
	if os.Geteuid() != 0 {
		t.Fatal("network namespaces need root: run the integration tests as root, on Debian or in a privileged container")
	}
	dir, err := os.MkdirTemp("/dev/shm", "lab") // in memory: syncing to a busy disk takes seconds
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	// Resolvers run as other users.
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	n := &Namespace{Dir: dir, calls: make(chan func())}
	entered, done := make(chan error), make(chan struct{})
	go n.serveCalls(entered, done)
	t.Cleanup(func() { close(n.calls); <-done })
	if err := <-entered; err != nil {
		t.Fatalf("enter a new network namespace: %v", err)
	}
	n.configure(t, "link set lo up")
	return n
}

// serveCalls enters a new namespace and runs the functions of n.calls in it until that
// channel is closed.
func (n *Namespace) serveCalls(entered chan<- error, done chan<- struct{}) {
	defer close(done)
	runtime.LockOSThread() // never unlocked: the thread ends with this goroutine
	entered <- unix.Unshare(unix.CLONE_NEWNET)
	for call := range n.calls {
		call()
	}
}

// do runs call on the namespace's thread. Sockets that it opens and processes that it starts
// stay in the namespace. It must not block, because the namespace has no other thread for calls.
func (n *Namespace) do(call func() error) error {
	result := make(chan error, 1)
	n.calls <- func() { result <- call() }
	return <-result
}

func (n *Namespace) configure(t testing.TB, commands string) {
	t.Helper()
	n.call(t, commands, "ip", "-batch", "-")
}

// call runs a program inside the namespace and waits for its end. It fails the test if the
// program fails.
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

// ListenUDP opens a socket inside the namespace and closes it after the test. Port 0 lets
// the kernel choose.
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

// Dial connects from inside the namespace. Any goroutine may call it before the end of the test.
func (n *Namespace) Dial(network, address string) (conn net.Conn, err error) {
	err = n.do(func() (err error) {
		conn, err = net.Dial(network, address)
		return err
	})
	return conn, err
}

// DialTCP connects from inside the namespace. The connection is closed after the test.
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
