package admin

import (
	"net"
	"net/http"
	"net/netip"
	"strings"

	"github.com/dnstap-pdns/dnstap-pdns/cmd/dnstap-pdns/internal/sensor"
	"github.com/dnstap-pdns/dnstap-pdns/fallback/pcap/packet"
	"github.com/dnstap-pdns/dnstap-pdns/transform"
)

// maxDomains is how many /domains lists.
const maxDomains = 20

// Domains lists what is shown on loopback only: the registered domains with the most dropped
// messages, the most first, and the addresses that query without being listed. As JSON it is
// the response of /domains: the names below are stable, others may be added.
//
//	{"domains": [{"domain", "resolver_address", "lookup", "local_name_inside"}],
//	 "packet_senders": [{"source", "queries": [{"address", "packets"}]}]}
//
// Each count of a domain may be too low, because a domain is not always counted from its first
// drop on.
type Domains struct {
	Domains []Domain        `json:"domains"`
	Senders []PacketSenders `json:"packet_senders"` // one for each packet source
}

// PacketSenders lists addresses whose queries a source does not read, because resolvers does not
// list them: the ones that send most first.
type PacketSenders struct {
	Source  string          `json:"source"`
	Queries []packet.Sender `json:"queries"` // to port 53, without recursion desired
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
func DomainsOf(counts []transform.DomainCount, packets []sensor.PacketStats) Domains {
	shown := Domains{Domains: []Domain{}, Senders: []PacketSenders{}}
	for _, c := range counts {
		shown.Domains = append(shown.Domains, Domain(c))
	}
	for i := range packets {
		shown.Senders = append(shown.Senders, PacketSenders{packets[i].Name, packets[i].Packets.Queries.Senders.All()})
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
