package ring

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/dnstap-pdns/dnstap-pdns/transform"
)

// A stamped is a packet as the tests have the kernel write it.
type stamped struct {
	time     transform.Time
	protocol uint16
	data     string
}

// fill writes packets into a block as the kernel does (net/packet/af_packet.c), and
// hands it over.
func fill(block []byte, packets ...stamped) {
	put := binary.NativeEndian.PutUint32
	put(block[offCount:], uint32(len(packets)))
	put(block[offFirst:], sizeBlock)
	at := sizeBlock
	for i, p := range packets {
		h := block[at:]
		const data = 96
		step := (data + len(p.data) + 7) &^ 7
		next := step
		if i == len(packets)-1 {
			next = 0
		}
		put(h[offNext:], uint32(next))
		put(h[offSec:], uint32(p.time/1e9))
		put(h[offNsec:], uint32(p.time%1e9))
		put(h[offSnap:], uint32(len(p.data)))
		put(h[offLen:], uint32(len(p.data)))
		binary.NativeEndian.PutUint16(h[offData:], data)
		binary.BigEndian.PutUint16(h[offProtocol:], p.protocol)
		copy(h[data:], p.data)
		at += step
	}
	atomic.StoreUint32(status(block), statusUser)
}

const testBlock = 4096

// blank is a track of so many blocks, none handed over.
func blank(blocks int) *track {
	return &track{tape: tape{mem: make([]byte, blocks*testBlock), size: testBlock, damaged: new(atomic.Uint64)}}
}

func (t *tape) nth(block int) []byte { return t.mem[block*t.size:][:t.size] }

// all reads what there is.
func all(t *tape) (out []stamped) {
	var p Packet
	for t.read(&p) {
		out = append(out, stamped{p.Time, p.Protocol, string(p.Data)})
	}
	return out
}

func arp(at transform.Time, text string) stamped { return stamped{at, 0x0806, text} }

var unexported = cmp.AllowUnexported(stamped{})

func TestTapeReadsBlocksInTurn(t *testing.T) {
	tr := blank(3)
	if got := all(&tr.tape); got != nil {
		t.Fatalf("an empty ring shows %v", got)
	}
	var want, got []stamped
	for turn := range 7 {
		one := arp(transform.Time(turn)*1e9+5, fmt.Sprint("first of ", turn))
		two := arp(transform.Time(turn)*1e9+7, fmt.Sprint("second of ", turn))
		fill(tr.nth(turn%3), one, two)
		want = append(want, one, two)
		got = append(got, all(&tr.tape)...)
	}
	if diff := cmp.Diff(want, got, unexported); diff != "" {
		t.Error(diff)
	}
	for i := range 3 {
		if isOurs(tr.nth(i)) {
			t.Errorf("block %d is not given back", i)
		}
	}
}

// Two processors that receive from one interface put a query behind its response at
// times: what they wrote when is in the order of time all the same.
func TestTapeReadsABlockInTheOrderOfTime(t *testing.T) {
	tr := blank(2)
	fill(tr.nth(0), arp(5, "one"), arp(9, "four"), arp(7, "two"), arp(7, "three"), arp(9, "five"))
	fill(tr.nth(1), arp(12, "seven"), arp(11, "six"))
	want := []stamped{arp(5, "one"), arp(7, "two"), arp(7, "three"), arp(9, "four"), arp(9, "five"), arp(11, "six"), arp(12, "seven")}
	if diff := cmp.Diff(want, all(&tr.tape), unexported); diff != "" {
		t.Error(diff)
	}
}

// Old kernels hand over empty blocks.
func TestTapeSkipsEmptyBlocks(t *testing.T) {
	tr := blank(2)
	fill(tr.nth(0))
	fill(tr.nth(1), arp(1, "packet"))
	if diff := cmp.Diff([]stamped{arp(1, "packet")}, all(&tr.tape), unexported); diff != "" {
		t.Error(diff)
	}
}

// A packet is lent until the next is read: its block must not be given back before.
func TestTapeKeepsTheBlockOfALentPacket(t *testing.T) {
	tr := blank(2)
	fill(tr.nth(0), arp(1, "packet"))
	var p Packet
	if !tr.read(&p) || !isOurs(tr.nth(0)) {
		t.Error("the block is given back while its last packet is lent")
	}
	if tr.read(&p) || isOurs(tr.nth(0)) {
		t.Error("the block is kept")
	}
}

