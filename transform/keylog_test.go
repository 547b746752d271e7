package transform

import (
	"net/netip"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/miekg/dns"

	"github.com/dnstap-pdns/dnstap-pdns/transform/dnswire/wiretest"
)

func addrFrom(octets [16]byte) netip.Addr { return netip.AddrFrom16(octets) }

// idsKept lists which of the transactions with IDs up to n a log has.
func idsKept(k *KeyLog, n int) (ids []int) {
	have := map[uint64]bool{}
	for _, key := range k.appendTo(nil) {
		have[key] = true
	}
	for id := range n + 1 {
		if have[transactionKey(someServer.Addr(), uint16(id), dns.TypeA, wiretest.Name("www.shop.example"))] {
			ids = append(ids, id)
		}
	}
	return ids
}

// answeredAt is a query and its response, both at one time.
func answeredAt(id uint16, when time.Duration) []*sketch {
	return []*sketch{aQuery(withID(id), during(when, 0)), aResponse(withID(id), during(when, when))}
}

// TestKeyLogKeepsBothEnds: what was asked in the first four seconds, and what was
// answered in the last eight.
func TestKeyLogKeepsBothEnds(t *testing.T) {
	var packets []*sketch
	for id, when := range []time.Duration{
		100 * s, 104*s - ns, 104 * s, // the beginning
		110 * s, 130 * s,
		142*s - ns, 142 * s, 149 * s, 150 * s, // the end
	} {
		packets = append(packets, answeredAt(uint16(id), when)...)
	}
	packets = append(packets, aQuery(withID(9), during(150*s, 0)))                           // never answered
	packets = append(packets, aResponse(withID(10), during(150*s, 150*s)))                   // never asked
	packets = append(packets, aQuery(withID(11), asked("www.shop.test."), during(150*s, 0)), // dropped
		aResponse(withID(11), asked("www.shop.test."), during(150*s, 150*s)))
	log := captured(t, testPolicy(t), packets...)
	if d := cmp.Diff([]int{0, 1, 6, 7, 8}, idsKept(log, 11)); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
}

// TestKeyLogKeepsUnanswered ones by when they expired.
func TestKeyLogKeepsUnanswered(t *testing.T) {
	packets := []*sketch{aQuery(withID(1), during(103*s, 0)), aQuery(withID(2), during(105*s, 0)), aQuery(withID(3), during(130*s, 0))}
	for i := range 10 { // time goes by until 195 s
		packets = append(packets, aQuery(withID(100), withRD, during(140*s+time.Duration(i)*5*s+s/2, 0)))
	}
	packets = append(packets, aQuery(withID(4), during(195*s, 0)))
	log := captured(t, testPolicy(t, func(c *Config) { c.Unanswered = true }), packets...)
	if d := cmp.Diff([]int{1, 3}, idsKept(log, 4)); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
}

// TestKeyLogIsOfTheTrueTime: the records' own times are cut off.
func TestKeyLogIsOfTheTrueTime(t *testing.T) {
	policy := testPolicy(t, func(c *Config) { c.TimeResolution = time.Hour })
	log := captured(t, policy, append(answeredAt(1, 105*s), answeredAt(2, 130*s)...)...)
	if d := cmp.Diff([]int{2}, idsKept(log, 2)); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
}

func TestKeyLogStopsWithItsLane(t *testing.T) {
	log := NewKeyLog(spanOn)
	l := newLane(t, testPolicy(t))
	l.Log(log)
	l.Log(nil)
	l.take(aResponse(during(101*s, 101*s)))
	if got := log.appendTo(nil); len(l.records) != 1 || len(got) != 0 {
		t.Errorf("%d records, keys %v", len(l.records), got)
	}
}

// TestKeyLogIsBounded: of the beginning the first are kept, of the end the last.
func TestKeyLogIsBounded(t *testing.T) {
	const n = maxKeys + 1000
	k := NewKeyLog(spanOn)
	for i := range n {
		k.add(uint64(i), spanOn+Time(i), spanOn+Time(i))
	}
	if len(k.first) != maxKeys || k.n != maxKeys || len(k.last) != maxKeys {
		t.Fatalf("%d and %d keys, in a ring of %d", len(k.first), k.n, len(k.last))
	}
	keys := k.appendTo(nil)
	for i := range maxKeys {
		if keys[i] != uint64(i) || keys[maxKeys+i] != uint64(1000+i) {
			t.Fatalf("key %d: %d and %d", i, keys[i], keys[maxKeys+i])
		}
	}
	k.add(n, spanOff, spanOff)
	if keys := k.appendTo(nil); len(keys) != maxKeys+1 || keys[maxKeys] != n {
		t.Errorf("%d keys after a long time", len(keys))
	}
}

// TestKeyLogsRingKeepsItsOrder while it grows, shrinks and turns.
func TestKeyLogsRingKeepsItsOrder(t *testing.T) {
	k := NewKeyLog(spanOn)
	now, next := spanOn+10*second, uint64(0)
	var want []recorded
	for i := range 2000 {
		step := Time(time.Duration(i%7) * 10 * time.Millisecond)
		if i%500 == 499 {
			step = keyTime - second/2
		}
		now += step
		for range i % 3 {
			k.add(next, now, now)
			want = append(want, recorded{next, now})
			next++
		}
		for len(want) > 0 && now-want[0].at > keyTime && i%3 > 0 {
			want = want[1:]
		}
		if i%3 == 0 {
			continue // nothing has been added, so nothing has gone
		}
		var keys []uint64
		for _, r := range want {
			keys = append(keys, r.key)
		}
		if d := cmp.Diff(keys, k.appendTo(nil)); d != "" {
			t.Fatalf("step %d (-want +got):\n%s", i, d)
		}
	}
	if next < 1000 || len(k.last) < 256 {
		t.Errorf("%d keys in a ring of %d", next, len(k.last))
	}
}
