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

// Domains lists the registered domains with the most dropped messages, the most first. As JSON
// it is the response of /domains: the names below are stable, others may be added.
//
//	{"domains": [{"domain", "resolver_address", "lookup", "local_name_inside"}]}
//
// Each count may be too low, because a domain is not always counted from its first drop on.
type Domains struct {
	Domains []Domain `json:"domains"`
}

// Domain is a registered domain, and how many messages with a name in it were dropped, by the
// rule that forbade the record.
type Domain struct {
	Domain          string `json:"domain"`
	ResolverAddress uint64 `json:"resolver_address"`
	Lookup          uint64 `json:"lookup"`
	LocalNameInside uint64 `json:"local_name_inside"`
}

// DomainsOf returns the counts in the form of /domains.
func DomainsOf(counts []transform.DomainCount) Domains {
	shown := Domains{Domains: []Domain{}}
	for _, c := range counts {
		shown.Domains = append(shown.Domains, Domain(c))
	}
	return shown
}

// listenKey is the context key of the address that the server listens on, a string.
type listenKey struct{}

// onLoopbackOnly refuses a request if it comes from another host, if the server listens on more
// than loopback, or if its Host is neither a loopback address nor localhost.
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
