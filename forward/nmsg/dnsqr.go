package nmsg

import (
	"fmt"
	"math"
	"net/netip"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/dnstap-pdns/dnstap-pdns/transform"
)

// Field numbers of base:dnsqr (dnsqr.proto). Those up to ID are required.
const (
	dnsqrType protowire.Number = iota + 1
	dnsqrQueryIP
	dnsqrResponseIP
	dnsqrProto
	dnsqrQueryPort
	dnsqrResponsePort
	dnsqrID
	dnsqrQName
	dnsqrQType
	dnsqrQClass
	dnsqrRCode
	dnsqrQueryPacket
	dnsqrQueryTimeSec
	dnsqrQueryTimeNsec
	dnsqrResponsePacket
	dnsqrResponseTimeSec
	dnsqrResponseTimeNsec
	dnsqrTCP
	dnsqrICMP
	dnsqrTimeout
	dnsqrUDPChecksum
	dnsqrResolverAddressZeroed
)

// appendDNSQR appends the record as base:dnsqr. Messages of all transports are written as
// UDP, because readers decode only UDP.
func appendDNSQR(b []byte, r *transform.Record) []byte {
	e := endpointsOf(r)
	b = appendNumber(b, dnsqrType, uint64(queryResponseType(r)))
	b = appendAddrField(b, dnsqrQueryIP, e.resolver.Addr())
	b = appendAddrField(b, dnsqrResponseIP, e.server.Addr())
	b = appendNumber(b, dnsqrProto, protoUDP)
	b = appendNumber(b, dnsqrQueryPort, uint64(e.resolver.Port()))
	b = appendNumber(b, dnsqrResponsePort, uint64(e.server.Port()))
	b = appendNumber(b, dnsqrID, uint64(r.ID))
	b = appendBytes(b, dnsqrQName, r.Name)
	b = appendNumber(b, dnsqrQType, uint64(r.Type))
	b = appendNumber(b, dnsqrQClass, uint64(r.Class))
	if r.HasResponse {
		b = appendNumber(b, dnsqrRCode, uint64(r.Rcode))
	}
	if r.HasQuery {
		b = appendSize(b, dnsqrQueryPacket, e.packetLen(r.Query))
		b = appendPacket(b, e.resolver, e.server, r.Query)
		b = appendTimes(b, dnsqrQueryTimeSec, knownTime(r.QueryTime, r))
	}
	if r.HasResponse {
		b = appendSize(b, dnsqrResponsePacket, e.packetLen(r.Response))
		b = appendPacket(b, e.server, e.resolver, r.Response)
		b = appendTimes(b, dnsqrResponseTimeSec, knownTime(r.ResponseTime, r))
		b = appendNumber(b, dnsqrUDPChecksum, uint64(ChecksumAbsent))
	}
	if r.Zeroed {
		b = appendNumber(b, dnsqrResolverAddressZeroed, 1)
	}
	return b
}

func queryResponseType(r *transform.Record) QueryResponseType {
	switch {
	case !r.HasResponse:
		return UDPUnansweredQuery
	case !r.HasQuery:
		return UDPResponseOnly
	default:
		return UDPQueryResponse
	}
}

// QueryResponseType states which packets a [QueryResponse] contains (dnsqr.proto,
// DnsQRType).
type QueryResponseType uint32

const (
	UDPQueryResponse   QueryResponseType = 1
	UDPUnansweredQuery QueryResponseType = 2
	UDPResponseOnly    QueryResponseType = 7
)

// String returns the name that nmsgtool prints, or the number of an unknown type.
func (t QueryResponseType) String() string {
	return enumName(uint32(t), "UDP_INVALID", "UDP_QUERY_RESPONSE", "UDP_UNANSWERED_QUERY",
		"UDP_UNSOLICITED_RESPONSE", "TCP", "ICMP", "UDP_QUERY_ONLY", "UDP_RESPONSE_ONLY")
}

// UDPChecksum is the result of checking a response's UDP checksum (dnsqr.proto,
// UdpChecksum).
type UDPChecksum uint32

// ChecksumAbsent means that the checksum field is zero: the sender computed no checksum.
const ChecksumAbsent UDPChecksum = 1

// String returns the name that nmsgtool prints, or the number of an unknown value.
func (c UDPChecksum) String() string {
	return enumName(uint32(c), "ERROR", "ABSENT", "INCORRECT", "CORRECT")
}

func enumName(v uint32, names ...string) string {
	if int64(v) < int64(len(names)) {
		return names[v]
	}
	return fmt.Sprint(v)
}

