package conf

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/dnstap-pdns/dnstap-pdns/collector"
)

func (s *section) dnstapSource() collector.Config {
	at := readText(s, "listen", parseListen)
	c := s.limits()
	c.Name, c.Network, c.Address = s.name, at.network, at.address
	c.TLS = s.tls()
	if in := s.innerBlock("tls"); in != nil && at.network == "unix" {
		s.fail(in.header, "tls: it applies only to a TCP source", "Remove it, or listen on tcp://HOST:PORT.")
	}
	switch at.network {
	case "tcp":
		s.doesNotApply("it applies only to a Unix socket", "mode", "owner", "group")
		s.warnIfExposed(c)
	default: // check the others even if listen is invalid
		c.Mode = readText(s, "mode", parseMode)
		c.Owner = readText(s, "owner", parseAccount)
		c.Group = readText(s, "group", parseAccount)
		s.warnIfForAll(c.Mode)
	}
	if at != (listenAddress{}) {
		s.unique("listen", at.network+" "+at.address, s.settings["listen"].at,
			"listen: another source listens there", "give each its own address, or let all resolvers share one source")
	}
	return c
}

// limits reads the attributes that apply to Unix sockets and TCP.
func (s *section) limits() collector.Config {
	return collector.Config{
		MaxConnections:   int(s.readNumber("max_connections")),
		MaxFrame:         int(s.readSize("max_frame")),
		HandshakeTimeout: s.readDuration("handshake_timeout"),
	}
}

// warnIfExposed warns of an address that is not loopback, unless TLS authenticates peers.
func (s *section) warnIfExposed(c collector.Config) {
	host, _, _ := net.SplitHostPort(c.Address)
	if isLoopback(host) {
		return
	}
	at := s.settings["listen"].at
	switch {
	case s.innerBlock("tls") == nil:
		s.warn(exposedListener, at, "listen: any host that reaches this address can read along and send",
			"TCP neither encrypts dnstap nor authenticates peers. Use a Unix socket or a loopback address, "+
				"add a tls block with client_ca, or make sure that only the resolver can connect.")
	case c.TLS.ClientCA == "":
		s.warn(exposedListener, at, "listen: any host that reaches this address can send",
			"TLS without client_ca encrypts dnstap, but does not authenticate peers. "+
				"Set client_ca to the CA of the resolver's certificate, or make sure that only the resolver can connect.")
	}
}

// longestSocketPath is the length of sun_path in struct sockaddr_un without its final zero.
// collector/sockfile checks it too, for all of its callers.
const longestSocketPath = 107

type listenAddress struct{ network, address string }

func parseListen(url string) (listenAddress, error) {
	if path, ok := strings.CutPrefix(url, "unix://"); ok {
		return parseSocketPath(path)
	}
	if hostport, ok := strings.CutPrefix(url, "tcp://"); ok {
		return parseTCP(hostport)
	}
	return listenAddress{}, errors.New("begins with neither unix:// nor tcp://")
}

func parseSocketPath(path string) (listenAddress, error) {
	switch {
	case !filepath.IsAbs(path):
		return listenAddress{}, errors.New("the path must be absolute, with three slashes: unix:///PATH")
	case strings.HasSuffix(path, "/"):
		return listenAddress{}, errors.New("the socket's name is missing after the directory")
	case hasControl(path):
		return listenAddress{}, errors.New("the path contains a control character")
	}
	path = filepath.Clean(path)
	if len(path) > longestSocketPath {
		return listenAddress{}, fmt.Errorf("the path has %d bytes; a socket path may have %d", len(path), longestSocketPath)
	}
	return listenAddress{"unix", path}, nil
}

func parseTCP(hostport string) (listenAddress, error) {
	host, port, err := net.SplitHostPort(hostport)
	if err != nil {
		return listenAddress{}, errors.New("must be tcp://HOST:PORT, with an IPv6 address in brackets")
	}
	if host == "" {
		return listenAddress{}, errors.New("the host is missing; to listen on every address write tcp://0.0.0.0:PORT or tcp://[::]:PORT")
	}
	at, err := parseEndpoint(host, port)
	if err != nil {
		return listenAddress{}, err
	}
	return listenAddress{"tcp", at}, nil
}

// parseEndpoint reads a listening address: an IP address or a host name, and a port.
func parseEndpoint(host, port string) (string, error) {
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
		return "", errors.New("the port must be 1 to 65535")
	}
	if addr, err := netip.ParseAddr(host); err == nil {
		host = addr.String()
	} else if !validHost(host) {
		return "", errors.New("the host is neither an address nor a host name")
	}
	return net.JoinHostPort(host, strings.TrimLeft(port, "0")), nil
}

// isLoopback reports whether only this machine can reach host.
func isLoopback(host string) bool {
	addr, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && addr.Unmap().IsLoopback()
}
