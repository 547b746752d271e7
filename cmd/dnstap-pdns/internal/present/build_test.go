package present

import (
	"encoding/binary"
	"testing"

	"github.com/miekg/dns"
	"google.golang.org/protobuf/encoding/protowire"

	"github.com/dnstap-pdns/dnstap-pdns/forward/nmsg"
)

// fields builds a protobuf message: varints from uint64, bytes from []byte,
// doubles and fixed32 from ready bits.
type fields []byte

func (f fields) varint(num protowire.Number, v uint64) fields {
	return protowire.AppendVarint(protowire.AppendTag(f, num, protowire.VarintType), v)
}

func (f fields) bytes(num protowire.Number, v []byte) fields {
	return protowire.AppendBytes(protowire.AppendTag(f, num, protowire.BytesType), v)
}

func (f fields) fixed64(num protowire.Number, v uint64) fields {
	return protowire.AppendFixed64(protowire.AppendTag(f, num, protowire.Fixed64Type), v)
}

func (f fields) fixed32(num protowire.Number, v uint32) fields {
	return protowire.AppendFixed32(protowire.AppendTag(f, num, protowire.Fixed32Type), v)
}

func base(kind uint32, data []byte) nmsg.Message {
	return nmsg.Message{Vendor: nmsg.VendorBase, Type: kind, Sec: 1790000000, Data: data}
}

// observation is a base:dnsobs message. A nil response or zone is left out.
func observation(qname, response, zone []byte) nmsg.Message {
	f := fields{}.varint(1, 1790000000).bytes(2, []byte{192, 0, 2, 1}).bytes(3, qname).varint(4, 1).varint(5, 1).varint(6, 0)
	if response != nil {
		f = f.bytes(7, response)
	}
	if zone != nil {
		f = f.bytes(8, zone)
	}
	return base(typeDNSObs, f)
}

// queryResponse is the required part of a base:dnsqr message.
func queryResponse() fields {
	return fields{}.varint(1, 1).bytes(2, []byte{0, 0, 0, 0}).bytes(3, []byte{192, 0, 2, 1}).
		varint(4, 17).varint(5, 0).varint(6, 53).varint(7, 0)
}

// record is a resource record in wire form, its owner the root.
func record(typ, class uint16, ttl uint32, data []byte) []byte {
	b := []byte{0}
	b = binary.BigEndian.AppendUint16(b, typ)
	b = binary.BigEndian.AppendUint16(b, class)
	b = binary.BigEndian.AppendUint32(b, ttl)
	b = binary.BigEndian.AppendUint16(b, uint16(len(data)))
	return append(b, data...)
}

// answers is a response without a question that holds the records.
func answers(records ...[]byte) []byte {
	b := []byte{0, 0, 0x80, 0, 0, 0, 0, byte(len(records)), 0, 0, 0, 0}
	for _, r := range records {
		b = append(b, r...)
	}
	return b
}

func pack(t testing.TB, rrs ...string) []byte {
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
