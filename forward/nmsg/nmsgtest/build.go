// Package nmsgtest builds and reads NMSG payloads for the tests of packages that print them. It
// does not know how they print. Only tests may import it.
package nmsgtest

import (
	"encoding/binary"
	"testing"

	"github.com/miekg/dns"
	"google.golang.org/protobuf/encoding/protowire"

	"github.com/dnstap-pdns/dnstap-pdns/forward/nmsg"
)

// Fields is a protobuf message under construction. Each method appends a field.
type Fields []byte

// Varint appends an integer.
func (f Fields) Varint(num protowire.Number, v uint64) Fields {
	return protowire.AppendVarint(protowire.AppendTag(f, num, protowire.VarintType), v)
}

// Bytes appends octets or a message.
func (f Fields) Bytes(num protowire.Number, v []byte) Fields {
	return protowire.AppendBytes(protowire.AppendTag(f, num, protowire.BytesType), v)
}

// Fixed64 appends 64 bits, for example of a double.
func (f Fields) Fixed64(num protowire.Number, v uint64) Fields {
	return protowire.AppendFixed64(protowire.AppendTag(f, num, protowire.Fixed64Type), v)
}

// Fixed32 appends 32 bits.
func (f Fields) Fixed32(num protowire.Number, v uint32) Fields {
	return protowire.AppendFixed32(protowire.AppendTag(f, num, protowire.Fixed32Type), v)
}

// Base returns a payload of vendor base with message type typ.
func Base(typ uint32, data []byte) nmsg.Message {
	return nmsg.Message{Vendor: nmsg.VendorBase, Type: typ, Sec: 1790000000, Data: data}
}

// SIE returns a payload of vendor SIE with message type typ.
func SIE(typ uint32, data []byte) nmsg.Message {
	return nmsg.Message{Vendor: nmsg.VendorSIE, Type: typ, Sec: 1790000000, Data: data}
}

// DNSDedupe returns an expiration of SIE:dnsdedupe in class IN, seen three times in a minute.
func DNSDedupe(name []byte, typ uint16, rdata ...[]byte) nmsg.Message {
	f := Fields{}.Bytes(1, name).Varint(2, uint64(typ)).Varint(3, 1).Varint(4, 300)
	for _, r := range rdata {
		f = f.Bytes(5, r)
	}
	return SIE(nmsg.NumberDNSDedupe, f.Varint(10, 3).Varint(11, 1789999940).Varint(12, 1790000000).Varint(13, 1).Bytes(16, name))
}

// DNSObs returns a base:dnsobs payload. A nil response or zone is absent.
func DNSObs(qname, response, zone []byte) nmsg.Message {
	f := Fields{}.Varint(1, 1790000000).Bytes(2, []byte{192, 0, 2, 1}).Bytes(3, qname).Varint(4, 1).Varint(5, 1).Varint(6, 0)
	if response != nil {
		f = f.Bytes(7, response)
	}
	if zone != nil {
		f = f.Bytes(8, zone)
	}
	return Base(nmsg.NumberDNSObs, f)
}

// DNSQR returns the required fields of a base:dnsqr message.
func DNSQR() Fields {
	return Fields{}.Varint(1, 1).Bytes(2, []byte{0, 0, 0, 0}).Bytes(3, []byte{192, 0, 2, 1}).
		Varint(4, 17).Varint(5, 0).Varint(6, 53).Varint(7, 0)
}

// Record returns a resource record in wire form. Its owner is the root.
func Record(typ, class uint16, ttl uint32, data []byte) []byte {
	b := []byte{0}
	b = binary.BigEndian.AppendUint16(b, typ)
	b = binary.BigEndian.AppendUint16(b, class)
	b = binary.BigEndian.AppendUint32(b, ttl)
	b = binary.BigEndian.AppendUint16(b, uint16(len(data)))
	return append(b, data...)
}

// Response returns a response with these records as answers and without a question.
func Response(records ...[]byte) []byte {
	b := []byte{0, 0, 0x80, 0, 0, 0, 0, byte(len(records)), 0, 0, 0, 0}
	for _, r := range records {
		b = append(b, r...)
	}
	return b
}

// Pack returns a compressed response with these records, in zone file form, as answers.
func Pack(t testing.TB, rrs ...string) []byte {
	t.Helper()
	m := new(dns.Msg)
	m.SetQuestion("example.org.", dns.TypeA)
	m.Response = true
	m.Compress = true
	for _, s := range rrs {
		rr, err := dns.NewRR(s)
		if err != nil {
			t.Fatal(err)
		}
		m.Answer = append(m.Answer, rr)
	}
	wire, err := m.Pack()
	if err != nil {
		t.Fatal(err)
	}
	return wire
}
