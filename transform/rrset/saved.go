package rrset

import (
	"bytes"
	"container/list"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"net/netip"

	"github.com/dnstap-pdns/dnstap-pdns/transform"
	"github.com/dnstap-pdns/dnstap-pdns/transform/dnswire"
)

// The saved form of a cache, version 1. Numbers are big-endian, names are in uncompressed lowercase
// wire form, times are in nanoseconds since the Unix epoch.
//
//	saved    = "dpdns-deleg\n" version:u16 hosts:u32 host* zones:u32 zone* crc:u32
//	host     = name addresses:u8 address*
//	address  = length:u8 octet* expires:i64            ; length 4 or 16
//	zone     = name servers:u8 server*                 ; 1 or more servers; the zone that was seen longest ago first
//	server   = host:u32 expires:i64                    ; host counts from 0
//	crc      = CRC-32C of all octets before it
//
// Delegations of a root zone file are not saved.
const (
	savedMagic   = "dpdns-deleg\n"
	savedVersion = 1
	savedHead    = len(savedMagic) + 2
	savedCRC     = 4
)

var savedTable = crc32.MakeTable(crc32.Castagnoli)

// Save returns the cache in a form that LoadDelegations reads.
func (d *Delegations) Save() []byte {
	var w saver
	for _, zones := range []*list.List{&d.room.registries.zones, &d.room.order} {
		for e := zones.Front(); e != nil; e = e.Next() {
			w.zone(e.Value.(*zone))
		}
	}
	b := binary.BigEndian.AppendUint16([]byte(savedMagic), savedVersion)
	b = append(binary.BigEndian.AppendUint32(b, uint32(len(w.numbers))), w.hosts...)
	b = append(binary.BigEndian.AppendUint32(b, w.count), w.zones...)
	return binary.BigEndian.AppendUint32(b, crc32.Checksum(b, savedTable))
}

// A saver writes hosts and zones. A host gets its number with the first zone that it serves.
type saver struct {
	hosts   []byte
	numbers map[*host]uint32
	zones   []byte
	count   uint32
}

func (w *saver) zone(z *zone) {
	w.zones = append(w.zones, z.name...)
	at := len(w.zones)
	w.zones = append(w.zones, 0)
	for _, s := range z.servers {
		if s.expires == never {
			continue
		}
		w.zones[at]++
		w.zones = binary.BigEndian.AppendUint32(w.zones, w.number(s.host))
		w.zones = binary.BigEndian.AppendUint64(w.zones, uint64(s.expires))
	}
	if w.zones[at] == 0 {
		w.zones = w.zones[:at-len(z.name)]
		return
	}
	w.count++
}

// number returns the number of a host, which it writes if it is new.
func (w *saver) number(h *host) uint32 {
	if n, ok := w.numbers[h]; ok {
		return n
	}
	if w.numbers == nil {
		w.numbers = map[*host]uint32{}
	}
	n := uint32(len(w.numbers))
	w.numbers[h] = n
	w.hosts = append(w.hosts, h.name...)
	at := len(w.hosts)
	w.hosts = append(w.hosts, 0)
	for _, a := range h.addresses {
		if a.expires == never {
			continue
		}
		w.hosts[at]++
		octets := a.addr.AsSlice()
		w.hosts = append(append(w.hosts, byte(len(octets))), octets...)
		w.hosts = binary.BigEndian.AppendUint64(w.hosts, uint64(a.expires))
	}
	return n
}

// LoadDelegations returns the cache that Save returned, with the limits of NewDelegations. It returns an
// error if the octets are damaged, or of another version.
func LoadDelegations(rootServers []netip.Addr, maxBytes int, saved []byte) (*Delegations, error) {
	if len(saved) < savedHead+savedCRC || !bytes.HasPrefix(saved, []byte(savedMagic)) {
		return nil, errors.New("not a saved cache of delegations")
	}
	if v := binary.BigEndian.Uint16(saved[len(savedMagic):]); v != savedVersion {
		return nil, fmt.Errorf("saved cache of delegations has version %d: this program reads version %d", v, savedVersion)
	}
	body, crc := saved[:len(saved)-savedCRC], binary.BigEndian.Uint32(saved[len(saved)-savedCRC:])
	if crc32.Checksum(body, savedTable) != crc {
		return nil, errors.New("saved cache of delegations is damaged: its checksum does not match")
	}
	d := NewDelegations(rootServers, maxBytes)
	l := loader{rest: body[savedHead:]}
	l.all(d)
	if l.failed || len(l.rest) > 0 {
		return nil, errors.New("saved cache of delegations is damaged: its lengths do not match")
	}
	return d, nil
}

// A loader reads what a saver wrote. After a failure it reads zeros.
type loader struct {
	rest   []byte
	failed bool
	hosts  []savedHost
}

type savedHost struct {
	name      []byte
	addresses []address
}

func (l *loader) all(d *Delegations) {
	for n := l.number(4); n > 0 && !l.failed; n-- {
		l.hosts = append(l.hosts, l.host())
	}
	for n := l.number(4); n > 0 && !l.failed; n-- {
		l.zone(d)
	}
}

func (l *loader) host() (h savedHost) {
	h.name = l.name()
	for n := l.number(1); n > 0 && !l.failed; n-- {
		addr, ok := netip.AddrFromSlice(l.octets(int(l.number(1))))
		l.failed = l.failed || !ok
		h.addresses = append(h.addresses, address{addr, transform.Time(l.number(8))})
	}
	return h
}

// zone reads a zone into the cache.
func (l *loader) zone(d *Delegations) {
	name := l.name()
	if l.failed || isRoot(name) {
		l.failed = true
		return
	}
	servers := l.number(1)
	if servers == 0 {
		l.failed = true
		return
	}
	z := d.zone(name)
	for ; servers > 0 && !l.failed; servers-- {
		host, expires := l.number(4), transform.Time(l.number(8))
		if l.failed = l.failed || host >= uint64(len(l.hosts)); l.failed {
			return
		}
		h := &l.hosts[host]
		d.addServer(z, h.name, expires, transform.NoTime)
		for _, a := range h.addresses {
			d.addAddress(d.hosts[string(h.name)], a.addr, a.expires, transform.NoTime)
		}
	}
	d.seen(z)
}

// name reads a name in lower case.
func (l *loader) name() []byte {
	name := l.octets(dnswire.NameEnd(l.rest, 0))
	if l.failed = l.failed || !dnswire.IsName(name) || dnswire.Lower(bytes.Clone(name)); l.failed {
		return nil
	}
	return name
}

// number reads a number of this many octets.
func (l *loader) number(octets int) (n uint64) {
	for _, b := range l.octets(octets) {
		n = n<<8 | uint64(b)
	}
	return n
}

func (l *loader) octets(n int) []byte {
	if l.failed || n < 0 || n > len(l.rest) {
		l.failed = true
		return nil
	}
	b := l.rest[:n]
	l.rest = l.rest[n:]
	return b
}
