package lab

import (
	"errors"
	"fmt"
	"net"
	"os"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// longestFrame is longer than the MTU of every interface of the tests, in bytes.
const longestFrame = 1 << 16

// A frame is a delayed frame.
type frame struct {
	due  time.Time // when to send it
	data []byte
}

// delay forwards the frames that arrive at one interface to another after a delay, until the
// test ends. netem could do so, but few kernels have it.
func (n *Namespace) delay(t testing.TB, from, to string, by time.Duration) {
	t.Helper()
	in, out := n.packetSocket(t, from, unix.ETH_P_ALL), n.packetSocket(t, to, 0)
	waiting := make(chan frame, 1<<14)
	var wg sync.WaitGroup
	wg.Go(func() {
		defer close(waiting)
		for {
			data := make([]byte, longestFrame)
			got, err := in.Read(data)
			if err != nil {
				if !errors.Is(err, os.ErrClosed) {
					t.Errorf("delay: read from %s: %v", from, err)
				}
				return
			}
			waiting <- frame{time.Now().Add(by), data[:got:got]}
		}
	})
	wg.Go(func() {
		for f := range waiting {
			<-time.After(time.Until(f.due))
			if _, err := out.Write(f.data); err != nil && !errors.Is(err, os.ErrClosed) {
				t.Errorf("delay: write to %s: %v", to, err)
			}
		}
	})
	t.Cleanup(func() {
		in.Close()
		out.Close()
		wg.Wait()
	})
}

// packetSocket opens a packet socket on an interface. Protocol 0 receives nothing.
func (n *Namespace) packetSocket(t testing.TB, name string, protocol uint16) *os.File {
	t.Helper()
	var file *os.File
	err := n.do(func() error {
		i, err := net.InterfaceByName(name)
		if err != nil {
			return err
		}
		bigEndian := protocol<<8 | protocol>>8
		fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			return fmt.Errorf("packet socket: %w", err)
		}
		file = os.NewFile(uintptr(fd), name)
		return unix.Bind(fd, &unix.SockaddrLinklayer{Protocol: bigEndian, Ifindex: i.Index})
	})
	if err != nil {
		t.Fatal(err)
	}
	return file
}
