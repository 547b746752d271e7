package conf

import (
	"errors"
	"net"
	"strings"
)

func (s *section) admin() Admin {
	remote := s.readFlag("allow_remote")
	return Admin{
		Listen:  readText(s, "listen", func(v string) (string, error) { return parseAdmin(v, remote) }),
		Samples: s.readFlag("samples"),
		Pprof:   s.readFlag("pprof"),

		HostNames: readList(s, "host_names", parseHostName),
	}
}

// parseHostName returns a host name in lower case, without a dot at its end.
func parseHostName(v string) (string, error) {
	name := strings.ToLower(strings.TrimSuffix(v, "."))
	if name == "" || !validHost(name) {
		return "", errors.New("not a host name: write it without scheme, port and path")
	}
	return name, nil
}

func parseAdmin(v string, remote bool) (string, error) {
	if v == "" {
		return "", nil
	}
	host, port, err := net.SplitHostPort(v)
	switch {
	case err != nil:
		return "", errors.New("must be HOST:PORT, with an IPv6 address in brackets")
	case host == "" && !remote:
		return "", errors.New("the host is missing; for access from this machine only write 127.0.0.1")
	case host == "":
		return "", errors.New("the host is missing; for every address write 0.0.0.0 or [::]")
	case !remote && !isLoopback(host):
		return "", errors.New("other hosts can reach this address, and would see which resolvers connect " +
			"and how much they query; to allow that, set allow_remote = true")
	}
	return parseEndpoint(host, port)
}
