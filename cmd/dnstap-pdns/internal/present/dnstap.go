package present

import (
	"encoding/binary"
	"fmt"
	"net/netip"

	dnstap "github.com/dnstap/golang-dnstap"
	"google.golang.org/protobuf/proto"
)

// dnstap writes the members of a base:dnstap message.
func (w *writer) dnstap(data []byte) error {
	d, err := decodeDNSTap(data)
	if err != nil {
		return err
	}
	w.optionalBytes("identity", d.Identity)
	w.optionalBytes("version", d.Version)
	w.optionalBytes("extra", d.Extra)
	w.key("type")
	w.enum(d.GetType().String())
	if m := d.Message; m != nil {
		w.dnstapEnds(m)
		w.dnstapQuery(m)
		w.dnstapResponse(m)
		w.dnstapQuestion(m)
	}
	return nil
}

func decodeDNSTap(data []byte) (*dnstap.Dnstap, error) {
	d := new(dnstap.Dnstap)
	if err := proto.Unmarshal(data, d); err != nil {
		return nil, fmt.Errorf("dnstap: %w", err)
	}
	return d, nil
}

func (w *writer) dnstapEnds(m *dnstap.Message) {
	w.key("message_type")
	w.enum(m.GetType().String())
	if m.SocketFamily != nil {
		w.key("socket_family")
		w.enum(m.GetSocketFamily().String())
	}
	if m.SocketProtocol != nil {
		w.key("socket_protocol")
		w.enum(m.GetSocketProtocol().String())
	}
}

func (w *writer) dnstapQuery(m *dnstap.Message) {
	if m.QueryAddress != nil {
		w.key("query_address")
		w.addrBytes(m.QueryAddress)
	}
	w.optionalUint32("query_port", m.QueryPort)
	w.optionalUint64("query_time_sec", m.QueryTimeSec)
	w.optionalUint32("query_time_nsec", m.QueryTimeNsec)
	if m.QueryMessage != nil {
		w.key("query_message")
		w.base64(m.QueryMessage)
		w.key("query_json")
		w.dns(m.QueryMessage)
	}
}

func (w *writer) dnstapResponse(m *dnstap.Message) {
	if m.ResponseAddress != nil {
		w.key("response_address")
		w.addrBytes(m.ResponseAddress)
	}
	w.optionalUint32("response_port", m.ResponsePort)
	w.optionalUint64("response_time_sec", m.ResponseTimeSec)
	w.optionalUint32("response_time_nsec", m.ResponseTimeNsec)
	if m.QueryZone != nil {
		w.key("query_zone")
		w.name(m.QueryZone)
	}
	if m.ResponseMessage != nil {
		w.key("response_message")
		w.base64(m.ResponseMessage)
		w.key("response_json")
		w.dns(m.ResponseMessage)
	}
}

// dnstapQuestion writes what nmsgtool reads off the DNS message, the query
// where there is one, without reading it whole.
func (w *writer) dnstapQuestion(m *dnstap.Message) {
	msg := m.QueryMessage
	if msg == nil {
		msg = m.ResponseMessage
	}
	if len(msg) < headerLen {
		return
	}
	w.key("id")
	w.uint(uint64(binary.BigEndian.Uint16(msg)))
	if body := msg[headerLen:]; binary.BigEndian.Uint16(msg[4:]) == 1 && len(body) > 0 {
		n := skipName(body)
		w.key("qname")
		w.name(body[:n])
		if rest := body[n:]; len(rest) >= 4 {
			w.key("qclass")
			w.payloadClass(binary.BigEndian.Uint16(rest[2:]))
		}
		if rest := body[n:]; len(rest) >= 2 {
			w.key("qtype")
			w.typ(binary.BigEndian.Uint16(rest))
		}
	}
	w.key("rcode")
	w.rcode(binary.BigEndian.Uint16(msg[2:]) & 0xf)
}

// skipName returns the length of the name at the start of b, up to a pointer or
// b's end where it does not end before.
func skipName(b []byte) int {
	off := 0
	for off < len(b) && b[off] != 0 {
		if b[off] >= 0xc0 {
			off++
			break
		}
		off += 1 + int(b[off])
	}
	return min(off+1, len(b))
}

func (w *writer) optionalBytes(key string, v []byte) {
	if v != nil {
		w.key(key)
		w.base64(v)
	}
}

func (w *writer) optionalUint32(key string, v *uint32) {
	if v != nil {
		w.key(key)
		w.uint(uint64(*v))
	}
}

func (w *writer) optionalUint64(key string, v *uint64) {
	if v != nil {
		w.key(key)
		w.uint(*v)
	}
}

func summarizeDNSTap(data []byte) (summary, error) {
	d, err := decodeDNSTap(data)
	if err != nil {
		return summary{}, err
	}
	m := d.Message
	if m == nil {
		return summary{event: d.GetType().String()}, nil
	}
	s := summary{
		event:    m.GetType().String(),
		server:   addrPort(m.ResponseAddress, m.GetResponsePort()),
		resolver: addrPort(m.QueryAddress, m.GetQueryPort()),
		zone:     m.QueryZone,
		query:    m.QueryMessage,
		response: m.ResponseMessage,
	}
	if m.SocketProtocol != nil {
		s.transport = m.GetSocketProtocol().String()
	}
	if m.QueryTimeSec != nil && m.ResponseTimeSec != nil {
		s.delay = float64(int64(*m.ResponseTimeSec-*m.QueryTimeSec)) +
			(float64(m.GetResponseTimeNsec())-float64(m.GetQueryTimeNsec()))/1e9
	}
	return s, nil
}

func addrPort(addr []byte, port uint32) netip.AddrPort {
	a, _ := netip.AddrFromSlice(addr)
	return netip.AddrPortFrom(a, uint16(port))
}
