package nmsgcheck

import (
	"fmt"
	"time"
)

func decodeDNSObs(p Payload) (r Record, err error) {
	f, err := parse(p.Message, message{
		1: {kind: varintField}, 2: {kind: bytesField}, 3: {kind: bytesField}, 4: {kind: varintField},
		5: {kind: varintField}, 6: {kind: varintField}, 7: {kind: bytesField}, 8: {kind: bytesField},
	}, 1, 2, 3, 4, 5, 6)
	if err != nil {
		return r, fmt.Errorf("dnsobs: %w", err)
	}
	r = Record{
		TypeName: "dnsobs", Payload: p,
		Type: uint16(f.number(4)), Class: uint16(f.number(5)), Rcode: int(f.number(6)),
	}
	if r.Server, err = address(f.bytes(2)); err != nil {
		return r, err
	}
	if r.Name, err = name(f.bytes(3)); err != nil {
		return r, err
	}
	if f.has(8) {
		if r.Zone, err = name(f.bytes(8)); err != nil {
			return r, err
		}
	}
	if f.has(7) {
		r.Wire = f.bytes(7)
		r.Response, err = unpack(r.Wire)
	}
	if seconds := time.Unix(int64(f.number(1)), 0).UTC(); err == nil && !seconds.Equal(p.Time.Truncate(time.Second)) {
		err = fmt.Errorf("dnsobs has time %s, its payload %s", seconds, p.Time)
	}
	return r, err
}
