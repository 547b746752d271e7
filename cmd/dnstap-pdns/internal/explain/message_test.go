package explain_test

import (
	"encoding/binary"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/miekg/dns"

	"github.com/dnstap-pdns/dnstap-pdns/cmd/dnstap-pdns/internal/canary"
	"github.com/dnstap-pdns/dnstap-pdns/transform"
)

// A hidden name is labels in octets, to which compression pointers may lead.
type hidden []string

// Sections of a message.
const (
	answer = iota
	authority
	additional
)

// A record is a resource record that a packer writes. Its rdata consists of octets as string,
// names as []string, and hidden names.
type record struct {
	section int
	owner   []string
	typ     uint16
	rdata   []any
}

// A response is a DNS message that a packer writes, and the rest of its transaction.
type response struct {
	name         []string
	qtype        uint16
	zone         []string
	records      []record
	outsideChain bool   // records are added outside the answer chain only
	seed         uint64 // for compression and the place of OPT

	own, queryOwn       netip.Addr   // the resolver's addresses in response and query
	subnet, querySubnet netip.Prefix // client subnets; zero: none
	asked               bool         // the lane gets the query too
	trailing            string

	policy    *transform.Policy
	forbidden *canary.ForbiddenSearch
}

var (
	server = netip.MustParseAddrPort("192.0.2.99:53")
	began  = transform.Time(time.Date(2026, 1, 2, 3, 4, 5, 678, time.UTC).UnixNano())
)

// A packer writes a message. It may compress any name.
type packer struct {
	wire  []byte
	names map[string]int
	r     *rand.Rand
}

func (p *packer) uint16(v ...int) {
	for _, v := range v {
		p.wire = binary.BigEndian.AppendUint16(p.wire, uint16(v))
	}
}

// key returns the key of a name in packer.names.
func key(labels []string) string { return strings.Join(labels, "\xff.") }

func (p *packer) name(labels []string) {
	for i, label := range labels {
		rest := key(labels[i:])
		at, known := p.names[rest]
		if known && p.r.IntN(4) > 0 {
			p.uint16(0xc000 | at)
			return
		}
		if !known && len(p.wire) < 0x4000 {
			p.names[rest] = len(p.wire)
		}
		p.wire = append(append(p.wire, byte(len(label))), label...)
	}
	p.wire = append(p.wire, 0)
}

func (p *packer) record(r record) {
	p.name(r.owner)
	p.uint16(int(r.typ), dns.ClassINET, 0, 3600, 0)
	from := len(p.wire)
	for _, part := range r.rdata {
		switch part := part.(type) {
		case string:
			p.wire = append(p.wire, part...)
		case []string:
			p.name(part)
		case hidden:
			for i := range part {
				p.names[key(part[i:])] = len(p.wire)
				p.wire = append(append(p.wire, byte(len(part[i]))), part[i]...)
			}
			p.wire = append(p.wire, 0)
		}
	}
	binary.BigEndian.PutUint16(p.wire[from-2:], uint16(len(p.wire)-from))
}

// pack returns the message, either as received, or without OPT and without the octets after the
// last record, which never leave.
func (m *response) pack(received bool) []byte {
	p := packer{names: map[string]int{}, r: rand.New(rand.NewPCG(m.seed, 1))}
	p.uint16(0x1234, 0x8400, 1, 0, 0, 0)
	p.name(m.name)
	p.uint16(int(m.qtype), dns.ClassINET)
	var counts [3]int
	slices.SortStableFunc(m.records, func(a, b record) int { return a.section - b.section })
	records := m.records
	if received && m.subnet.IsValid() {
		at := len(records)
		for at > 0 && records[at-1].section == additional && m.seed>>at&1 == 0 {
			at--
		}
		records = slices.Insert(slices.Clone(records), at, optRecord(m.subnet))
	}
	for _, r := range records {
		counts[r.section]++
		p.record(r)
	}
	for section, n := range counts {
		binary.BigEndian.PutUint16(p.wire[6+2*section:], uint16(n))
	}
	if received {
		p.wire = append(p.wire, m.trailing...)
	}
	return p.wire
}

