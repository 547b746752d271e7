package capfile

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
	"github.com/gopacket/gopacket/pcapgo"
	"pgregory.net/rapid"

	"github.com/dnstap-pdns/dnstap-pdns/transform"
)

// gopacketReads returns the packets of a file as gopacket reads it, up to the first
// error. gopacket 1.7.7 contradicts the specifications in these points, which compare
// allows for:
//
//   - It takes if_tsresol 0, whole seconds, as absent, which means microseconds.
//   - Of resolutions 2^-n it rounds the scale to an integer: fractions are up to 0.07 %
//     off for 2^-20, and of 2^-32 they reach 1.07 s.
//   - From 10^-20 on its scale overflows.
//   - Fractions of a pcap time above 4,294,967 us overflow 32 bits.
//   - A simple packet gets the time 1 January of the year 1.
//   - It does not hold a packet to the space in its block: a simple or obsolete packet
//     may contain the block's trailer.
//
// It refuses more than Reader: pcap before version 2.4, a pcap record whose captured length
// exceeds its original length, pcapng 1.2, a section of an unknown version, and a block with
// malformed options, names or secrets. Packets that only one of the two reads are therefore not
// compared.
func gopacketReads(file []byte) (all []packetCopy) {
	if len(file) < 4 {
		return nil
	}
	var r gopacket.PacketDataSource
	var link layers.LinkType
	if binary.BigEndian.Uint32(file) == sectionHeader {
		ng, err := pcapgo.NewNgReader(bytes.NewReader(file), pcapgo.NgReaderOptions{WantMixedLinkType: true})
		if err != nil {
			return nil
		}
		r = ng
	} else {
		old, err := pcapgo.NewReader(bytes.NewReader(file))
		if err != nil {
			return nil
		}
		old.SetSnaplen(maxPacket)
		r, link = old, old.LinkType()
	}
	for {
		data, info, err := r.ReadPacketData()
		if err != nil {
			return all
		}
		if len(info.AncillaryData) > 0 {
			link = info.AncillaryData[0].(layers.LinkType)
		}
		p := packetCopy{string(data), max(info.Length, len(data)), transform.NoTime, info.Timestamp.IsZero(), uint16(link)}
		if s := info.Timestamp.Unix(); s >= 0 && s < (1<<63-1)/int64(time.Second) {
			p.Time = transform.Time(info.Timestamp.UnixNano())
		}
		all = append(all, p)
	}
}

// capfileReads returns the packets of a file, and for each of them whether gopacket
// computes a wrong time.
func capfileReads(file []byte) (all []packetCopy, wrong []bool, err error) {
	r, err := NewReader(bytes.NewReader(file))
	for err == nil {
		var p Packet
		if err = r.Next(&p); err != nil {
			break
		}
		all = append(all, packetCopy{string(p.Data), p.Length, p.Time, p.Untimed, p.Link})
		wrong = append(wrong, r.gopacketMistakesTime())
	}
	if err == io.EOF {
		err = nil
	}
	return all, wrong, err
}

// gopacketMistakesTime reports whether gopacket computes another time for the packet
// that Next returned last.
func (r *Reader) gopacketMistakesTime() bool {
	b, err := r.in.peek(16)
	if err != nil {
		panic(err) // the packet is held
	}
	if r.pcap != nil {
		return int64(r.pcap.order.uint32(b[4:]))*int64(r.pcap.unit) > 1<<32-1
	}
	id := r.pcapng.order.uint32(b[8:])
	switch r.pcapng.order.uint32(b) {
	case simplePacketBlock:
		return true
	case obsoletePacketBlock:
		id = uint32(r.pcapng.order.uint16(b[8:]))
	}
	units := r.pcapng.interfaces[id].units
	for units > 1 && units%10 == 0 {
		units /= 10
	}
	return units != 1 || r.pcapng.interfaces[id].units == 1
}

// compare returns the packets of a file as both read it, and the first difference. It does
// not compare packets that only one of the two has read.
func compare(file []byte) (ours, theirs []packetCopy, diff string, err error) {
	ours, wrong, err := capfileReads(file)
	theirs = gopacketReads(file)
	for i := range min(len(ours), len(theirs)) {
		a, b := ours[i], theirs[i]
		if wrong[i] {
			a.Time, a.Untimed, b.Time, b.Untimed = 0, false, 0, false
			b.Data = b.Data[:min(len(b.Data), len(a.Data))] // the trailer of a simple packet's block
		}
		b.Data = b.Data[:min(len(b.Data), maxPacket)]
		if a != b {
			return ours, theirs, cmp.Diff(b, a), err
		}
	}
	return ours, theirs, "", err
}

func TestGopacketReadsTheSame(t *testing.T) {
	for path, file := range captures(t) {
		for name, b := range map[string][]byte{"pcap": file, "pcapng": asPcapng(t, le, file), "big-endian pcapng": asPcapng(t, be, file)} {
			ours, theirs, diff, err := compare(b)
			if diff != "" || len(ours) != len(theirs) || len(ours) == 0 || err != nil {
				t.Errorf("%s as %s: %d packets, gopacket %d, error %v (-gopacket +capfile):\n%s", path, name, len(ours), len(theirs), err, diff)
			}
		}
	}
}

