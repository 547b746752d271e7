package startcheck

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/netip"
	"net/url"
	"os"
	"strings"
	"sync"
	"time"

	"golang.org/x/net/http/httpproxy"
	"golang.org/x/sys/unix"

	"github.com/dnstap-pdns/dnstap-pdns/conf"
	"github.com/dnstap-pdns/dnstap-pdns/conf/brokers"
	"github.com/dnstap-pdns/dnstap-pdns/conf/certs"
	"github.com/dnstap-pdns/dnstap-pdns/forward"
	"github.com/dnstap-pdns/dnstap-pdns/forward/fstrm"
	"github.com/dnstap-pdns/dnstap-pdns/forward/kafka"
	"github.com/dnstap-pdns/dnstap-pdns/forward/spool"
	"github.com/dnstap-pdns/dnstap-pdns/forward/wss"
)

// server checks what a sink needs to connect to its server: TLS files, and a socket on this
// machine. A server may start later than the sensor, so that its absence is a warning.
func (c *check) server(s *forward.SinkConfig) {
	name := fmt.Sprintf("sink %q", s.Name)
	switch t := withoutSpool(s.Transport).(type) {
	case wss.Config:
		c.client(name, t.TLS)
	case kafka.Config:
		c.cluster(name, t.Brokers)
	case fstrm.Config:
		c.client(name, t.Files)
		if s.Target.Scheme == forward.Unix {
			c.socket(name, s.Target.Address)
		}
	}
}

// cluster checks what a client of Kafka needs to connect to the brokers.
func (c *check) cluster(name string, b brokers.Config) {
	if b.TLS != nil {
		c.client(name, *b.TLS)
	}
}

// withoutSpool returns the transport of a spool, or t.
func withoutSpool(t forward.TransportConfig) forward.TransportConfig {
	if s, ok := t.(spool.Config); ok {
		return s.Transport
	}
	return t
}

// expiresSoon is the time before the end of a certificate from which on it is reported.
const expiresSoon = 30 * 24 * time.Hour

// client checks the TLS files of a client.
func (c *check) client(name string, files certs.ClientFiles) {
	for _, file := range []string{files.CA, files.Cert, files.Key} {
		if !certs.IsText(file) {
			c.readable(name, file)
		}
	}
	_, expires, err := files.Config("")
	switch left := time.Until(expires); {
	case err != nil:
		c.fail(fmt.Errorf("%s: %w", name, err))
	case expires.IsZero() || left > expiresSoon:
	case left < 0:
		c.warn(fmt.Sprintf("%s: its client certificate expired on %s", name, expires.UTC().Format(time.DateOnly)), renew)
	default:
		c.warn(fmt.Sprintf("%s: its client certificate expires on %s", name, expires.UTC().Format(time.DateOnly)), renew)
	}
}

const renew = "Renew it: the sensor reads the files again at its next connection."

// socket warns of a socket to which the sensor could not connect now.
func (c *check) socket(name, path string) {
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrPermission):
		c.fail(fmt.Errorf("%s: %w", name, err))
		return
	case err != nil:
		c.warn(name+": its socket does not exist", "Start the program that makes it. The sink tries again by itself.")
		return
	case info.Mode().Type() != fs.ModeSocket:
		c.warn(name+": the path in to is not a socket", "Name the socket of the program that receives.")
		return
	case isStale(path):
		c.warn(name+": no process listens on its socket", "Start the program that receives. The sink tries again by itself.")
	}
	c.permitted(name, path, write, "write to", "the sink could not connect")
}

// isStale reports whether the process that made the socket at path has ended. It does not connect:
// the receiver would count that. For a datagram socket the kernel refuses to connect to a stream
// socket with another error than to a socket without a process. This also works if the receiver
// made the socket in a container or by a relative path.
func isStale(path string) bool {
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return false
	}
	defer unix.Close(fd)
	return errors.Is(unix.Connect(fd, &unix.SockaddrUnix{Name: path}), unix.ECONNREFUSED)
}

// lookupTime is the limit for the lookups of all servers. The resolver of this machine may
// start later than the sensor.
const lookupTime = 2 * time.Second

// A peer is a sink or a source that connects to hosts.
type peer struct {
	name   string // like sink "sie"
	to     string // the attribute with the hosts
	target forward.Target
}

// peers returns all sinks, and the sources that connect.
func peers(c *conf.Config) (all []peer) {
	for i := range c.Sinks {
		all = append(all, peer{fmt.Sprintf("sink %q", c.Sinks[i].Name), "to", c.Sinks[i].Target})
	}
	for i := range c.Kafka {
		k := &c.Kafka[i]
		target := forward.Target{Scheme: forward.Kafka, Address: strings.Join(k.Brokers.Addresses, ",") + "/" + k.Topic}
		all = append(all, peer{fmt.Sprintf("source %q", k.Name), "brokers", target})
	}
	return all
}

// names warns of servers whose names do not resolve.
func (c *check) names(ctx context.Context, all []peer) {
	ctx, cancel := context.WithTimeout(ctx, lookupTime)
	defer cancel()
	errs := make([]error, len(all))
	var lookups sync.WaitGroup
	for i := range all {
		lookups.Go(func() { errs[i] = lookup(ctx, all[i].target) })
	}
	lookups.Wait()
	for i, err := range errs {
		if failed, ok := errors.AsType[*net.DNSError](err); ok {
			err = errors.New(failed.Err) // without the name and the address of the resolver
		}
		switch p := all[i]; {
		case err == nil:
		case p.target.Scheme == forward.Kafka:
			c.warn(fmt.Sprintf("%s: the name of a broker does not resolve: %v", p.name, err),
				"Correct the names in "+p.to+", or see that the resolver of this machine answers. The client tries all brokers again by itself.")
		default:
			c.warn(fmt.Sprintf("%s: the name of its receiver does not resolve: %v", p.name, err),
				"Correct the name in to, or see that the resolver of this machine answers. The sink tries again by itself.")
		}
	}
}

// lookup looks up the hosts of a target as its sink does, and returns the first error.
func lookup(ctx context.Context, t forward.Target) error {
	for _, host := range t.Hosts() {
		if err := lookupHost(ctx, t, host); err != nil {
			return err
		}
	}
	return nil
}

// lookupHost does nothing for an address, and for a server that a proxy looks up.
func lookupHost(ctx context.Context, t forward.Target, host string) error {
	if _, err := netip.ParseAddr(host); err == nil {
		return nil
	}
	if t.Scheme == forward.WSS || t.Scheme == forward.WS {
		service := wss.HTTPScheme(t.Scheme == forward.WSS)
		authority, _, _ := strings.Cut(t.Address, "/")
		proxy, err := httpproxy.FromEnvironment().ProxyFunc()(&url.URL{Scheme: service, Host: authority})
		if proxy != nil || err != nil {
			return nil
		}
		if authority == host {
			if _, records, _ := net.DefaultResolver.LookupSRV(ctx, service, "tcp", host); len(records) > 0 {
				return nil
			}
		}
	}
	_, err := net.DefaultResolver.LookupNetIP(ctx, "ip", host)
	return err
}
