package lab

import (
	"bytes"
	"fmt"
	"net/netip"

	"github.com/miekg/dns"
)

// Zones contains the data of the authoritative servers, read from their zone files.
type Zones struct {
	byServer map[netip.Addr][]*zone
}

// zone contains one zone's data, by lowercase owner name and type.
type zone struct {
	apex  string
	nodes map[string]map[uint16][]dns.RR // empty non-terminals have an empty map
}

func loadZones() (*Zones, error) {
	all := &Zones{byServer: make(map[netip.Addr][]*zone)}
	for _, s := range servers {
		var held []*zone
		for _, name := range s.zones {
			z, err := loadZone(name)
			if err != nil {
				return nil, err
			}
			held = append(held, z)
		}
		for _, a := range s.addrs {
			all.byServer[netip.MustParseAddr(a)] = held
		}
	}
	return all, nil
}

func loadZone(name string) (*zone, error) {
	file := zoneFile(name)
	text, err := files.ReadFile(file)
	if err != nil {
		return nil, err
	}
	z := &zone{apex: dns.Fqdn(name), nodes: make(map[string]map[uint16][]dns.RR)}
	p := dns.NewZoneParser(bytes.NewReader(text), z.apex, file)
	for rr, ok := p.Next(); ok; rr, ok = p.Next() {
		z.add(rr)
	}
	if err := p.Err(); err != nil {
		return nil, fmt.Errorf("zone %s: %w", name, err)
	}
	return z, nil
}

func (z *zone) add(rr dns.RR) {
	h := rr.Header()
	h.Name = dns.CanonicalName(h.Name)
	for name := h.Name; ; name = parent(name) {
		if z.nodes[name] == nil {
			z.nodes[name] = make(map[uint16][]dns.RR)
		}
		if name == z.apex {
			break
		}
	}
	z.nodes[h.Name][h.Rrtype] = append(z.nodes[h.Name][h.Rrtype], rr)
}

// at returns the zone of a server that is closest to the name, or nil.
func (z *Zones) at(server netip.Addr, name string) *zone {
	var best *zone
	for _, candidate := range z.byServer[server] {
		if dns.IsSubDomain(candidate.apex, name) && (best == nil || len(candidate.apex) > len(best.apex)) {
			best = candidate
		}
	}
	return best
}

// Apex returns the apex of that zone, or "" if no zone of the server contains the name.
func (z *Zones) Apex(server netip.Addr, name string) string {
	in := z.at(server, dns.CanonicalName(name))
	if in == nil {
		return ""
	}
	return in.apex
}

// cut returns the NS records of the delegation at or above the name inside the zone, or nil.
func (z *zone) cut(name string) []dns.RR {
	var found []dns.RR
	for ; name != z.apex; name = parent(name) {
		if ns := z.nodes[name][dns.TypeNS]; ns != nil {
			found = ns
		}
	}
	return found
}

// soa returns the zone's SOA as in a negative answer (RFC 2308 section 3).
func (z *zone) soa() dns.RR {
	soa := dns.Copy(z.nodes[z.apex][dns.TypeSOA][0]).(*dns.SOA)
	soa.Hdr.Ttl = min(soa.Hdr.Ttl, soa.Minttl)
	return soa
}

// parent removes the leftmost label; the root is its own parent.
func parent(name string) string {
	next, end := dns.NextLabel(name, 0)
	if end {
		return "."
	}
	return name[next:]
}
