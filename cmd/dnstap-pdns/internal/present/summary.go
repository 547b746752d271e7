package present

import (
	"net/netip"

	dnstap "github.com/dnstap/golang-dnstap"
	"github.com/miekg/dns"
	"google.golang.org/protobuf/proto"

	"github.com/dnstap-pdns/dnstap-pdns/forward/nmsg"
	"github.com/dnstap-pdns/dnstap-pdns/transform/dnstext"
)

// summary is the contents of the first line of a message's text. A zero, nil or invalid field is
// unknown.
type summary struct {
	event            string // type of the message; empty for a response with its query
	server, resolver netip.AddrPort
	transport        string
	qname            []byte // uncompressed wire form
	qtype, qclass    uint16
	rcode            *uint16
	zone             []byte   // uncompressed wire form
	delay            float64  // seconds from query to response; 0 also if the times are too coarse
	timeout          *float64 // seconds after which the sender gave up waiting for a response
	query, response  []byte   // DNS messages
}

// summarize summarizes a message of vendor base. kind must be a type that nmsg.Message.Name knows.
func summarize(kind uint32, data []byte) (summary, error) {
	switch kind {
	case nmsg.NumberDNSQR:
		return summarizeDNSQR(data)
	case nmsg.NumberDNSTap:
		return summarizeDNSTap(data)
	}
	return summarizeDNSObs(data)
}

func summarizeDNSQR(data []byte) (summary, error) {
	q, err := nmsg.DecodeDNSQR(data)
	if err != nil {
		return summary{}, err
	}
	s := summary{
		server:    netip.AddrPortFrom(q.ResponseIP, uint16(q.ResponsePort)),
		resolver:  netip.AddrPortFrom(q.QueryIP, uint16(q.QueryPort)),
		transport: q.Protocol(),
		qname:     q.QName,
		qclass:    dns.ClassINET,
		timeout:   q.Timeout,
	}
	if q.Type != nmsg.UDPQueryResponse {
		s.event = q.Type.String()
	}
	if q.QType != nil {
		s.qtype = uint16(*q.QType)
	}
	if q.QClass != nil {
		s.qclass = uint16(*q.QClass)
	}
	if q.RCode != nil {
		rcode := uint16(*q.RCode)
		s.rcode = &rcode
	}
	s.delay, _ = q.Delay()
	if len(q.QueryPacket) == 1 {
		s.query, _ = q.Query()
	}
	if len(q.ResponsePacket) == 1 {
		s.response, _ = q.Response()
	}
	return s, nil
}

func summarizeDNSObs(data []byte) (summary, error) {
	o, err := nmsg.DecodeDNSObs(data)
	if err != nil {
		return summary{}, err
	}
	rcode := uint16(o.RCode)
	return summary{
		server:   netip.AddrPortFrom(o.ResponseIP, 0),
		qname:    o.QName,
		qtype:    uint16(o.QType),
		qclass:   uint16(o.QClass),
		rcode:    &rcode,
		zone:     o.QueryZone,
		response: o.Response,
	}, nil
}

func summarizeDNSTap(data []byte) (summary, error) {
	var d dnstap.Dnstap
	if err := proto.Unmarshal(data, &d); err != nil {
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

// complete adds the fields that only the DNS message contains.
func (s *summary) complete(m *dnstext.Message) {
	if s.qname == nil && len(m.Questions) > 0 {
		q := &m.Questions[0]
		s.qname, s.qtype, s.qclass = q.Name, q.Type, q.Class
	}
	if s.response != nil {
		s.rcode = &m.Rcode
	}
}