// QueryResponse is a base:dnsqr message (dnsqr.proto). Byte slices point into the decoded
// data. An optional field is nil if it is absent, and not nil if it is empty.
type QueryResponse struct {
	Type         QueryResponseType
	QueryIP      netip.Addr // the resolver
	ResponseIP   netip.Addr // the server
	Proto        uint32     // IP protocol number
	QueryPort    uint32
	ResponsePort uint32
	ID           uint32 // DNS ID

	QName  []byte // wire form, uncompressed
	QType  *uint32
	QClass *uint32
	RCode  *uint32

	// Whole IP packets, and the time of each. The lengths differ only in invalid
	// messages.
	QueryPacket      [][]byte
	QueryTimeSec     []int64
	QueryTimeNsec    []int32
	ResponsePacket   [][]byte
	ResponseTimeSec  []int64
	ResponseTimeNsec []int32

	TCP                   []byte
	ICMP                  []byte
	Timeout               *float64 // seconds after which the query counted as unanswered
	UDPChecksum           *UDPChecksum
	ResolverAddressZeroed *bool
}

// DecodeDNSQR decodes the data of a base:dnsqr message. It returns an error if a required
// field is missing or an address does not have 4 or 16 bytes.
func DecodeDNSQR(data []byte) (QueryResponse, error) {
	var d qrDecoder
	if err := d.decode(data); err != nil {
		return QueryResponse{}, err
	}
	return d.QueryResponse, nil
}

// A qrDecoder decodes base:dnsqr messages one after another and reuses its memory: the optional
// numbers of the QueryResponse point into it.
type qrDecoder struct {
	QueryResponse
	seen required

	qtype, qclass, rcode uint32
	timeout              float64
	checksum             UDPChecksum
	zeroed               bool
}

func (d *qrDecoder) reset() {
	q := &d.QueryResponse
	*q = QueryResponse{
		QueryPacket: q.QueryPacket[:0], QueryTimeSec: q.QueryTimeSec[:0], QueryTimeNsec: q.QueryTimeNsec[:0],
		ResponsePacket: q.ResponsePacket[:0], ResponseTimeSec: q.ResponseTimeSec[:0], ResponseTimeNsec: q.ResponseTimeNsec[:0],
	}
	d.seen = 0
}

func (d *qrDecoder) decode(data []byte) error {
	d.reset()
	for len(data) > 0 {
		f, rest, err := nextField(data)
		if err != nil {
			return fmt.Errorf("dnsqr: %w", err)
		}
		data = rest
		if err := d.set(&f); err != nil {
			return fmt.Errorf("dnsqr: field %d: %w", f.num, err)
		}
	}
	if err := d.seen.missing(dnsqrID); err != nil {
		return fmt.Errorf("dnsqr: %w", err)
	}
	return nil
}

func (d *qrDecoder) set(f *field) error {
	switch f.typ {
	case protowire.VarintType:
		d.setVarint(f)
	case protowire.BytesType:
		return d.setBytes(f)
	case protowire.Fixed32Type:
		switch f.num {
		case dnsqrQueryTimeNsec:
			d.QueryTimeNsec = append(d.QueryTimeNsec, int32(f.value))
		case dnsqrResponseTimeNsec:
			d.ResponseTimeNsec = append(d.ResponseTimeNsec, int32(f.value))
		}
	case protowire.Fixed64Type:
		if f.num == dnsqrTimeout {
			d.timeout = math.Float64frombits(f.value)
			d.Timeout = &d.timeout
		}
	}
	return nil
}

func (d *qrDecoder) setVarint(f *field) {
	v := uint32(f.value)
	switch f.num {
	case dnsqrType:
		d.Type = QueryResponseType(v)
	case dnsqrProto:
		d.Proto = v
	case dnsqrQueryPort:
		d.QueryPort = v
	case dnsqrResponsePort:
		d.ResponsePort = v
	case dnsqrID:
		d.ID = v
	case dnsqrQType:
		d.qtype, d.QType = v, &d.qtype
	case dnsqrQClass:
		d.qclass, d.QClass = v, &d.qclass
	case dnsqrRCode:
		d.rcode, d.RCode = v, &d.rcode
	case dnsqrQueryTimeSec:
		d.QueryTimeSec = append(d.QueryTimeSec, int64(f.value))
	case dnsqrResponseTimeSec:
		d.ResponseTimeSec = append(d.ResponseTimeSec, int64(f.value))
	case dnsqrUDPChecksum:
		d.checksum, d.UDPChecksum = UDPChecksum(v), &d.checksum
	case dnsqrResolverAddressZeroed:
		d.zeroed, d.ResolverAddressZeroed = f.value != 0, &d.zeroed
	default:
		return
	}
	d.seen.saw(f.num)
}

