package explain

import (
	"encoding/binary"
	"net/netip"

	"github.com/dnstap-pdns/dnstap-pdns/cmd/dnstap-pdns/internal/canary"
	"github.com/dnstap-pdns/dnstap-pdns/transform"
)

// maxSubnets bounds the queries with client subnets in each of the two generations.
const maxSubnets = 50_000

// transactions searches each record for what is forbidden only in the record of its own
// transaction: the client subnets of the query and the response, and the resolver's address in
// the message.
type transactions struct {
	forbidden     *canary.ForbiddenSearch  // without entries
	queries, last map[query][]netip.Prefix // client subnets, in the current and the last generation

	records, withSubnet uint64
	exact               exactFindings
}

// A query is the fields that a query and its response have in common.
type query struct {
	server netip.AddrPort
	id     uint16
	name   string
	qtype  uint16
}

func queryOf(v *transform.Verdict) query {
	q := query{server: netip.AddrPortFrom(v.Server.Addr().Unmap(), v.Server.Port()), name: string(v.Name), qtype: v.Type}
	if v.Message != nil && len(v.Message.Wire) >= 2 {
		q.id = binary.BigEndian.Uint16(v.Message.Wire)
	}
	return q
}

// search remembers the client subnets of a query. If a record was made, it searches the record for
// the client subnets of its transaction, and for the resolver's address in the message. known
// reports whether every record is searched for an address already.
func (t *transactions) search(v *transform.Verdict, known func(netip.Addr) bool) {
	var subnets []netip.Prefix
	if v.Message != nil {
		subnets = canary.ClientSubnets(v.Message.Wire)
		if !v.Response && len(subnets) > 0 {
			t.remember(queryOf(v), subnets)
		}
	}
	if v.Record == nil {
		return
	}
	subnets = append(subnets, t.subnetsOf(v)...)
	r := canary.Record{Name: v.Record.Name, Zone: v.Record.Zone, Messages: [][]byte{v.Record.Query, v.Record.Response}, Subnets: subnets}
	if v.Message != nil && !known(v.Message.Resolver.Addr()) {
		r.Resolvers = []netip.Addr{v.Message.Resolver.Addr()}
		r.Addresses = []netip.Addr{v.Record.Resolver.Addr()}
	}
	t.records++
	if len(subnets) > 0 {
		t.withSubnet++
	}
	x := exampleOf(v)
	t.exact.add(t.forbidden.Record(&r), Finding{Text: x.text() + "\n"})
}

// remember keeps the subnets of a query in the current generation. When that is full, it becomes
// the last generation, and the previous one is dropped. Subnets are also kept under ID 0, because
// the verdict on a query that ended without a response has no message with an ID.
func (t *transactions) remember(q query, subnets []netip.Prefix) {
	if len(t.queries) >= maxSubnets {
		t.last, t.queries = t.queries, nil
	}
	if t.queries == nil {
		t.queries = map[query][]netip.Prefix{}
	}
	t.queries[q] = subnets
	q.id = 0
	t.queries[q] = subnets
}

// subnetsOf returns the client subnets of a record's query.
func (t *transactions) subnetsOf(v *transform.Verdict) []netip.Prefix {
	q := queryOf(v)
	if v.Message != nil && q.id == 0 { // subnets under ID 0 may be of another query
		return nil
	}
	if subnets, ok := t.queries[q]; ok {
		return subnets
	}
	return t.last[q]
}
