package rrset

import (
	"fmt"
	"runtime"
	"testing"

	"pgregory.net/rapid"

	"github.com/dnstap-pdns/dnstap-pdns/transform"
	"github.com/dnstap-pdns/dnstap-pdns/transform/dnswire/wiretest"
)

// delegate has the cache learn a zone with servers of their own.
func delegate(d *Delegations, zone string, servers int, now transform.Time) {
	name := wiretest.Name(zone)
	r := &RRset{Name: name, TTL: 60}
	for i := range servers {
		r.Rdata = append(r.Rdata, append([]byte{2, 'n', byte('a' + i)}, name...))
	}
	d.learnServers(r, now)
	for _, host := range r.Rdata {
		d.learnAddresses(&RRset{Name: host, TTL: 60, Rdata: [][]byte{{192, 0, 2, 1}, {192, 0, 2, 2}}}, now)
	}
}

func (d *Delegations) knows(zone string) bool { return d.zones[string(wiretest.Name(zone))] != nil }

// TestFloodsOfZonesLeaveOthersAlone lets a domain, and a tree of zones in it, delegate zones without
// end.
func TestFloodsOfZonesLeaveOthersAlone(t *testing.T) {
	d := NewDelegations(nil, 1<<20)
	for _, zone := range []string{"com", "uk", "co.uk", "example.com", "example.co.uk", "sub.example.com"} {
		delegate(d, zone, 2, noon)
	}
	const flood = 20_000
	for i := range flood {
		zone := fmt.Sprintf("z%d.evil.com", i)
		if i%2 == 1 {
			zone = fmt.Sprintf("a%d.b%d.c%d.evil.com", i%10, i/10%10, i/100)
		}
		delegate(d, zone, 1+i%4, noon+transform.Time(i))
		if i%3 == 0 {
			delegate(d, "kept.evil.com", 2, noon+transform.Time(i))
		}
		if !d.knows("kept.evil.com") {
			t.Fatal("a zone that was seen lately was evicted")
		}
	}
	for _, zone := range []string{"com", "uk", "co.uk", "example.com", "example.co.uk", "sub.example.com", fmt.Sprintf("z%d.evil.com", flood-2)} {
		if !d.knows(zone) {
			t.Errorf("%s was evicted", zone)
		}
	}
	if d.Octets() > d.room.limit/shares+32<<10 {
		t.Errorf("the flood uses %d octets of %d", d.Octets(), d.room.limit)
	}
}

// TestTheOldestDomainsLeaveFirst and those of registries last.
func TestTheOldestDomainsLeaveFirst(t *testing.T) {
	d := NewDelegations(nil, 1<<20)
	delegate(d, "com", 2, noon)
	delegate(d, "kept.com", 2, noon)
	delegate(d, "old.com", 2, noon)
	for i := range 20_000 {
		if i%100 == 0 {
			delegate(d, "kept.com", 2, noon)
		}
		delegate(d, fmt.Sprintf("evil%d.com", i), 2, noon)
		if d.Octets() > d.room.limit || !d.knows("kept.com") {
			t.Fatalf("%d octets, the limit is %d; or a zone that was seen lately was evicted", d.Octets(), d.room.limit)
		}
	}
	if !d.knows("com") || d.knows("old.com") || d.knows("evil0.com") || !d.knows("evil19999.com") {
		t.Error("another zone than the oldest was evicted")
	}
	for i := range 20_000 { // more than there are, because memory is bounded all the same
		delegate(d, fmt.Sprintf("tld%d", i), 2, noon)
	}
	if d.Octets() > d.room.limit || d.knows("com") || d.knows("kept.com") || !d.knows("tld19999") {
		t.Errorf("%d octets of %d, or another zone than the oldest was evicted", d.Octets(), d.room.limit)
	}
}

// TestRoomIsAccountedFor adds and removes zones at random, and compares what the room counts with
// what the cache holds.
func TestRoomIsAccountedFor(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		d := NewDelegations(nil, rapid.SampledFrom([]int{1 << 12, 1 << 15, 1 << 22}).Draw(t, "limit"))
		names := rapid.SampledFrom([]string{"com", "co.uk", "a.com", "b.com", "x.a.com", "y.a.com", "x.y.b.com", "ns.a.com", "ns.b.com"})
		for i := range rapid.IntRange(1, 60).Draw(t, "steps") {
			r := &RRset{Name: wiretest.Name(names.Draw(t, "name"))}
			if rapid.Bool().Draw(t, "address") {
				r.Rdata = [][]byte{{192, 0, 2, rapid.Byte().Draw(t, "octet")}}
				d.learnAddresses(r, noon+transform.Time(i))
				continue
			}
			for range rapid.IntRange(1, 4).Draw(t, "servers") {
				r.Rdata = append(r.Rdata, wiretest.Name(names.Draw(t, "server")))
			}
			d.learnServers(r, noon+transform.Time(i))
		}
		want := 0
		for _, x := range d.room.domains {
			want += domainSize + len(x.name)
		}
		refs := map[*host]int{}
		for _, z := range d.zones {
			want += z.size() + len(z.servers)*serverSize
			for _, s := range z.servers {
				refs[s.host]++
			}
		}
		for _, h := range d.hosts {
			want += h.size()
			if refs[h] != h.zones || h.zones == 0 {
				t.Errorf("%d zones have the host, which counts %d", refs[h], h.zones)
			}
		}
		if d.room.used != want {
			t.Errorf("used %d octets, want %d", d.room.used, want)
		}
		if n := d.room.order.Len() + d.room.registries.zones.Len(); n != len(d.zones) {
			t.Errorf("%d zones have a place, of %d", n, len(d.zones))
		}
	})
}

// TestMemoryIsWhatTheRoomCounts fills a cache, and measures it.
func TestMemoryIsWhatTheRoomCounts(t *testing.T) {
	heap := func() int {
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return int(m.HeapAlloc)
	}
	for _, c := range []struct {
		zone    string
		servers int
	}{{"n%d.com", 2}, {"n%d.com", 13}, {"n%d", 4}} {
		before := heap()
		d := NewDelegations(nil, 16<<20)
		for i := 0; d.Octets() < 15<<20; i++ {
			delegate(d, fmt.Sprintf(c.zone, i), c.servers, noon)
		}
		used := heap() - before
		zones, hosts := d.Len()
		t.Logf("%s: %d zones and %d hosts use %d octets, counted as %d", c.zone, zones, hosts, used, d.Octets())
		if used > d.Octets()*5/4 || used < d.Octets()/2 {
			t.Errorf("%s: %d octets used, %d counted", c.zone, used, d.Octets())
		}
		runtime.KeepAlive(d)
	}
}
