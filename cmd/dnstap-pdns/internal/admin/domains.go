package admin

import (
	"net"
	"net/http"
	"net/netip"
	"strings"

	"github.com/dnstap-pdns/dnstap-pdns/transform"
)

// maxDomains is how many /domains lists.
const maxDomains = 20

// Domains lists the registered domains that were dropped most, the first one most. As
// JSON it is the answer of /domains: the names below are stable, others may be added.
//
//	{"domains": [{"domain", "resolver_address", "lookup", "local_name_inside"}]}
//
// Each count is at most the true one: of domains that are dropped less, only some are
// counted from the start.
type Domains struct {
	Domains []Domain `json:"domains"`
}

// Domain is a registered domain, and how many messages with a name in it were dropped,
// by what forbade the record.
type Domain struct {
	Domain          string `json:"domain"`
	ResolverAddress uint64 `json:"resolver_address"`
	Lookup          uint64 `json:"lookup"`
	LocalNameInside uint64 `json:"local_name_inside"`
}

// DomainsOf returns the counts as they are shown.
func DomainsOf(counts []transform.DomainCount) Domains {
	shown := Domains{Domains: []Domain{}}
	for _, c := range counts {
		shown.Domains = append(shown.Domains, Domain(c))
	}
	return shown
}

// listenKey is the context key of the address that the server listens on, a string.
type listenKey struct{}

// onLoopbackOnly refuses requests that come from another host, that a server which other
// hosts can reach received, or that do not name this host by its loopback address or as
// localhost.
func onLoopbackOnly(h http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		listen, _ := r.Context().Value(listenKey{}).(string)
		if !OnLoopback(listen) || !OnLoopback(r.RemoteAddr) || !OnLoopback(r.Host) {
			http.Error(w, "this is shown on loopback only", http.StatusForbidden)
			return
		}
		h(w, r)
	}
}

// OnLoopback reports whether a host, with or without a port, is localhost or a loopback
// address.
func OnLoopback(host string) bool {
	name := hostname(host)
	a, err := netip.ParseAddr(name)
	return name == "localhost" || err == nil && a.Unmap().IsLoopback()
}

// hostname returns a host without its port and brackets.
func hostname(host string) string {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	return strings.Trim(host, "[]")
}
