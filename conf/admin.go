package conf

import (
	"errors"
	"net"
)

func (s *section) admin() Admin {
	remote := s.readFlag("allow_remote")
	return Admin{
		Listen:  readText(s, "listen", func(v string) (string, error) { return parseAdmin(v, remote) }),
		Samples: s.readFlag("samples"),
		Pprof:   s.readFlag("pprof"),
	}
}

func parseAdmin(v string, remote bool) (string, error) {
	if v == "" {
		return "", nil
	}
	host, port, err := net.SplitHostPort(v)
	switch {
	case err != nil:
		return "", errors.New("must be HOST:PORT, an IPv6 address in brackets")
	case host == "" && !remote:
		return "", errors.New("the host is missing; 127.0.0.1 is for this machine alone")
	case host == "":
		return "", errors.New("the host is missing; for every address write 0.0.0.0 or [::]")
	case !remote && !isLoopback(host):
		return "", errors.New("other hosts reach this address, and whoever reaches it is told which resolvers connect " +
			"and how much they ask; if that is wanted, set allow_remote = true")
	}
	return parseEndpoint(host, port)
}
