package rrset

import (
	"errors"
	"fmt"
	"io"
	"net/netip"

	"github.com/miekg/dns"

	"github.com/dnstap-pdns/dnstap-pdns/transform"
	"github.com/dnstap-pdns/dnstap-pdns/transform/dnswire"
)

// maxSeed bounds the NS and address records of a root zone file.
const maxSeed = 1 << 18

// A Seed is what a root zone file contains of delegations.
type Seed struct {
	Serial uint32 // of the SOA record; by convention YYYYMMDDnn

	servers   []seedRecord // zone and host
	addresses []seedRecord // host
}

type seedRecord struct {
	owner, host []byte
	addr        netip.Addr
}

// ReadSeed reads a root zone file, such as https://www.internic.net/domain/root.zone.
func ReadSeed(r io.Reader) (*Seed, error) {
	parser := dns.NewZoneParser(r, ".", "")
	s, hasSOA := &Seed{}, false
	for rr, ok := parser.Next(); ok; rr, ok = parser.Next() {
		if soa, isSOA := rr.(*dns.SOA); isSOA && soa.Hdr.Name == "." {
			s.Serial, hasSOA = soa.Serial, true
		}
		if err := s.add(rr); err != nil {
			return nil, fmt.Errorf("root zone file: record of %s: %w", rr.Header().Name, err)
		}
	}
	switch err := parser.Err(); {
	case err != nil:
		return nil, fmt.Errorf("root zone file: %w", err)
	case !hasSOA:
		return nil, errors.New("root zone file: no SOA record of the root: it must be the zone itself, not the root hints")
	case len(s.servers) == 0:
		return nil, errors.New("root zone file: no delegation in it")
	}
	return s, nil
}

// add adds a record that is of a delegation.
func (s *Seed) add(rr dns.RR) (err error) {
	var record seedRecord
	to := &s.addresses
	switch rr := rr.(type) {
	case *dns.NS:
		if rr.Hdr.Name == "." {
			return nil
		}
		if record.host, err = packLower(rr.Ns); err != nil {
			return err
		}
		to = &s.servers
	case *dns.A:
		record.addr, _ = netip.AddrFromSlice(rr.A)
	case *dns.AAAA:
		record.addr, _ = netip.AddrFromSlice(rr.AAAA)
	default:
		return nil
	}
	if len(s.servers)+len(s.addresses) == maxSeed {
		return errors.New("too many records")
	}
	record.addr = record.addr.Unmap()
	record.owner, err = packLower(rr.Header().Name)
	*to = append(*to, record)
	return err
}

// packLower returns a name in presentation form in wire form, in lower case.
func packLower(name string) ([]byte, error) {
	b := make([]byte, dnswire.MaxName)
	n, err := dns.PackDomainName(name, b, 0, nil, false)
	dnswire.Lower(b[:n])
	return b[:n], err
}

// Plant adds the delegations of a root zone file to a cache. A delegation in the file is believed
// until records state the servers of the same zone; from then on it expires like all others.
func (d *Delegations) Plant(s *Seed) {
	for _, r := range s.servers {
		z := d.zone(r.owner)
		d.addServer(z, r.host, never, transform.NoTime)
		d.seen(z)
	}
	for _, r := range s.addresses {
		if h := d.hosts[string(r.owner)]; h != nil {
			d.addAddress(h, r.addr, never, transform.NoTime)
			d.shrink(h.payer)
		}
	}
}
