package nmsgcheck

import (
	"fmt"
	"time"

	"google.golang.org/protobuf/encoding/protowire"
)

// Types of a dnstap Message.
const (
	resolverQuery    = 3
	resolverResponse = 4
)

// decodeDnstap decodes a Dnstap that contains only a Message: no identity, version, extra or
// policy, and not both a query and a response message.
func decodeDnstap(p Payload) (r Record, err error) {
	outer, err := parse(p.Message, message{14: {kind: bytesField}, 15: {kind: varintField}}, 14, 15)
	if err != nil {
		return r, fmt.Errorf("dnstap: %w", err)
	}
	if kind := outer.number(15); kind != 1 {
		return r, fmt.Errorf("dnstap: type %d", kind)
	}
	f, err := parse(outer.bytes(14), message{
		1: {kind: varintField}, 2: {kind: varintField}, 3: {kind: varintField},
		4: {kind: bytesField}, 5: {kind: bytesField}, 6: {kind: varintField}, 7: {kind: varintField},
		8: {kind: varintField}, 9: {kind: fixed32Field}, 10: {kind: bytesField}, 11: {kind: bytesField},
		12: {kind: varintField}, 13: {kind: fixed32Field}, 14: {kind: bytesField},
	}, 1, 2, 3, 4, 5, 6, 7)
	if err != nil {
		return r, fmt.Errorf("dnstap message: %w", err)
	}
	r = Record{
		TypeName: "dnstap", Payload: p,
		Exchange: &Exchange{Kind: f.number(1), ResolverPort: uint16(f.number(6)), ServerPort: uint16(f.number(7))},
		Tap:      &Tap{Family: f.number(2), Protocol: f.number(3)},
	}
	if r.Resolver, err = address(f.bytes(4)); err != nil {
		return r, err
	}
	if r.Server, err = address(f.bytes(5)); err != nil {
		return r, err
	}
	if f.has(11) {
		if r.Zone, err = name(f.bytes(11)); err != nil {
			return r, err
		}
	}
	if r.QueryTime, err = f.time(8); err != nil {
		return r, err
	}
	if r.ResponseTime, err = f.time(12); err != nil {
		return r, err
	}
	return r, r.decodeMessage(f)
}

// decodeMessage decodes the only DNS message of a dnstap, and copies from it what other types
// have in fields.
func (r *Record) decodeMessage(f values) (err error) {
	hasQuery, hasResponse := f.has(10), f.has(14)
	switch {
	case r.Kind == resolverResponse && hasResponse && !hasQuery && f.has(12):
		r.Wire = f.bytes(14)
		r.Response, err = unpack(r.Wire)
	case r.Kind == resolverQuery && hasQuery && !hasResponse && !f.has(12):
		r.QueryWire = f.bytes(10)
		r.Query, err = unpack(r.QueryWire)
	default:
		err = fmt.Errorf("dnstap of type %d with query %t, response %t, response time %t", r.Kind, hasQuery, hasResponse, f.has(12))
	}
	if err != nil {
		return err
	}
	m := r.Query
	if m == nil {
		m = r.Response
	}
	if len(m.Question) != 1 {
		return fmt.Errorf("dnstap: %d questions", len(m.Question))
	}
	q := m.Question[0]
	r.Name, r.Type, r.Class, r.Rcode = q.Name, q.Qtype, q.Qclass, m.Rcode
	return nil
}

// time returns the time in two fields, seconds and nanoseconds; zero if both are absent.
func (v values) time(sec protowire.Number) (at time.Time, err error) {
	switch {
	case v.has(sec) != v.has(sec+1):
		return at, fmt.Errorf("field %d without field %d, or vice versa", sec, sec+1)
	case !v.has(sec):
		return at, nil
	}
	return time.Unix(int64(v.number(sec)), int64(v.number(sec+1))).UTC(), nil
}
