package lab

import (
	"net/netip"

	"github.com/miekg/dns"
)

// Kind classifies the answer that the zones have for a question.
type Kind string

const (
	Answer   Kind = "answer" // the records asked for, or the CNAMEs that lead to them
	NoData   Kind = "nodata"
	NXDomain Kind = "nxdomain"
	Referral Kind = "referral"
	Refused  Kind = "refused" // no zone of that server contains the name
)

// Truth is the answer that a server must give according to its zones.
type Truth struct {
	Kind      Kind
	Rcode     int
	Answer    []dns.RR
	Authority []dns.RR // the NS of a referral, the SOA of a negative answer; nil: not checked
}

// Lookup returns the answer of the server at that address to a question (RFC 1034 section
// 4.3.2). The name is lowercase.
func (z *Zones) Lookup(server netip.Addr, name string, qtype uint16) Truth {
	in := z.at(server, name)
	if in == nil {
		return Truth{Kind: Refused, Rcode: dns.RcodeRefused}
	}
	var chain []dns.RR
	for {
		if ns := in.cut(name); ns != nil {
			return Truth{Kind: kindOf(chain, Referral), Answer: chain, Authority: ns}
		}
		node := in.match(name)
		switch {
		case node == nil:
			return Truth{Kind: NXDomain, Rcode: dns.RcodeNameError, Answer: chain, Authority: []dns.RR{in.soa()}}
		case node[qtype] != nil:
			return Truth{Kind: Answer, Answer: append(chain, node[qtype]...)}
		case node[dns.TypeCNAME] == nil:
			return Truth{Kind: kindOf(chain, NoData), Answer: chain, Authority: []dns.RR{in.soa()}}
		}
		chain = append(chain, node[dns.TypeCNAME]...)
		name = dns.CanonicalName(node[dns.TypeCNAME][0].(*dns.CNAME).Target)
		if !dns.IsSubDomain(in.apex, name) {
			return Truth{Kind: Answer, Answer: chain}
		}
	}
}

// AnswersItself reports whether that server answers a question itself: it neither refuses it nor refers
// to other servers. Resolve may return fewer such servers than there are, because a zone's own NS
// records may name more than its delegation does.
func (z *Zones) AnswersItself(server netip.Addr, name string, qtype uint16) bool {
	kind := z.Lookup(server, name, qtype).Kind
	return kind != Refused && kind != Referral
}

// kindOf returns Answer if chain has a CNAME, otherwise the other kind.
func kindOf(chain []dns.RR, otherwise Kind) Kind {
	if len(chain) > 0 {
		return Answer
	}
	return otherwise
}

// match returns the records of that name by type, or those synthesised from a wildcard (RFC
// 4592), or nil if the name does not exist.
func (z *zone) match(name string) map[uint16][]dns.RR {
	if node, ok := z.nodes[name]; ok {
		return node
	}
	encloser := parent(name)
	for z.nodes[encloser] == nil {
		encloser = parent(encloser)
	}
	wild, ok := z.nodes["*."+encloser]
	if !ok {
		return nil
	}
	made := make(map[uint16][]dns.RR, len(wild))
	for t, rrs := range wild {
		for _, rr := range rrs {
			rr = dns.Copy(rr)
			rr.Header().Name = name
			made[t] = append(made[t], rr)
		}
	}
	return made
}

// HasRecord reports whether a zone of that server has the record, glue included.
func (z *Zones) HasRecord(server netip.Addr, rr dns.RR) bool {
	h := rr.Header()
	for _, in := range z.byServer[server] {
		for _, held := range in.nodes[h.Name][h.Rrtype] {
			if held.String() == rr.String() {
				return true
			}
		}
	}
	return false
}

// glue returns the addresses that a referral's name servers have in the zones of that
// server, or, if there are none, in any zone.
func (z *Zones) glue(server netip.Addr, ns []dns.RR) []netip.Addr {
	here := z.addresses(z.byServer[server], ns)
	if len(here) > 0 {
		return here
	}
	for _, held := range z.byServer {
		if found := z.addresses(held, ns); len(found) > 0 {
			return found
		}
	}
	return nil
}

func (z *Zones) addresses(held []*zone, ns []dns.RR) []netip.Addr {
	var found []netip.Addr
	for _, rr := range ns {
		target := dns.CanonicalName(rr.(*dns.NS).Ns)
		for _, in := range held {
			for _, a := range in.nodes[target][dns.TypeA] {
				addr, _ := netip.AddrFromSlice(a.(*dns.A).A)
				found = append(found, addr.Unmap())
			}
			for _, a := range in.nodes[target][dns.TypeAAAA] {
				addr, _ := netip.AddrFromSlice(a.(*dns.AAAA).AAAA)
				found = append(found, addr)
			}
		}
	}
	return found
}

// Resolve follows referrals from the root and returns the servers that answer a question
// themselves, with their answer. It returns no server if the last referral leads to a server
// that the world does not have.
func (z *Zones) Resolve(name string, qtype uint16) ([]netip.Addr, Truth) {
	at := []netip.Addr{netip.MustParseAddr(servers[0].addrs[0]), netip.MustParseAddr(servers[0].addrs[1])}
	for {
		var known []netip.Addr
		for _, a := range at {
			if z.byServer[a] != nil {
				known = append(known, a)
			}
		}
		if len(known) == 0 {
			return nil, Truth{}
		}
		truth := z.Lookup(known[0], name, qtype)
		if truth.Kind != Referral {
			return known, truth
		}
		at = z.glue(known[0], truth.Authority)
	}
}

// Servers lists the addresses of all authoritative servers.
func (z *Zones) Servers() []netip.Addr {
	var all []netip.Addr
	for _, s := range servers {
		for _, a := range s.addrs {
			all = append(all, netip.MustParseAddr(a))
		}
	}
	return all
}
