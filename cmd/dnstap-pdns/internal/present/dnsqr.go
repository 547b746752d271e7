package present

import (
	"net/netip"
	"strconv"

	"github.com/miekg/dns"

	"github.com/dnstap-pdns/dnstap-pdns/forward/nmsg"
)

const (
	protoICMP = 1
	protoTCP  = 6
	protoUDP  = 17
)

// dnsqr writes the members of a base:dnsqr message.
func (w *writer) dnsqr(data []byte) error {
	q, err := nmsg.DecodeDNSQR(data)
	if err != nil {
		return err
	}
	w.key("type")
	w.enum(q.Type.String())
	w.key("query_ip")
	w.addr(q.QueryIP)
	w.key("response_ip")
	w.addr(q.ResponseIP)
	w.key("proto")
	w.string(protoName(q.Proto))
	w.key("query_port")
	w.uint(uint64(uint16(q.QueryPort)))
	w.key("response_port")
	w.uint(uint64(uint16(q.ResponsePort)))
	w.key("id")
	w.uint(uint64(uint16(q.ID)))
	w.dnsqrQuestion(&q)
	w.packets("query", q.QueryPacket, q.QueryTimeSec, q.QueryTimeNsec)
	w.packets("response", q.ResponsePacket, q.ResponseTimeSec, q.ResponseTimeNsec)
	w.dnsqrVerdicts(&q)
	w.dnsqrMessages(&q)
	return nil
}

func (w *writer) dnsqrQuestion(q *nmsg.QueryResponse) {
	if q.QName != nil {
		w.key("qname")
		w.name(q.QName)
	}
	if q.QClass != nil {
		w.key("qclass")
		w.payloadClass(uint16(*q.QClass))
	}
	if q.QType != nil {
		w.key("qtype")
		w.typ(uint16(*q.QType))
	}
	if q.RCode != nil {
		w.key("rcode")
		w.rcode(uint16(*q.RCode))
	}
}

// packets writes the packets of one direction and their times: arrays, empty
// ones too.
func (w *writer) packets(direction string, packets [][]byte, secs []int64, nsecs []int32) {
	w.key(direction + "_packet")
	w.open('[')
	for _, p := range packets {
		w.next()
		w.base64(p)
	}
	w.close(']')
	w.key(direction + "_time_sec")
	w.open('[')
	for _, v := range secs {
		w.next()
		w.int(v)
	}
	w.close(']')
	w.key(direction + "_time_nsec")
	w.open('[')
	for _, v := range nsecs {
		w.next()
		w.int(int64(v))
	}
	w.close(']')
}

func (w *writer) dnsqrVerdicts(q *nmsg.QueryResponse) {
	if q.Timeout != nil {
		w.key("timeout")
		w.float(*q.Timeout)
	}
	if delay, ok := responseDelay(q); ok {
		w.key("delay")
		w.float(delay)
	}
	if q.UDPChecksum != nil {
		w.key("udp_checksum")
		w.enum(q.UDPChecksum.String())
	}
	if q.ResolverAddressZeroed != nil {
		w.key("resolver_address_zeroed")
		w.bool(*q.ResolverAddressZeroed)
	}
}

func (w *writer) dnsqrMessages(q *nmsg.QueryResponse) {
	if msg, ok := onlyDNS(q.QueryPacket); ok {
		w.key("query")
		w.base64(msg)
		w.key("query_json")
		w.dns(msg)
	}
	if msg, ok := onlyDNS(q.ResponsePacket); ok {
		w.key("response")
		w.base64(msg)
		w.key("response_json")
		w.dns(msg)
		w.key("dns")
		w.base64(msg)
	}
	if q.TCP != nil {
		w.key("tcp")
		w.base64(q.TCP)
	}
	if q.ICMP != nil {
		w.key("icmp")
		w.base64(q.ICMP)
	}
}

// onlyDNS returns the DNS message of the only packet. Where there are several,
// they are IP fragments, which are not put together here.
func onlyDNS(packets [][]byte) ([]byte, bool) {
	if len(packets) != 1 {
		return nil, false
	}
	return nmsg.PacketDNS(packets[0])
}

// responseDelay returns the seconds from the query to the last response packet,
// where both have their times.
func responseDelay(q *nmsg.QueryResponse) (seconds float64, ok bool) {
	n := len(q.ResponseTimeSec)
	if q.Type != nmsg.UDPQueryResponse || len(q.QueryTimeSec) != 1 || len(q.QueryTimeNsec) != 1 ||
		n == 0 || n != len(q.ResponseTimeNsec) {
		return 0, false
	}
	for i := range n {
		sec := q.ResponseTimeSec[i] - q.QueryTimeSec[0]
		nsec := int64(q.ResponseTimeNsec[i]) - int64(q.QueryTimeNsec[0])
		if nsec < 0 {
			sec, nsec = sec-1, nsec+1e9
		}
		delay := float64(sec) + float64(nsec)/1e9
		if n == 1 {
			return delay, true
		}
		seconds = max(seconds, delay)
	}
	return seconds, true
}

func protoName(proto uint32) string {
	switch uint16(proto) {
	case protoUDP:
		return "UDP"
	case protoTCP:
		return "TCP"
	case protoICMP:
		return "ICMP"
	}
	return strconv.FormatUint(uint64(uint16(proto)), 10)
}

func summarizeDNSQR(data []byte) (summary, error) {
	q, err := nmsg.DecodeDNSQR(data)
	if err != nil {
		return summary{}, err
	}
	s := summary{
		server:    netip.AddrPortFrom(q.ResponseIP, uint16(q.ResponsePort)),
		resolver:  netip.AddrPortFrom(q.QueryIP, uint16(q.QueryPort)),
		transport: protoName(q.Proto),
		qname:     q.QName,
		qclass:    dns.ClassINET,
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
	s.delay, _ = responseDelay(&q)
	s.timeout = q.Timeout
	s.query, _ = onlyDNS(q.QueryPacket)
	s.response, _ = onlyDNS(q.ResponsePacket)
	return s, nil
}
