package sensor

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"

	"golang.org/x/sys/unix"

	"github.com/dnstap-pdns/dnstap-pdns/collector"
	"github.com/dnstap-pdns/dnstap-pdns/transform"
)

// An address is a network and an address at which a source listens.
type address struct{ network, name string }

// inherited holds the listening sockets that the service manager passed on, by address.
// They outlive the sources that use them: a reload may remove a source and a later one add
// it again, and the service manager keeps the socket after the sensor ends.
type inherited map[address]*os.File

// inherit returns the sockets by the addresses at which they listen.
func inherit(files []*os.File) (inherited, error) {
	all := inherited{}
	for _, f := range files {
		l, err := listenerOf(f)
		if err != nil {
			return nil, fmt.Errorf("inherited socket %q: %w", f.Name(), err)
		}
		all[address{l.Addr().Network(), l.Addr().String()}] = f
		l.Close() // a copy: f still listens
	}
	return all, nil
}

// listenerOf returns a listener on a copy of f.
func listenerOf(f *os.File) (net.Listener, error) {
	listens, err := unix.GetsockoptInt(int(f.Fd()), unix.SOL_SOCKET, unix.SO_ACCEPTCONN)
	if err != nil {
		return nil, os.NewSyscallError("getsockopt", err)
	}
	if listens == 0 {
		return nil, errors.New("it does not listen: set ListenStream= in the socket unit, and not Accept=yes")
	}
	return net.FileListener(f)
}

// listen opens a source on the inherited socket of its address, or else on a new socket.
func (in inherited) listen(c collector.Config, lane func() transform.Lane, log *slog.Logger) (*collector.Source, error) {
	f, ok := in[address{c.Network, c.Address}]
	if !ok {
		return collector.Listen(c, lane, log)
	}
	l, err := listenerOf(f)
	if err != nil {
		return nil, err
	}
	source, err := collector.ListenOn(l, c, lane, log)
	if err != nil {
		l.Close()
	}
	return source, err
}

// warnUnused logs the inherited sockets without a source. Clients that connect there get no
// answer, and some resolvers wait for one forever.
func (in inherited) warnUnused(log *slog.Logger, sources []*source) {
	for at := range in {
		if !at.isUsed(sources) {
			log.Warn("no source listens on an inherited socket", "network", at.network, "address", at.name,
				"remedy", "configure a source that listens at this address, or stop and mask the socket unit")
		}
	}
}

func (at address) isUsed(sources []*source) bool {
	for _, s := range sources {
		if (address{s.config.Network, s.config.Address}) == at {
			return true
		}
	}
	return false
}