// TestGopacketReadsGeneratedFilesTheSame covers what captures lack: several sections and
// interfaces, all blocks, resolutions and offsets.
func TestGopacketReadsGeneratedFilesTheSame(t *testing.T) {
	packets := 0
	rapid.Check(t, func(t *rapid.T) {
		b := generate(t)
		ours, theirs, diff, err := compare(b)
		if diff != "" || len(ours) != len(theirs) || err != nil {
			t.Errorf("%d packets, gopacket %d, error %v (-gopacket +capfile):\n%s\n%x", len(ours), len(theirs), err, diff, b)
		}
		packets += len(ours)
	})
	if packets < 100 {
		t.Errorf("only %d packets: the test proves nothing", packets)
	}
}

// generate returns a valid file.
func generate(t *rapid.T) (b []byte) {
	order := rapid.SampledFrom([]binary.AppendByteOrder{le, be})
	size := rapid.IntRange(0, 40)
	data := func() string { return rapid.StringN(0, -1, 100).Draw(t, "data") }
	if rapid.Bool().Draw(t, "pcap") {
		o := order.Draw(t, "order")
		magic := rapid.SampledFrom([]uint32{microseconds, nanoseconds}).Draw(t, "magic")
		b = fileHeader(o, magic, 2, 4)
		for range size.Draw(t, "packets") {
			d := data()
			b = append(b, record(o, rapid.Uint32().Draw(t, "seconds"), rapid.Uint32Range(0, 999_999).Draw(t, "fraction"), uint32(len(d)), uint32(len(d)+size.Draw(t, "cut")), d)...)
		}
		return b
	}
	for range rapid.IntRange(1, 3).Draw(t, "sections") {
		o := order.Draw(t, "order")
		b = append(b, section(o)...)
		interfaces := 0
		for range size.Draw(t, "blocks") {
			kind := rapid.IntRange(0, 5).Draw(t, "kind")
			if interfaces == 0 && kind > 1 {
				kind = 1
			}
			id, ticks, d := 0, rapid.Uint64().Draw(t, "ticks"), ""
			if kind > 1 {
				id, d = rapid.IntRange(0, interfaces-1).Draw(t, "interface"), data()
			}
			original := uint32(len(d) + size.Draw(t, "cut"))
			switch kind {
			case 0:
				b = append(b, block(o, rapid.SampledFrom([]uint32{7, 9, 0xbad, 0x80000001}).Draw(t, "type"), []byte(data()))...)
			case 1:
				interfaces++
				b = append(b, describe(o, rapid.Uint16().Draw(t, "link"), 0, option(o, 2, []byte(data())...),
					option(o, ifTsresol, byte(rapid.IntRange(0, 19).Draw(t, "resolution"))),
					option(o, ifTsoffset, o.AppendUint64(nil, uint64(rapid.Int64Range(-1e9, 1e9).Draw(t, "offset")))...))...)
			case 2, 3:
				b = append(b, enhanced(o, uint32(id), ticks, original, d, option(o, 2, 1, 2, 3, 4))...)
			case 4:
				b = append(b, obsolete(o, uint16(id), 7, ticks, original, d)...)
			case 5:
				b = append(b, simple(o, uint32(len(d)), d)...)
			}
		}
	}
	return b
}

// FuzzReader: no file makes the Reader panic, read without end, or exceed its bounds;
// gopacket reads the same packets.
func FuzzReader(f *testing.F) {
	for _, file := range captures(f) {
		f.Add(file[:min(len(file), 2000)])
		file = asPcapng(f, be, file)
		f.Add(file[:min(len(file), 2000)])
	}
	f.Add(append(fileHeader(be, nanoseconds, 2, 3), record(be, 1, 2, 9, 3, "abc")...))
	f.Add(append(versioned(le, 1, 3, describe(le, 1, 0)), versioned(be, 1, 2, describe(be, 276, 2, option(be, ifTsresol, 0xa0)),
		simple(be, 5, "ab"), enhanced(be, 0, 1, 3, "abc"), obsolete(be, 0, 1, 1, 3, "abc"), simple(be, 5, "ab"))...))
	f.Add(section(le, describe(le, 1, 0, option(le, ifTsoffset, 1, 0, 0, 0, 0, 0, 0, 0)), block(le, 4, []byte{0, 0, 0, 0}), enhanced(le, 0, 1, 3, "abc")))
	f.Fuzz(func(t *testing.T, file []byte) {
		ours, _, diff, err := compare(file)
		if diff != "" {
			t.Errorf("(-gopacket +capfile):\n%s", diff)
		}
		octets := 0
		for _, p := range ours {
			octets += len(p.Data)
			if p.Length < len(p.Data) || p.Untimed && p.Time != transform.NoTime {
				t.Errorf("%d octets of %d, time %d, untimed %v", len(p.Data), p.Length, p.Time, p.Untimed)
			}
		}
		if octets > len(file) || len(ours)*minSimplePacket > len(file) {
			t.Errorf("%d packets with %d octets in a file of %d", len(ours), octets, len(file))
		}
		if errors.Is(err, io.EOF) {
			t.Errorf("the error %v looks like the end of a whole file", err)
		}
	})
}
