package nmsg

import (
	"errors"
	"fmt"
	"net/netip"

	"github.com/dnstap-pdns/dnstap-pdns/transform"
	"github.com/dnstap-pdns/dnstap-pdns/transform/rrset"
)

// A Decoder reads payloads that other processes wrote back into records and RRsets. They may be
// hostile. What it returns has the form of what [transform.Pairer] and [rrset.Table] make, and
// every other payload is an error: a payload that this package wrote is read as a record or RRset
// of which it writes the same payload again. No policy is applied to it.
//
// A message type carries only a part of a record. No type states whether the query was forwarded.
// dnsqr has no zone and no transport, and no query time if the query was not seen and its time was that of
// the response. dnstap has no query of a response, and encrypted transports are TCP. dnsobs has one time, in
// seconds, and neither a query, a transport, a port nor a resolver. dnsdedupe has no count of an insertion, because
// the expiration counts its sightings again.
//
// The zero value is ready. It is used by one goroutine at a time, and it allocates memory only for
// errors and for larger messages than before.
type Decoder struct {
	qr     qrDecoder
	tap    tap
	dedupe dedupeDecoder

	checker   transform.Checker
	record    transform.Record
	aggregate rrset.Aggregate
}

// ErrUnknownType states that a payload has a message type that a Decoder does not read.
var ErrUnknownType = errors.New("unknown message type")

var (
	errSize     = errors.New("longer than any message of its type")
	errDisagree = errors.New("its fields and its DNS messages disagree")
	errPackets  = errors.New("it does not have one UDP packet and one time for each DNS message that its type states")
	errPort     = errors.New("a port above 65535")
	errTime     = errors.New("a time before 1970 or after 2262")
	errRRset    = errors.New("it is not an RRset with sightings in responses, with valid names in lower case")
)

// maxRecord is more than the length in bytes of any record: two packets, and the other fields.
const maxRecord = 3 << 16

// IsRRset reports whether the message is for [Decoder.RRset]; all others are for
// [Decoder.Record].
func (m *Message) IsRRset() bool { return m.Vendor == VendorSIE && m.Type == NumberDNSDedupe }

// Record returns the record of a message of type dnsqr, dnsobs or dnstap. It is valid until the next
// call, and points into m.Data. The error is ErrUnknownType if the message has another type;
// otherwise it states what is not as in a record.
func (d *Decoder) Record(m *Message) (*transform.Record, error) {
	if m.Vendor != VendorBase {
		return nil, ErrUnknownType
	}
	r := &d.record
	*r = transform.Record{QueryTime: transform.NoTime, ResponseTime: transform.NoTime}
	var err error
	switch {
	case m.Type != NumberDNSQR && m.Type != NumberDNSObs && m.Type != NumberDNSTap:
		return nil, ErrUnknownType
	case len(m.Data) > maxRecord:
		err = errSize
	case m.Type == NumberDNSQR:
		err = d.readDNSQR(r, m)
	case m.Type == NumberDNSObs:
		err = d.readDNSObs(r, m)
	default:
		err = d.readDNSTap(r, m.Data)
	}
	if err != nil {
		return nil, fmt.Errorf("reading a record: %w", err)
	}
	return r, nil
}

func (d *Decoder) readDNSQR(r *transform.Record, m *Message) error {
	q := &d.qr
	if err := q.decode(m.Data); err != nil {
		return err
	}
	if err := q.fill(r, m); err != nil {
		return err
	}
	if err := d.checker.Check(r); err != nil {
		return err
	}
	if q.ID != uint32(r.ID) || q.QName != nil && string(q.QName) != string(r.Name) || !agrees(q.QType, r.Type) ||
		!agrees(q.QClass, r.Class) || r.HasResponse && !agrees(q.RCode, r.Rcode) {
		return errDisagree
	}
	return nil
}

func (d *Decoder) readDNSObs(r *transform.Record, m *Message) error {
	o, err := DecodeDNSObs(m.Data)
	if err != nil {
		return err
	}
	if err := o.fill(r, m); err != nil {
		return err
	}
	if err := d.checker.Check(r); err != nil {
		return err
	}
	r.Zeroed = r.ID == 0
	if string(o.QName) != string(r.Name) || o.QType != uint32(r.Type) || o.QClass != uint32(r.Class) || o.RCode != uint32(r.Rcode) {
		return errDisagree
	}
	return nil
}

func (d *Decoder) readDNSTap(r *transform.Record, data []byte) error {
	if err := d.tap.decode(data); err != nil {
		return err
	}
	if err := d.tap.fill(r); err != nil {
		return err
	}
	if err := d.checker.Check(r); err != nil {
		return err
	}
	r.Zeroed = r.ID == 0 && r.Resolver == netip.AddrPortFrom(transform.ZeroAddr(r.Server.Addr()), 0)
	return nil
}

// agrees reports whether an optional number is absent, or that of the record.
func agrees[T uint8 | uint16](stated *uint32, of T) bool {
	return stated == nil || *stated == uint32(of)
}

// setEndpoints sets the server of a record, and its resolver: the zero address if it is not stated.
// It reports false if a port is invalid. [transform.Checker] checks the addresses.
func setEndpoints(r *transform.Record, server netip.Addr, serverPort uint32, resolver netip.Addr, resolverPort uint32) bool {
	server, resolver = server.Unmap(), resolver.Unmap()
	if !resolver.IsValid() {
		resolver = transform.ZeroAddr(server)
	}
	r.Server = netip.AddrPortFrom(server, uint16(serverPort))
	r.Resolver = netip.AddrPortFrom(resolver, uint16(resolverPort))
	return serverPort <= maxPort && resolverPort <= maxPort
}

const maxPort = 1<<16 - 1

// RRset returns the RRset of a message for which [Message.IsRRset] is true. It is valid until the next
// call, and points into m.Data.
func (d *Decoder) RRset(m *Message) (*rrset.Aggregate, error) {
	if len(m.Data) > MaxSize {
		return nil, fmt.Errorf("reading an RRset: %w", errSize)
	}
	if err := d.dedupe.decode(m.Data); err != nil {
		return nil, fmt.Errorf("reading an RRset: %w", err)
	}
	var ok bool
	if d.aggregate, ok = d.dedupe.Aggregate(); !ok || !d.aggregate.IsWellFormed() {
		return nil, fmt.Errorf("reading an RRset: %w", errRRset)
	}
	return &d.aggregate, nil
}
