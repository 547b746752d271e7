package stream

import (
	"encoding/binary"
	"testing"

	"github.com/dnstap-pdns/dnstap-pdns/transform"
	"github.com/dnstap-pdns/dnstap-pdns/transform/dnswire"
)

// A sizeChecker is a sink that checks the length of messages.
type sizeChecker struct{ t *testing.T }

func (c sizeChecker) Message(_ *Flow, _ bool, wire []byte, _ transform.Time) {
	if len(wire) < dnswire.HeaderLen || len(wire) > 65535 {
		c.t.Fatalf("a message of %d octets", len(wire))
	}
}

func (sizeChecker) Broken() {}

// segmentsFrom decodes segments: six octets of fields each, then the payload.
func segmentsFrom(b []byte) []Segment {
	var out []Segment
	now := transform.Time(0)
	for len(b) >= 6 {
		kind, seq := b[0], uint32(binary.BigEndian.Uint16(b[1:]))
		if kind&64 != 0 {
			seq = -seq
		}
		now += transform.Time(b[3]) * second / 16
		n := min(int(b[4]), len(b)-6)
		out = append(out, Segment{
			Flow: flow(int(kind >> 4 & 3)), Response: kind&1 != 0, Seq: seq,
			SYN: kind&2 != 0, FIN: kind&4 != 0, RST: kind&8 != 0,
			Payload: b[6 : 6+n], Missing: int(int8(b[5])), Time: now,
		})
		b = b[6+n:]
	}
	return out
}

// bytesOf encodes segments for segmentsFrom.
func bytesOf(segments ...Segment) []byte {
	var out []byte
	for _, s := range segments {
		kind := byte(0)
		for i, set := range []bool{s.Response, s.SYN, s.FIN, s.RST} {
			if set {
				kind |= 1 << i
			}
		}
		out = append(out, kind, byte(s.Seq>>8), byte(s.Seq), byte(s.Time*16/second), byte(len(s.Payload)), byte(s.Missing))
		out = append(out, s.Payload...)
	}
	return out
}

func FuzzTable(f *testing.F) {
	a := framed(answer(f, 1, 10, ""), answer(f, 2, 10, ""))
	a = a[:min(len(a), 600)]
	f.Add(bytesOf(syn(0), part(1, a[:200]), part(201, a[200:400]), part(401, a[400:])))
	f.Add(bytesOf(syn(0), part(201, a[200:400]), part(1, a[:200]), fin(part(401, a[400:]))))
	f.Add(bytesOf(part(1, a[:200]), after(part(301, a[300:400]), second), after(rst(part(401, nil)), 3*second)))
	f.Add(bytesOf(syn(0), cut(part(1, a[:150]), 60), part(251, a[250:400]), part(150, a[149:300])))
	f.Add(bytesOf(syn(0), part(1, []byte{0, 3, 1}), syn(9), syn(5000), part(5001, a[:99])))
	f.Fuzz(func(t *testing.T, b []byte) {
		for _, l := range []Limits{{}, {Streams: 2, Embryonic: 1, StreamBytes: 600, Bytes: 1024, Idle: 5 * second}} {
			table := New(l)
			for _, s := range segmentsFrom(b) {
				table.Take(&s, sizeChecker{t})
				check(t, table)
			}
			table.Finish(sizeChecker{t})
			check(t, table)
			if s := table.Stats(); s.Bytes != 0 || s.Streams+s.Embryonic != 0 {
				t.Fatalf("after the end: %+v", s)
			}
		}
	})
}