// optRecord returns OPT with a client subnet (RFC 7871).
func optRecord(subnet netip.Prefix) record {
	family, octets := "\x00\x01", subnet.Addr().AsSlice()
	if subnet.Addr().Is6() {
		family = "\x00\x02"
	}
	option := family + string([]byte{byte(subnet.Bits()), 0}) + string(octets[:(subnet.Bits()+7)/8])
	return record{additional, nil, dns.TypeOPT, []any{"\x00\x08" + string([]byte{0, byte(len(option))}) + option}}
}

func wireName(labels []string) []byte {
	p := packer{names: map[string]int{}}
	for _, label := range labels {
		p.wire = append(append(p.wire, byte(len(label))), label...)
	}
	return append(p.wire, 0)
}

// query returns the query message.
func (m *response) query() []byte {
	p := packer{names: map[string]int{}}
	p.uint16(0x1234, 0, 1, 0, 0, 0)
	p.name(m.name)
	p.uint16(int(m.qtype), dns.ClassINET)
	if m.querySubnet.IsValid() {
		p.wire[11] = 1
		p.record(optRecord(m.querySubnet))
	}
	return p.wire
}

// An outcome is the scrubber's verdict on a message.
type outcome struct {
	reason transform.Reason
	rule   transform.Rule
	record *transform.Record // nil: it was dropped
}

// Verdict keeps the latest verdict.
func (o *outcome) Verdict(v *transform.Verdict) {
	*o = outcome{reason: v.Reason, rule: v.Finding.Rule}
	if v.Record != nil {
		r := *v.Record
		r.Name, r.Zone = slices.Clone(r.Name), slices.Clone(r.Zone)
		r.Query, r.Response = slices.Clone(r.Query), slices.Clone(r.Response)
		o.record = &r
	}
}

// scrub returns the outcome of the response in a new lane.
func (m *response) scrub() outcome {
	var o outcome
	lane := transform.NewPairer(transform.NewBudget(10))
	lane.Trace(&o)
	message := transform.Message{Role: transform.ResolverResponse, Server: server, Resolver: netip.AddrPortFrom(m.own, 4000),
		QueryTime: began, ResponseTime: began + 9000, Zone: m.wireZone(), Wire: m.pack(true)}
	if m.asked {
		lane.Take(&transform.Message{Role: transform.ResolverQuery, Server: server, Resolver: netip.AddrPortFrom(m.queryOwn, 4000),
			QueryTime: began, ResponseTime: transform.NoTime, Wire: m.query()}, m.policy, func(*transform.Record) {})
	}
	lane.Take(&message, m.policy, func(*transform.Record) {})
	return o
}

// wireZone returns the zone in wire form; nil if there is none.
func (m *response) wireZone() []byte {
	if len(m.zone) == 0 {
		return nil
	}
	return wireName(m.zone)
}

// search searches messages for items that are forbidden in this transaction.
func (m *response) search(name, zone []byte, messages ...[]byte) []canary.Hit {
	r := canary.Record{Name: name, Zone: zone, Messages: messages, Resolvers: []netip.Addr{m.own}}
	r.Subnets = canary.ClientSubnets(m.pack(true))
	if m.asked {
		r.Resolvers = append(r.Resolvers, m.queryOwn)
		r.Subnets = append(r.Subnets, canary.ClientSubnets(m.query())...)
	}
	return m.forbidden.Record(&r)
}

// input searches the received message, except the parts that never leave.
func (m *response) input() []canary.Hit {
	return m.search(nil, m.wireZone(), m.pack(false))
}

// output searches an output record.
func (m *response) output(r *transform.Record) []canary.Hit {
	return m.search(r.Name, r.Zone, r.Query, r.Response)
}
