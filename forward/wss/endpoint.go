package wss

import (
	"context"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/dnstap-pdns/dnstap-pdns/forward"
)

// maxServers limits the servers of one host that are tried.
const maxServers = 8

// An endpoint is the target of a sink.
type endpoint struct {
	tls       bool
	authority string // HOST or HOST:PORT
	host      string // without the port
	path      string // without the first slash
}

func newEndpoint(t forward.Target) endpoint {
	e := endpoint{tls: t.Scheme == forward.WSS, host: t.Host()}
	e.authority, e.path, _ = strings.Cut(t.Address, "/")
	return e
}

func (e *endpoint) scheme() string {
	if e.tls {
		return "wss"
	}
	return "ws"
}

func (e *endpoint) httpScheme() string { return HTTPScheme(e.tls) }

// HTTPScheme is the scheme of the request that opens a websocket with or without TLS, and the
// service of SRV records.
func HTTPScheme(tls bool) string {
	if tls {
		return "https"
	}
	return "http"
}

func (e *endpoint) defaultPort() string {
	if e.tls {
		return "443"
	}
	return "80"
}

// A lookupSRV looks up SRV records, as [net.Resolver.LookupSRV] does.
type lookupSRV func(ctx context.Context, service, proto, name string) (string, []*net.SRV, error)

// servers returns the servers of the endpoint (HOST:PORT) in the order in which they are tried:
// those of SRV records if the configuration has no port. last, the server of the last session,
// is tried after all others.
func (e *endpoint) servers(ctx context.Context, lookup lookupSRV, last string) []string {
	if e.authority != e.host {
		return []string{e.authority}
	}
	var all []string
	if _, err := netip.ParseAddr(e.host); err != nil {
		_, records, _ := lookup(ctx, e.httpScheme(), "tcp", e.host) // without records, or if the lookup fails, the host itself is tried
		for _, r := range records {
			all = append(all, net.JoinHostPort(strings.TrimSuffix(r.Target, "."), strconv.Itoa(int(r.Port))))
		}
	}
	if len(all) == 0 {
		return []string{net.JoinHostPort(e.host, e.defaultPort())}
	}
	if i := slices.Index(all, last); i >= 0 {
		all = append(slices.Delete(all, i, i+1), last)
	}
	return all[:min(len(all), maxServers)]
}
