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

// A testPacket is a packet that fill writes into a block.
type testPacket struct {
	time     transform.Time
	protocol uint16
	data     string
}

// fill writes packets into a block as the kernel does (net/packet/af_packet.c), and
// hands the block over.
func fill(block []byte, packets ...testPacket) {
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

// newLookahead returns a lookahead with this number of blocks, none handed over.
func newLookahead(blocks int) *lookahead {
	return &lookahead{blockReader: blockReader{mem: make([]byte, blocks*testBlock), size: testBlock, damaged: new(atomic.Uint64)}}
}

func (t *blockReader) blockAt(block int) []byte { return t.mem[block*t.size:][:t.size] }

// all returns every packet that can be read.
func all(t *blockReader) (out []testPacket) {
	var p Packet
	for t.read(&p) {
		out = append(out, testPacket{p.Time, p.Protocol, string(p.Data)})
	}
	return out
}

func textPacket(at transform.Time, text string) testPacket { return testPacket{at, 0x0806, text} }

var unexported = cmp.AllowUnexported(testPacket{})

func TestBlockReaderReadsBlocksInOrder(t *testing.T) {
	tr := newLookahead(3)
	if got := all(&tr.blockReader); got != nil {
		t.Fatalf("an empty ring shows %v", got)
	}
	var want, got []testPacket
	for turn := range 7 {
		one := textPacket(transform.Time(turn)*1e9+5, fmt.Sprint("first of ", turn))
		two := textPacket(transform.Time(turn)*1e9+7, fmt.Sprint("second of ", turn))
		fill(tr.blockAt(turn%3), one, two)
		want = append(want, one, two)
		got = append(got, all(&tr.blockReader)...)
	}
	if diff := cmp.Diff(want, got, unexported); diff != "" {
		t.Error(diff)
	}
	for i := range 3 {
		if isOurs(tr.blockAt(i)) {
			t.Errorf("block %d is not returned", i)
		}
	}
}

// TestBlockReaderReadsABlockInTheOrderOfTime: two processors that receive from one interface
// may write a query after its response.
func TestBlockReaderReadsABlockInTheOrderOfTime(t *testing.T) {
	tr := newLookahead(2)
	fill(tr.blockAt(0), textPacket(5, "one"), textPacket(9, "four"), textPacket(7, "two"), textPacket(7, "three"), textPacket(9, "five"))
	fill(tr.blockAt(1), textPacket(12, "seven"), textPacket(11, "six"))
	want := []testPacket{textPacket(5, "one"), textPacket(7, "two"), textPacket(7, "three"), textPacket(9, "four"), textPacket(9, "five"), textPacket(11, "six"), textPacket(12, "seven")}
	if diff := cmp.Diff(want, all(&tr.blockReader), unexported); diff != "" {
		t.Error(diff)
	}
}

// TestBlockReaderSkipsEmptyBlocks: old kernels hand over empty blocks.
func TestBlockReaderSkipsEmptyBlocks(t *testing.T) {
	tr := newLookahead(2)
	fill(tr.blockAt(0))
	fill(tr.blockAt(1), textPacket(1, "packet"))
	if diff := cmp.Diff([]testPacket{textPacket(1, "packet")}, all(&tr.blockReader), unexported); diff != "" {
		t.Error(diff)
	}
}

// TestBlockReaderKeepsTheBlockOfABorrowedPacket: a packet is borrowed until the next is read,
// so its block must not be returned before.
func TestBlockReaderKeepsTheBlockOfABorrowedPacket(t *testing.T) {
	tr := newLookahead(2)
	fill(tr.blockAt(0), textPacket(1, "packet"))
	var p Packet
	if !tr.read(&p) || !isOurs(tr.blockAt(0)) {
		t.Error("the block is returned while its last packet is borrowed")
	}
	if tr.read(&p) || isOurs(tr.blockAt(0)) {
		t.Error("the block is not returned")
	}
}

func TestBlockReaderCountsDamage(t *testing.T) {
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
		"count beyond the block":  {func(b []byte) { put(b[offCount:], math.MaxUint32) }, 0, 1},
		"next outside":            {func(b []byte) { put(b[sizeBlock+offNext:], testBlock) }, 1, 2},
		"next far outside":        {func(b []byte) { put(b[sizeBlock+offNext:], math.MaxUint32) }, 1, 2},
		"next is this one":        {func(b []byte) { put(b[sizeBlock+offNext:], 0) }, 1, 2},
		"longer than the block":   {func(b []byte) { put(b[second+offSnap:], testBlock) }, 1, 2},
		"far longer":              {func(b []byte) { put(b[second+offSnap:], math.MaxUint32) }, 1, 2},
		"data in the header":      {func(b []byte) { binary.NativeEndian.PutUint16(b[second+offData:], 12) }, 1, 2},
		"data outside":            {func(b []byte) { binary.NativeEndian.PutUint16(b[second+offData:], 65535) }, 1, 2},
		"more than there are":     {func(b []byte) { put(b[offCount:], 5) }, 3, 2},
		"a wire length too large": {func(b []byte) { put(b[second+offLen:], math.MaxUint32) }, 3, 0},
	} {
		t.Run(name, func(t *testing.T) {
			tr := newLookahead(2)
			fill(tr.blockAt(0), textPacket(1, "one"), textPacket(2, "two"), textPacket(3, "three"))
			c.damage(tr.blockAt(0))
			fill(tr.blockAt(1), textPacket(4, "after"))
			got := all(&tr.blockReader)
			if len(got) != c.read+1 || got[c.read] != textPacket(4, "after") {
				t.Errorf("read %v: want %d, and the next block", got, c.read)
			}
			if n := tr.damaged.Load(); n != c.damaged {
				t.Errorf("counted as damaged: got %d, want %d", n, c.damaged)
			}
		})
	}
}