func (d *qrDecoder) setBytes(f *field) (err error) {
	switch f.num {
	case dnsqrQueryIP:
		d.QueryIP, err = address(f.bytes)
	case dnsqrResponseIP:
		d.ResponseIP, err = address(f.bytes)
	case dnsqrQName:
		d.QName = f.bytes
	case dnsqrQueryPacket:
		d.QueryPacket = append(d.QueryPacket, f.bytes)
	case dnsqrResponsePacket:
		d.ResponsePacket = append(d.ResponsePacket, f.bytes)
	case dnsqrTCP:
		d.TCP = f.bytes
	case dnsqrICMP:
		d.ICMP = f.bytes
	// A protobuf writer may pack a repeated number, and every parser must accept it.
	case dnsqrQueryTimeSec:
		d.QueryTimeSec, err = unpackInt64(d.QueryTimeSec, f.bytes)
	case dnsqrResponseTimeSec:
		d.ResponseTimeSec, err = unpackInt64(d.ResponseTimeSec, f.bytes)
	case dnsqrQueryTimeNsec:
		d.QueryTimeNsec, err = unpackFixed32(d.QueryTimeNsec, f.bytes)
	case dnsqrResponseTimeNsec:
		d.ResponseTimeNsec, err = unpackFixed32(d.ResponseTimeNsec, f.bytes)
	default:
		return nil
	}
	d.seen.saw(f.num)
	return err
}

func unpackInt64(to []int64, b []byte) ([]int64, error) {
	for len(b) > 0 {
		v, n := protowire.ConsumeVarint(b)
		if n < 0 {
			return nil, wireError(n)
		}
		to, b = append(to, int64(v)), b[n:]
	}
	return to, nil
}

func unpackFixed32(to []int32, b []byte) ([]int32, error) {
	for len(b) > 0 {
		v, n := protowire.ConsumeFixed32(b)
		if n < 0 {
			return nil, wireError(n)
		}
		to, b = append(to, int32(v)), b[n:]
	}
	return to, nil
}

func address(b []byte) (netip.Addr, error) {
	addr, ok := netip.AddrFromSlice(b)
	if !ok {
		return netip.Addr{}, fmt.Errorf("an address of %d bytes: want 4 or 16", len(b))
	}
	return addr, nil
}

// Query returns the DNS message of the query; false if [PacketDNS] can read none.
func (q *QueryResponse) Query() ([]byte, bool) { return firstDNS(q.QueryPacket) }

// Response returns the DNS message of the response; false if [PacketDNS] can read none.
func (q *QueryResponse) Response() ([]byte, bool) { return firstDNS(q.ResponsePacket) }

func firstDNS(packets [][]byte) ([]byte, bool) {
	for _, packet := range packets {
		if msg, ok := PacketDNS(packet); ok {
			return msg, true
		}
	}
	return nil, false
}

// Protocol returns the name that nmsgtool prints for the IP protocol, or its number.
func (q *QueryResponse) Protocol() string {
	const protoICMP, protoTCP = 1, 6
	switch proto := uint16(q.Proto); proto {
	case protoICMP:
		return "ICMP"
	case protoTCP:
		return "TCP"
	case protoUDP:
		return "UDP"
	default:
		return fmt.Sprint(proto)
	}
}

// Delay returns the seconds from the query to the last response packet; ok is false if one of
// their times is absent.
func (q *QueryResponse) Delay() (seconds float64, ok bool) {
	n := len(q.ResponseTimeSec)
	if q.Type != UDPQueryResponse || len(q.QueryTimeSec) != 1 || len(q.QueryTimeNsec) != 1 ||
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

// fill sets the fields of a record, all but those that its DNS messages state. Of a response whose
// query was not seen, the time of the payload is that of the query, unless it is that of the
// response.
func (q *QueryResponse) fill(r *transform.Record, m *Message) error {
	if !setEndpoints(r, q.ResponseIP, q.ResponsePort, q.QueryIP, q.QueryPort) {
		return errPort
	}
	r.Zeroed = q.ResolverAddressZeroed != nil && *q.ResolverAddressZeroed
	r.HasQuery, r.HasResponse = len(q.QueryPacket) > 0, len(q.ResponsePacket) > 0
	if q.Type != queryResponseType(r) || q.Proto != protoUDP || q.TCP != nil || q.ICMP != nil {
		return errPackets
	}
	var ok bool
	if r.HasQuery {
		if r.Query, r.QueryTime, ok = only(q.QueryPacket, q.QueryTimeSec, q.QueryTimeNsec); !ok {
			return errPackets
		}
	}
	if r.HasResponse {
		if r.Response, r.ResponseTime, ok = only(q.ResponsePacket, q.ResponseTimeSec, q.ResponseTimeNsec); !ok {
			return errPackets
		}
	}
	if !r.HasQuery {
		if r.QueryTime, ok = transform.TimeOf(m.Sec, m.Nsec); !ok {
			return errTime
		}
		if r.QueryTime == r.ResponseTime {
			r.QueryTime = transform.NoTime
		}
	}
	return nil
}

// only returns the DNS message and the time of the only packet; false if there is not exactly one.
func only(packets [][]byte, sec []int64, nsec []int32) (msg []byte, t transform.Time, ok bool) {
	if len(packets) != 1 || len(sec) != 1 || len(nsec) != 1 {
		return nil, 0, false
	}
	if msg, ok = PacketDNS(packets[0]); !ok {
		return nil, 0, false
	}
	t, ok = transform.TimeOf(sec[0], uint32(nsec[0]))
	return msg, t, ok
}
