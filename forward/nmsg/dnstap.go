package nmsg

import (
	"errors"
	"fmt"
	"math"
	"net/netip"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/dnstap-pdns/dnstap-pdns/transform"
)

// Field numbers of base:dnstap, which is a Dnstap (dnstap.proto). The sensor never sends extra.
const (
	dnstapIdentity protowire.Number = 1
	dnstapVersion  protowire.Number = 2
	dnstapMessage  protowire.Number = 14
	dnstapType     protowire.Number = 15
)

// Field numbers of a Dnstap's Message.
const (
	tapType protowire.Number = iota + 1
	tapSocketFamily
	tapSocketProtocol
	tapQueryAddress
	tapResponseAddress
	tapQueryPort
	tapResponsePort
	tapQueryTimeSec
	tapQueryTimeNsec
	tapQueryMessage
	tapQueryZone
	tapResponseTimeSec
	tapResponseTimeNsec
	tapResponseMessage
)

// Values of dnstap.proto's enums.
const (
	dnstapIsMessage = 1 // Dnstap.Type

	tapResolverQuery    = 3 // Message.Type
	tapResolverResponse = 4

	tapINET  = 1 // SocketFamily
	tapINET6 = 2

	tapUDP = 1 // SocketProtocol
	tapTCP = 2
)

// AppendDNSTap appends the record, encoded as base:dnstap, to b, with an identity and a version
// unless they are empty. It returns ErrTooBig if the record is too long, and an error if the
// record has no message; then b is unchanged.
func AppendDNSTap(b []byte, identity, version string, r *transform.Record) ([]byte, error) {
	if err := DNSTap.check(r); err != nil {
		return b, err
	}
	b = appendString(b, dnstapIdentity, identity)
	b = appendString(b, dnstapVersion, version)
	return appendDNSTap(b, r), nil
}

// appendDNSTap appends the record as base:dnstap, like the dnstap of a resolver.
func appendDNSTap(b []byte, r *transform.Record) []byte {
	b, message := openMessage(b, dnstapMessage)
	b = appendTap(b, r)
	b = setLength(b, message)
	return appendNumber(b, dnstapType, dnstapIsMessage)
}

// appendTap appends a Dnstap's Message: the response, or the query if it was not answered.
// A response is written without its query, because nmsgtool would print the rcode of the
// query.
func appendTap(b []byte, r *transform.Record) []byte {
	e := endpointsOf(r)
	kind, family := uint64(tapResolverQuery), uint64(tapINET6)
	if r.HasResponse {
		kind = tapResolverResponse
	}
	if e.v4() {
		family = tapINET
	}
	b = appendNumber(b, tapType, kind)
	b = appendNumber(b, tapSocketFamily, family)
	b = appendNumber(b, tapSocketProtocol, socketProtocol(r.Transport))
	b = appendAddrField(b, tapQueryAddress, e.resolver.Addr())
	b = appendAddrField(b, tapResponseAddress, e.server.Addr())
	b = appendNumber(b, tapQueryPort, uint64(e.resolver.Port()))
	b = appendNumber(b, tapResponsePort, uint64(e.server.Port()))
	if r.QueryTime != transform.NoTime {
		b = appendTimes(b, tapQueryTimeSec, unsigned(r.QueryTime))
	}
	if !r.HasResponse {
		b = append(appendSize(b, tapQueryMessage, len(r.Query)), r.Query...)
	}
	b = appendBytes(b, tapQueryZone, r.Zone)
	if r.HasResponse {
		b = appendTimes(b, tapResponseTimeSec, unsigned(knownTime(r.ResponseTime, r)))
		b = append(appendSize(b, tapResponseMessage, len(r.Response)), r.Response...)
	}
	return b
}

// socketProtocol returns TCP for encrypted transports: nmsgtool fails on the protocols that
// were added to dnstap.proto later. DoT, DoH and this DNSCrypt use TCP. DoQ (RFC 9250) is
// similar: its messages are whole, and their source address is not forged.
func socketProtocol(t transform.Transport) uint64 {
	if t == transform.UDP {
		return tapUDP
	}
	return tapTCP
}

// unsigned returns the epoch for an unknown time or a time before 1970, because the fields
// of dnstap have no sign.
func unsigned(t transform.Time) transform.Time { return max(t, 0) }