// FuzzBlockReader: reading a block with any contents ends, and accesses nothing outside of it.
func FuzzBlockReader(f *testing.F) {
	good := make([]byte, testBlock)
	fill(good, textPacket(1, "one"), textPacket(2, "two"), testPacket{3, IPv4, string(ipv4(res4, srv4, 17, 0, 0, ports(1, 53)))})
	f.Add(good)
	f.Add(good[:sizeBlock+20])
	f.Add(bytes.Repeat([]byte{0xff}, testBlock))
	f.Fuzz(func(t *testing.T, block []byte) {
		tr := newLookahead(1)
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
			t.Error("the block is not returned")
		}
	})
}

// TestProtocolIsThatOfTheData: kernel versions report the EtherType of a packet with a second
// VLAN tag differently.
func TestProtocolIsThatOfTheData(t *testing.T) {
	four := ipv4(res4, srv4, 17, 0, 0, ports(4000, 53))
	six := ipv6(res6, srv6, 17, ports(4000, 53))
	large := ipv4(res4, srv4, 17, 0, 0, make([]byte, 0x0800-20)) // its length looks like an EtherType, as that of larger
	larger := ipv4(res4, srv4, 17, 0, 0, make([]byte, 0x9100-20))
	priority := append([]byte{0x45, 0, 0x08, 0}, four...) // and this TCI like a header's first byte
	for name, c := range map[string]struct {
		reported uint16
		data     []byte
		want     uint16
	}{
		"IPv4":                              {IPv4, four, IPv4},
		"IPv6":                              {IPv6, six, IPv6},
		"a tag":                             {VLAN, tagged(four), VLAN},
		"a service tag":                     {QinQ, tagged(six), QinQ},
		"two tags":                          {QinQ, append([]byte{0, 1, 0x81, 0}, tagged(four)...), QinQ},
		"an old tag":                        {OldQinQ, tagged(four), OldQinQ},
		"four tags":                         {OldQinQ, tagged(six, QinQ, OldQinQ, VLAN), OldQinQ},
		"IPv4 reported, a tag present":      {IPv4, tagged(four), VLAN},
		"IPv6 reported, a tag present":      {IPv6, tagged(six), VLAN},
		"IPv4 reported, two tags present":   {IPv4, append([]byte{0, 1, 0x81, 0}, tagged(four)...), VLAN},
		"IPv4 reported, a tag like IPv4":    {IPv4, priority, VLAN},
		"IPv4 of 2048 bytes":                {IPv4, large, IPv4},
		"a tag reported, IPv4 present":      {VLAN, four, IPv4},
		"a tag reported, IPv6 present":      {VLAN, six, IPv6},
		"a tag reported, 2048 bytes of IP":  {VLAN, large, IPv4},
		"a tag reported, 37120 bytes of IP": {VLAN, larger, IPv4},
		"an old tag reported, IPv4 present": {OldQinQ, four, IPv4},
		"another protocol":                  {0x0806, four, 0x0806},
		"IPv4 reported, nothing present":    {IPv4, nil, IPv4},
		"IPv4 reported, nonsense present":   {IPv4, []byte("nonsense"), IPv4},
		"a tag reported, nothing present":   {VLAN, nil, VLAN},
		"a tag reported, another protocol":  {VLAN, append([]byte{0, 1, 8, 6}, make([]byte, 28)...), VLAN},
		"a tag reported, cut to the header": {VLAN, tagged(four)[:4], VLAN},
	} {
		if got := fixProtocol(c.reported, c.data, len(c.data)); got != c.want {
			t.Errorf("%s: got %#04x, want %#04x", name, got, c.want)
		}
	}
}
