package workload

import (
	"encoding/binary"
	"fmt"
	"net"
	"strings"
	"time"

	dnstap "github.com/dnstap/golang-dnstap"
	"github.com/miekg/dns"
	"google.golang.org/protobuf/proto"
)

// loadStart is the time at which every load begins.
var loadStart = time.Unix(1_800_000_000, 0)

func instant(t time.Time) (*uint64, *uint32) {
	return proto.Uint64(uint64(t.Unix())), proto.Uint32(uint32(t.Nanosecond()))
}

// setVariant sets the DNS ID of a message and the letters of the first label of its question.
func setVariant(wire []byte, id uint16, name uint64) {
	const questionAt = 12
	if wire == nil {
		return
	}
	binary.BigEndian.PutUint16(wire, id)
	label := wire[questionAt+1:][:wire[questionAt]]
	for at := range label {
		label[at] = 'a' + byte(name%26)
		name /= 26
	}
}

// variants are pairs in three forms, in the same order.
type variants struct {
	plain  []Pair
	subnet []Pair // with a client subnet in query and response
	local  []Pair // the name is below LocalName
}

func newVariants(pairs []Pair) (v variants, err error) {
	v.plain = pairs
	for _, p := range pairs {
		subnet, err := changed(p, addSubnet)
		if err != nil {
			return v, err
		}
		local, err := changed(p, makeLocal)
		if err != nil {
			return v, err
		}
		local.Query.Message.QueryZone, local.Response.Message.QueryZone = zoneOf(local.Query), zoneOf(local.Response)
		v.subnet, v.local = append(v.subnet, subnet), append(v.local, local)
	}
	return v, nil
}

// changed returns a copy of a pair with other DNS messages.
func changed(p Pair, change func(*dns.Msg)) (Pair, error) {
	c := Pair{proto.Clone(p.Query).(*dnstap.Dnstap), proto.Clone(p.Response).(*dnstap.Dnstap)}
	for _, wire := range []*[]byte{&c.Query.Message.QueryMessage, &c.Response.Message.QueryMessage, &c.Response.Message.ResponseMessage} {
		if *wire == nil {
			continue
		}
		m := new(dns.Msg)
		if err := m.Unpack(*wire); err != nil {
			return c, fmt.Errorf("a message of a capture: %w", err)
		}
		m.Compress = true
		change(m)
		packed, err := m.Pack()
		if err != nil {
			return c, fmt.Errorf("a variant of a message: %w", err)
		}
		*wire = packed
	}
	return c, nil
}

// addSubnet adds a client subnet (RFC 7871) to a message.
func addSubnet(m *dns.Msg) {
	opt := m.IsEdns0()
	if opt == nil {
		m.SetEdns0(1232, false)
		opt = m.IsEdns0()
	}
	opt.Option = append(opt.Option, &dns.EDNS0_SUBNET{Code: dns.EDNS0SUBNET, Family: 1, SourceNetmask: 24, Address: net.IPv4(198, 51, 100, 0).To4()})
}

// makeLocal moves the query name, and the answers that have it, below LocalName.
func makeLocal(m *dns.Msg) {
	name := m.Question[0].Name
	first, _, _ := strings.Cut(name, ".")
	local := dns.Fqdn(first + ".dept." + LocalName)
	m.Question[0].Name = local
	for _, rr := range m.Answer {
		if dns.CanonicalName(rr.Header().Name) == dns.CanonicalName(name) {
			rr.Header().Name = local
		}
	}
}

// zoneOf returns LocalName in wire form if the frame states a zone.
func zoneOf(d *dnstap.Dnstap) []byte {
	if d.Message.QueryZone == nil {
		return nil
	}
	return []byte("\x04univ\x07example\x00")
}
