package ring

import (
	"encoding/binary"
	"testing"

	"github.com/dnstap-pdns/dnstap-pdns/transform"
)

func TestReadingDoesNotAlloc(t *testing.T) {
	a, b := newLookahead(1), newLookahead(1)
	m := &merge{inputs: []*lookahead{a, b}}
	query := string(ipv4(res4, srv4, 17, 0, 0, ports(4000, 53)))
	var packets []testPacket
	for i := range transform.Time(20) {
		packets = append(packets, testPacket{i, IPv4, query})
	}
	n := 0
	if allocs := testing.AllocsPerRun(100, func() {
		fill(a.mem, packets...)
		fill(b.mem, packets...)
		m.advance(20+wait, forever)
		for t := m.first(forever); t != nil; t = m.first(forever) {
			t.hasHead = false
			n++
		}
	}); allocs != 0 {
		t.Errorf("%v allocations for 40 packets", allocs)
	}
	if n != 101*40 {
		t.Errorf("read %d packets, want %d", n, 101*40)
	}
}

func BenchmarkRead(b *testing.B) {
	a := newLookahead(1)
	m := &merge{inputs: []*lookahead{a}}
	query := string(ipv4(res4, srv4, 17, 0, 0, ports(4000, 53)))
	var packets []testPacket
	for i := range transform.Time(25) {
		packets = append(packets, testPacket{i, IPv4, query})
	}
	fill(a.mem, packets...)
	b.ReportAllocs()
	for b.Loop() {
		binary.NativeEndian.PutUint32(a.mem[offStatus:], statusUser)
		for t := m.first(forever); t != nil; t = m.first(forever) {
			t.hasHead = false
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/25, "ns/packet")
}