func TestTapeCountsDamage(t *testing.T) {
	put := binary.NativeEndian.PutUint32
	const second = sizeBlock + 104
	for name, c := range map[string]struct {
		damage  func(block []byte)
		read    int
		damaged uint64
	}{
		"none":                    {func([]byte) {}, 3, 0},
		"first packet outside":    {func(b []byte) { put(b[offFirst:], testBlock) }, 0, 3},
		"first at the very end":   {func(b []byte) { put(b[offFirst:], testBlock-sizePacket+1) }, 0, 3},
		"first far outside":       {func(b []byte) { put(b[offFirst:], math.MaxUint32) }, 0, 3},
		"count beyond all room":   {func(b []byte) { put(b[offCount:], math.MaxUint32) }, 0, 1},
		"next outside":            {func(b []byte) { put(b[sizeBlock+offNext:], testBlock) }, 1, 2},
		"next far outside":        {func(b []byte) { put(b[sizeBlock+offNext:], math.MaxUint32) }, 1, 2},
		"next is this one":        {func(b []byte) { put(b[sizeBlock+offNext:], 0) }, 1, 2},
		"longer than the block":   {func(b []byte) { put(b[second+offSnap:], testBlock) }, 1, 2},
		"far longer":              {func(b []byte) { put(b[second+offSnap:], math.MaxUint32) }, 1, 2},
		"data in the header":      {func(b []byte) { binary.NativeEndian.PutUint16(b[second+offData:], 12) }, 1, 2},
		"data outside":            {func(b []byte) { binary.NativeEndian.PutUint16(b[second+offData:], 65535) }, 1, 2},
		"more than there are":     {func(b []byte) { put(b[offCount:], 5) }, 3, 2},
		"the wire's length a lie": {func(b []byte) { put(b[second+offLen:], math.MaxUint32) }, 3, 0},
	} {
		t.Run(name, func(t *testing.T) {
			tr := blank(2)
			fill(tr.nth(0), arp(1, "one"), arp(2, "two"), arp(3, "three"))
			c.damage(tr.nth(0))
			fill(tr.nth(1), arp(4, "after"))
			got := all(&tr.tape)
			if len(got) != c.read+1 || got[c.read] != arp(4, "after") {
				t.Errorf("read %v: want %d, and the next block", got, c.read)
			}
			if n := tr.damaged.Load(); n != c.damaged {
				t.Errorf("counted as damaged: got %d, want %d", n, c.damaged)
			}
		})
	}
}

// Whatever a block holds, reading it ends, and nothing outside it is touched.
func FuzzTape(f *testing.F) {
	good := make([]byte, testBlock)
	fill(good, arp(1, "one"), arp(2, "two"), stamped{3, IPv4, string(ipv4(res4, srv4, 17, 0, 0, ports(1, 53)))})
	f.Add(good)
	f.Add(good[:sizeBlock+20])
	f.Add(bytes.Repeat([]byte{0xff}, testBlock))
	f.Fuzz(func(t *testing.T, block []byte) {
		tr := blank(1)
		copy(tr.mem, block)
		binary.NativeEndian.PutUint32(tr.mem[offStatus:], statusUser)
		most, n := testBlock/sizePacket, 0
		var p Packet
		for tr.read(&p) {
			if n++; n > most {
				t.Fatalf("more than %d packets in a block of %d bytes", most, testBlock)
			}
			if len(p.Data) > testBlock-sizeBlock || cap(p.Data) != len(p.Data) {
				t.Fatalf("a packet of %d bytes, room for %d", len(p.Data), cap(p.Data))
			}
		}
		if isOurs(tr.mem) {
			t.Error("the block is not given back")
		}
	})
}

// What the kernel says of a second VLAN tag differs between versions.
func TestProtocolIsThatOfTheData(t *testing.T) {
	four := ipv4(res4, srv4, 17, 0, 0, ports(4000, 53))
	six := ipv6(res6, srv6, 17, ports(4000, 53))
	large := ipv4(res4, srv4, 17, 0, 0, make([]byte, 0x0800-20)) // its length looks like an EtherType, and this one's too
	larger := ipv4(res4, srv4, 17, 0, 0, make([]byte, 0x9100-20))
	priority := append([]byte{0x45, 0, 0x08, 0}, four...) // and this TCI like a header's first byte
	for name, c := range map[string]struct {
		said uint16
		data []byte
		want uint16
	}{
		"IPv4":                          {IPv4, four, IPv4},
		"IPv6":                          {IPv6, six, IPv6},
		"a tag":                         {VLAN, tagged(four), VLAN},
		"a service tag":                 {QinQ, tagged(six), QinQ},
		"two tags":                      {QinQ, append([]byte{0, 1, 0x81, 0}, tagged(four)...), QinQ},
		"a tag of old":                  {OldQinQ, tagged(four), OldQinQ},
		"four tags":                     {OldQinQ, tagged(six, QinQ, OldQinQ, VLAN), OldQinQ},
		"IPv4 said, a tag there":        {IPv4, tagged(four), VLAN},
		"IPv6 said, a tag there":        {IPv6, tagged(six), VLAN},
		"IPv4 said, two tags there":     {IPv4, append([]byte{0, 1, 0x81, 0}, tagged(four)...), VLAN},
		"IPv4 said, a tag like IPv4":    {IPv4, priority, VLAN},
		"IPv4 of 2048 bytes":            {IPv4, large, IPv4},
		"a tag said, IPv4 there":        {VLAN, four, IPv4},
		"a tag said, IPv6 there":        {VLAN, six, IPv6},
		"a tag said, 2048 bytes of IP":  {VLAN, large, IPv4},
		"a tag said, 37120 bytes of IP": {VLAN, larger, IPv4},
		"a tag of old said, IPv4 there": {OldQinQ, four, IPv4},
		"another protocol":              {0x0806, four, 0x0806},
		"IPv4 said, nothing there":      {IPv4, nil, IPv4},
		"IPv4 said, nonsense there":     {IPv4, []byte("nonsense"), IPv4},
		"a tag said, nothing there":     {VLAN, nil, VLAN},
		"a tag said, another protocol":  {VLAN, append([]byte{0, 1, 8, 6}, make([]byte, 28)...), VLAN},
		"a tag said, cut to the header": {VLAN, tagged(four)[:4], VLAN},
	} {
		if got := network(c.said, c.data, len(c.data)); got != c.want {
			t.Errorf("%s: got %#04x, want %#04x", name, got, c.want)
		}
	}
}