// A tap is what a record needs of a Dnstap. Slices point into the decoded data, and are nil if the
// field is absent. Package collector reads the Dnstaps of resolvers, of which it needs more.
type tap struct {
	kind, message           uint64 // types of the Dnstap and of its Message
	protocol                uint64
	queryIP, responseIP     netip.Addr
	queryPort, responsePort uint32
	queryTime, responseTime tapTime
	query, response, zone   []byte
}

// A tapTime is a time, if known is true.
type tapTime struct {
	sec   uint64
	nsec  uint32
	known bool
}

// decode decodes a Dnstap. As in protobuf, several messages in it are merged.
func (t *tap) decode(data []byte) error {
	*t = tap{}
	for len(data) > 0 {
		f, rest, err := nextField(data)
		if err != nil {
			return fmt.Errorf("dnstap: %w", err)
		}
		data = rest
		switch {
		case f.is(dnstapType, protowire.VarintType):
			t.kind = f.value
		case f.is(dnstapMessage, protowire.BytesType):
			if err := t.decodeMessage(f.bytes); err != nil {
				return fmt.Errorf("dnstap: message: %w", err)
			}
		}
	}
	return nil
}

func (t *tap) decodeMessage(b []byte) error {
	for len(b) > 0 {
		f, rest, err := nextField(b)
		if err != nil {
			return err
		}
		b = rest
		switch f.typ {
		case protowire.VarintType:
			t.setVarint(&f)
		case protowire.BytesType:
			err = t.setBytes(&f)
		case protowire.Fixed32Type:
			t.setNsec(&f)
		}
		if err != nil {
			return fmt.Errorf("field %d: %w", f.num, err)
		}
	}
	return nil
}

func (t *tap) setVarint(f *field) {
	switch f.num {
	case tapType:
		t.message = f.value
	case tapSocketProtocol:
		t.protocol = f.value
	case tapQueryPort:
		t.queryPort = uint32(f.value)
	case tapResponsePort:
		t.responsePort = uint32(f.value)
	case tapQueryTimeSec:
		t.queryTime.sec, t.queryTime.known = f.value, true
	case tapResponseTimeSec:
		t.responseTime.sec, t.responseTime.known = f.value, true
	}
}

func (t *tap) setNsec(f *field) {
	switch f.num {
	case tapQueryTimeNsec:
		t.queryTime.nsec = uint32(f.value)
	case tapResponseTimeNsec:
		t.responseTime.nsec = uint32(f.value)
	}
}

func (t *tap) setBytes(f *field) (err error) {
	switch f.num {
	case tapQueryAddress:
		t.queryIP, err = address(f.bytes)
	case tapResponseAddress:
		t.responseIP, err = address(f.bytes)
	case tapQueryMessage:
		t.query = f.bytes
	case tapQueryZone:
		t.zone = f.bytes
	case tapResponseMessage:
		t.response = f.bytes
	}
	return err
}

var errTap = errors.New("dnstap: it is neither a response to a resolver nor an unanswered query of one, over UDP or TCP")

// fill sets the fields of a record, all but those that its DNS message states. A query that comes with
// its response is not read, because appendTap does not write it.
func (t *tap) fill(r *transform.Record) error {
	switch {
	case t.kind != dnstapIsMessage:
		return errTap
	case t.message == tapResolverResponse:
		r.HasResponse, r.Response = true, t.response
	case t.message == tapResolverQuery:
		r.HasQuery, r.Query = true, t.query
	default:
		return errTap
	}
	switch t.protocol {
	case tapUDP:
	case tapTCP:
		r.Transport = transform.TCP
	default:
		return errTap
	}
	if !setEndpoints(r, t.responseIP, t.responsePort, t.queryIP, t.queryPort) {
		return errPort
	}
	r.Zone = t.zone
	if !t.queryTime.set(&r.QueryTime) || r.HasResponse && !t.responseTime.set(&r.ResponseTime) {
		return errTime
	}
	return nil
}

// set sets a time, if it is known. It reports false if it is invalid.
func (t *tapTime) set(to *transform.Time) (ok bool) {
	if !t.known {
		return true
	}
	if t.sec > math.MaxInt64 {
		return false
	}
	*to, ok = transform.TimeOf(int64(t.sec), t.nsec)
	return ok
}
