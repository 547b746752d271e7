package collector

import (
	"bytes"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"testing"
	"testing/iotest"
	"time"
)

// socketPair returns both ends of a connection, of which ours is read as a socket.
func socketPair(t *testing.T, network string) (ours net.Conn, theirs net.Conn) {
	t.Helper()
	address := "127.0.0.1:0"
	if network == "unix" {
		address = filepath.Join(t.TempDir(), "s")
	}
	l, err := net.Listen(network, address)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	theirs, err = net.Dial(network, l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { theirs.Close() })
	accepted, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	ours = socketOf(accepted)
	t.Cleanup(func() { ours.Close() })
	if _, ok := ours.(*socket); !ok {
		t.Fatalf("%T is not read as a socket", accepted)
	}
	return ours, theirs
}

func TestSocketReadsWhatThePeerWrote(t *testing.T) {
	content := bytes.Repeat([]byte("frames of any length. "), 100_000)
	for _, network := range []string{"unix", "tcp"} {
		t.Run(network, func(t *testing.T) {
			ours, theirs := socketPair(t, network)
			written := make(chan error, 1)
			go func() {
				_, err := theirs.Write(content)
				written <- errors.Join(err, theirs.Close())
			}()
			if err := iotest.TestReader(ours, content); err != nil {
				t.Error(err)
			}
			if err := <-written; err != nil {
				t.Error(err)
			}
		})
	}
}

func TestSocketWaitsUntilItsDeadline(t *testing.T) {
	for _, network := range []string{"unix", "tcp"} {
		ours, theirs := socketPair(t, network)
		ours.SetReadDeadline(time.Now().Add(time.Millisecond))
		if n, err := ours.Read(make([]byte, 1)); n != 0 || !errors.Is(err, os.ErrDeadlineExceeded) || withoutAddress(err) != err {
			t.Errorf("%s: read %d: %v", network, n, err)
		}
		ours.SetReadDeadline(time.Time{})
		theirs.Write([]byte("x"))
		if n, err := ours.Read(make([]byte, 2)); n != 1 || err != nil {
			t.Errorf("%s: read %d after the deadline was removed: %v", network, n, err)
		}
	}
}

func TestSocketErrors(t *testing.T) {
	for _, network := range []string{"unix", "tcp"} {
		ours, _ := socketPair(t, network)
		read := make(chan error, 1)
		go func() {
			_, err := ours.Read(make([]byte, 1))
			read <- err
		}()
		ours.Close()
		if err := <-read; !errors.Is(err, net.ErrClosed) {
			t.Errorf("%s: a read that Close ended: %v", network, err)
		}
	}
	ours, theirs := socketPair(t, "tcp")
	theirs.(*net.TCPConn).SetLinger(0)
	theirs.Close()
	var failed *os.SyscallError
	if _, err := ours.Read(make([]byte, 1)); !errors.As(err, &failed) || failed.Syscall != "read" || withoutAddress(err) != err {
		t.Errorf("a read of a connection that was reset: %v", err)
	}
}

// TestSocketKeepsWhatCame closes a socket for reading: what the peer wrote before is read.
func TestSocketKeepsWhatCame(t *testing.T) {
	ours, theirs := socketPair(t, "unix")
	theirs.Write([]byte("before"))
	ours.(*socket).closeRead()
	if _, err := theirs.Write([]byte("after")); err == nil {
		t.Error("the peer wrote to a socket that is closed for reading")
	}
	if b, err := io.ReadAll(ours); string(b) != "before" || err != nil {
		t.Errorf("read %q: %v", b, err)
	}
}

func TestSocketReadAllocatesNothing(t *testing.T) {
	ours, theirs := socketPair(t, "unix")
	b := make([]byte, 16)
	if n := testing.AllocsPerRun(100, func() {
		theirs.Write(b)
		ours.Read(b)
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
