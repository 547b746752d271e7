package wss

import (
	"context"
	"errors"
	"net"
	"os"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/dnstap-pdns/dnstap-pdns/forward/wss/wsstest"
)

// TestConnectionsThatFail checks that errors contain no address, and say what to do.
func TestConnectionsThatFail(t *testing.T) {
	address := &net.TCPAddr{IP: net.IPv4(192, 0, 2, 1), Port: 443}
	dial := func(err error) error { return &net.OpError{Op: "dial", Net: "tcp", Addr: address, Err: err} }
	for _, tt := range []struct {
		err  error
		want string
	}{
		{dial(os.NewSyscallError("connect", unix.ECONNREFUSED)), "connect: connection refused"},
		{dial(os.NewSyscallError("connect", unix.EHOSTUNREACH)), "connect: no route to host"},
		{dial(&net.DNSError{Name: "sie.example", Server: "192.0.2.1:53", IsNotFound: true}), "no such host: is the name right?"},
		{dial(&net.DNSError{Name: "sie.example", Server: "192.0.2.1:53", IsTimeout: true}), "the name cannot be resolved: does this machine resolve names?"},
	} {
		c := newClient(t, wsstest.New(t, wsstest.Rules{}))
		c.dialer.dial = func(context.Context, string, string) (net.Conn, error) { return nil, tt.err }
		_, err := c.Idle(t.Context())
		if want := "connecting to sie.example:80: " + tt.want; err == nil || err.Error() != want {
			t.Errorf("got %v, want %s", err, want)
		}
		if !errors.Is(err, c.failure) || strings.Contains(c.log.String(), "192.0.2.1") {
			t.Errorf("failure %v, log:\n%s", c.failure, &c.log)
		}
	}
}

func TestFailuresOfReads(t *testing.T) {
	reset := &net.OpError{Op: "read", Net: "tcp", Addr: &net.TCPAddr{IP: net.IPv4(192, 0, 2, 1)}, Err: os.NewSyscallError("read", unix.ECONNRESET)}
	if got, want := readFailure(reset).Error(), "reading from the server: read: connection reset by peer"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}
