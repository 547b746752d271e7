package sensor

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"slices"

	"golang.org/x/sys/unix"

	"github.com/dnstap-pdns/dnstap-pdns/collector"
	"github.com/dnstap-pdns/dnstap-pdns/conf"
	"github.com/dnstap-pdns/dnstap-pdns/transform"
)

// An address is a network and an address at which a source listens.
type address struct{ network, name string }

// inherited holds the listening sockets that the service manager passed on, by address.
// They outlive the sources that use them: a reload may remove a source and a later one add
// it again, and the service manager keeps the socket after the sensor ends.
type inherited map[address]*os.File

// inherit returns the sockets by the addresses at which they listen. It fails if one does not
// listen.
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

// Inherits returns a function that reports whether one of the sockets listens at an address.
func Inherits(files []*os.File) (func(network, address string) bool, error) {
	in, err := inherit(files)
	return in.has, err
}

func (in inherited) has(network, name string) bool {
	_, has := in[address{network, name}]
	return has
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
	f, ok := in[addressOf(c)]
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
	var configs []collector.Config
	for _, s := range sources {
		configs = append(configs, s.config)
	}
	for _, at := range in.unused(configs) {
		attrs := []any{"network", at.network, "address", at.name,
			"remedy", "configure a source that listens at this address, or stop and mask the socket unit"}
		if c, ok := in.withoutSocket(configs); ok {
			attrs = append(attrs, "or_drop_in", conf.SocketDropInPath, "with", conf.SocketDropIn(c))
		}
		log.Warn("no source listens on an inherited socket", attrs...)
	}
}

// unused returns the inherited sockets at which no source listens.
func (in inherited) unused(sources []collector.Config) (all []address) {
	for at := range in {
		if !slices.ContainsFunc(sources, func(c collector.Config) bool { return addressOf(c) == at }) {
			all = append(all, at)
		}
	}
	return all
}

// withoutSocket returns the first source on a Unix socket that was not inherited.
func (in inherited) withoutSocket(sources []collector.Config) (collector.Config, bool) {
	for _, c := range sources {
		if _, ok := in[addressOf(c)]; !ok && c.Network == "unix" {
			return c, true
		}
	}
	return collector.Config{}, false
}

func addressOf(c collector.Config) address { return address{c.Network, c.Address} }

// A SocketUnitError reports that a source could not make its Unix socket, while the service
// manager passed a socket at which no source listens. A restart does not help.
type SocketUnitError struct {
	err    error
	passed address
	source collector.Config
}

// Unwrap returns the error of the source.
func (e *SocketUnitError) Unwrap() error { return e.err }

// Error contains the drop-in for the socket unit, in lines of its own.
func (e *SocketUnitError) Error() string {
	return fmt.Sprintf("%v\nThe service manager passed a socket at %s, where no source listens. Write this to %s:\n\n%s\n"+
		"Then run: systemctl daemon-reload, systemctl stop dnstap-pdns.socket dnstap-pdns.service, systemctl start dnstap-pdns.service",
		e.err, e.passed.name, conf.SocketDropInPath, conf.SocketDropIn(e.source))
}

// ExplainSockets returns err, which is why a sensor with these sources cannot start, as a
// SocketUnitError if the service manager passed a socket that no source uses, and a source on a
// Unix socket has none.
func ExplainSockets(err error, files []*os.File, sources []collector.Config) error {
	if failed, ok := errors.AsType[*sourceError](err); ok && failed.source.Network != "unix" {
		return err
	}
	in, inheritErr := inherit(files)
	if inheritErr != nil {
		return err // which is the same
	}
	c, ok := in.withoutSocket(sources)
	if unused := in.unused(sources); ok && len(unused) > 0 {
		return &SocketUnitError{err, unused[0], c}
	}
	return err
}
