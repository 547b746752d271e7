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

// An address is where a source listens.
type address struct{ network, name string }

// inherited are the listening sockets that were there before the sensor. They outlive
// the sources that listen on them: a source that a reload takes away may come back, and
// whoever made the socket goes on with it when the sensor has ended.
type inherited map[address]*os.File

// takeOver finds out where files listen.
func takeOver(files []*os.File) (inherited, error) {
	all := inherited{}
	for _, f := range files {
		l, err := listenerOf(f)
		if err != nil {
			return nil, fmt.Errorf("the inherited socket %q: %w", f.Name(), err)
		}
		all[address{l.Addr().Network(), l.Addr().String()}] = f
		l.Close() // a copy; f listens on
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
		return nil, errors.New("it does not listen: a socket unit must have ListenStream=, and not Accept=yes")
	}
	return net.FileListener(f)
}

// listen opens a source on the socket that it inherited, else on one of its own.
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

// warnOfIdle names the sockets that are no source's: who connects there hears nothing,
// and some resolvers wait for ever.
func (in inherited) warnOfIdle(log *slog.Logger, sources []*source) {
	for at := range in {
		if !at.serves(sources) {
			log.Warn("an inherited socket belongs to no source", "network", at.network, "address", at.name,
				"remedy", "have a source listen at just this address, or stop and mask the socket unit")
		}
	}
}

func (at address) serves(sources []*source) bool {
	for _, s := range sources {
		if (address{s.config.Network, s.config.Address}) == at {
			return true
		}
	}
	return false
}
