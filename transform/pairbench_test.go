package transform

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"testing"

	"github.com/dnstap-pdns/dnstap-pdns/transform/dnswire"
)

// BenchmarkPairBusy measures the table of a busy lane: each iteration closes one of many queries
// to 2,000 servers and holds another. One query in a hundred gets no response, and is removed as
// the oldest.
func BenchmarkPairBusy(b *testing.B) {
	const unanswered = 6000
	for _, open := range []int{2000, 50_000} {
		b.Run(fmt.Sprint(open), func(b *testing.B) {
			t := newTable(&share{budget: NewBudget(131072)})
			r := rand.New(rand.NewPCG(1, 2))
			m := aQuery().message()
			var w dnswire.Walker
			w.Walk(m.Wire)
			asked := make([]uint32, open)
			servers := make([]netip.AddrPort, 2000)
			for i := range servers {
				servers[i] = netip.AddrPortFrom(netip.AddrFrom4([4]byte{198, 18, byte(i >> 8), byte(i)}), 53)
			}
			ask := func(n uint32) {
				m.Server, w.ID = servers[n%2000], uint16(n>>16)
				k := keyOf(m, w.ID)
				t.countSameKey(k)
				t.insert(k, m, &w, 0)
			}
			answer := func(n uint32) {
				m.Server, w.ID = servers[n%2000], uint16(n>>16)
				k := keyOf(m, w.ID)
				if found, _ := t.find(k, m, &w); found != noIndex {
					t.remove(found)
				}
			}
			for i := range unanswered + open {
				n := r.Uint32()
				asked[i%open] = n
				ask(n)
			}
			b.ReportAllocs()
			for b.Loop() {
				n := r.Uint32()
				i := r.IntN(open)
				if n%100 == 0 {
					t.remove(t.oldest)
				} else {
					answer(asked[i])
				}
				asked[i] = n
				ask(n)
			}
			b.ReportMetric(float64(t.live), "live")
		})
	}
}
