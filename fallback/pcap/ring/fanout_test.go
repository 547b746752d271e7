package ring

import (
	"math/rand/v2"
	"net/netip"
	"testing"
)

// TestFanoutKeepsPairsTogether: packets between two hosts reach one lane, of any protocol and
// in any form in which the kernel presents them. Lanes get similar shares.
func TestFanoutKeepsPairsTogether(t *testing.T) {
	program, err := fanout(0)
	if err != nil {
		t.Fatal(err)
	}
	const lanes, pairs = 4, 1000
	var four, six [lanes]int
	for i := range pairs {
		server4 := netip.AddrFrom4([4]byte{198, 51, byte(i >> 8), byte(i)}).String()
		server6 := netip.AddrFrom16([16]byte{0x20, 1, 0xd, 0xb8, byte(i), byte(i >> 8), 15: 53}).String()
		four[commonLane(t, lanes, func(data []byte, v metadata) int { return execute(t, program, v, data) },
			ipv4(res4, server4, 17, 0, 0, ports(4000, 53)),
			ipv4(server4, res4, 17, 0, 0, ports(53, 4000)),
			ipv4(res4, server4, 6, 0, 3, ports(4001, 53)),
			ipv4(server4, res4, 17, 0x2000, 0, ports(53, 4000)),
			ipv4(server4, res4, 17, 100, 0, []byte("later fragment")),
		)]++
		six[commonLane(t, lanes, func(data []byte, v metadata) int { return execute(t, program, v, data) },
			ipv6(res6, server6, 17, ports(4000, 53)),
			ipv6(server6, res6, 17, ports(53, 4000)),
			ipv6(server6, res6, 44, []byte("a fragment")),
		)]++
	}
	for _, share := range append(four[:], six[:]...) {
		if share < pairs/lanes*3/4 || share > pairs/lanes*5/4 {
			t.Errorf("lanes got %v of IPv4 and %v of IPv6, which is uneven", four, six)
		}
	}
	t.Logf("of %d pairs: IPv4 %v, IPv6 %v", pairs, four, six)
}

// commonLane returns the lane of all packets, and fails if they have several.
func commonLane(t *testing.T, lanes int, run func([]byte, metadata) int, packets ...[]byte) int {
	t.Helper()
	seen := map[int]bool{}
	lane := -1
	for _, p := range packets {
		for _, in := range presentations(p) {
			lane = run(in.data, in.metadata) % lanes
			seen[lane] = true
		}
	}
	if len(seen) != 1 {
		t.Fatalf("one pair of addresses is in lanes %v", seen)
	}
	return lane
}

// TestFanoutDependsOnEveryBit: every bit of an address changes the hash, so that resolvers of
// one network do not share a lane.
func TestFanoutDependsOnEveryBit(t *testing.T) {
	program, err := fanout(0)
	if err != nil {
		t.Fatal(err)
	}
	r := rand.New(rand.NewPCG(1, 2))
	for bit := range 128 {
		differ := 0
		for range 64 {
			var a [16]byte
			for i := range a {
				a[i] = byte(r.Uint32())
			}
			b := a
			b[bit/8] ^= 0x80 >> (bit % 8)
			lane := func(a [16]byte) int {
				return execute(t, program, metadata{protocol: IPv6}, ipv6(netip.AddrFrom16(a).String(), srv6, 17, nil)) % 4
			}
			if lane(a) != lane(b) {
				differ++
			}
		}
		if differ == 0 {
			t.Errorf("bit %d of an address changes no lane", bit)
		}
	}
}

func TestFanoutPutsTheRestInLaneZero(t *testing.T) {
	program, err := fanout(0)
	if err != nil {
		t.Fatal(err)
	}
	for _, data := range [][]byte{nil, {0x45}, make([]byte, 64)} {
		if got := execute(t, program, metadata{protocol: 0x0806}, data); got != 0 {
			t.Errorf("%x: got %d, want 0", data, got)
		}
	}
}
