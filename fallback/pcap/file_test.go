package pcap

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/dnstap-pdns/dnstap-pdns/fallback/pcap/capfile"
	"github.com/dnstap-pdns/dnstap-pdns/fallback/pcap/packet"
	"github.com/dnstap-pdns/dnstap-pdns/transform"
)

const (
	recordHeader   = 16 // octets that precede a packet in pcap
	byteOrder      = 0x1a2b3c4d
	sectionHeader  = 0x0a0d0d0a
	interfaceBlock = 1
	simplePacket   = 3
	enhancedPacket = 6
)

// ngSection returns a pcapng section with one Ethernet interface and its options.
func ngSection(order binary.AppendByteOrder, major, minor uint16, options, packets []byte) []byte {
	head := order.AppendUint16(order.AppendUint16(order.AppendUint32(nil, byteOrder), major), minor)
	b := ngBlockIn(order, sectionHeader, append(head, bytes.Repeat([]byte{0xff}, 8)...))
	b = append(b, ngBlockIn(order, interfaceBlock, append(order.AppendUint32(order.AppendUint16(order.AppendUint16(nil, 1), 0), 1<<18), options...))...)
	return append(b, packets...)
}

// ngBlockIn returns a pcapng block.
func ngBlockIn(order binary.AppendByteOrder, kind uint32, body []byte) []byte {
	body = append(body, make([]byte, -len(body)&3)...)
	length := uint32(12 + len(body))
	b := order.AppendUint32(order.AppendUint32(nil, kind), length)
	return order.AppendUint32(append(b, body...), length)
}

// ngPackets returns enhanced packet blocks, with times in unit, and original lengths that
// are short octets less than the packets'.
func ngPackets(order binary.AppendByteOrder, packets []packet.CapturedPacket, unit transform.Time, short uint32) (b []byte) {
	for _, p := range packets {
		at := uint64(p.Time / unit)
		body := order.AppendUint32(order.AppendUint32(order.AppendUint32(nil, 0), uint32(at>>32)), uint32(at))
		n := uint32(len(p.Data))
		body = append(order.AppendUint32(order.AppendUint32(body, n), n-short), p.Data...)
		b = append(b, ngBlockIn(order, enhancedPacket, body)...)
	}
	return b
}

const (
	microsecond = transform.Time(time.Microsecond)
	second      = transform.Time(time.Second)
)

// TestOddHeadersAreRead reads files that gopacket refuses and other readers accept.
func TestOddHeadersAreRead(t *testing.T) {
	file := unbound(t)
	packets, _, _ := packetsOf(t, file)
	want, _, err := replay(t, bytes.NewReader(file))
	if err != nil {
		t.Fatal(err)
	}
	// withShort returns a file in which one packet has an original length below its captured
	// length.
	withShort := func(order binary.AppendByteOrder) []byte {
		b := asPcap(t, file, order, false)
		at := 24
		for _, p := range packets[:100] {
			at += recordHeader + len(p.Data)
		}
		binary.ByteOrder.PutUint32(order.(binary.ByteOrder), b[at+12:], uint32(len(packets[100].Data)-4))
		return b
	}
	le, be := binary.LittleEndian, binary.BigEndian
	for _, c := range []struct {
		name    string
		file    []byte
		seconds bool // times are whole ones
	}{
		{"pcap, little-endian, a length too short", withShort(le), false},
		{"pcap, big-endian, a length too short", withShort(be), false},
		{"pcapng, lengths too short", ngSection(le, 1, 0, nil, ngPackets(le, packets, microsecond, 4)), false},
		{"pcapng 1.2, little-endian", ngSection(le, 1, 2, nil, ngPackets(le, packets, microsecond, 0)), false},
		{"pcapng 1.2, big-endian", ngSection(be, 1, 2, nil, ngPackets(be, packets, microsecond, 0)), false},
		{"pcapng, explicit microseconds", ngSection(le, 1, 0, []byte{9, 0, 1, 0, 6, 0, 0, 0}, ngPackets(le, packets, microsecond, 0)), false},
		{"pcapng, whole seconds", ngSection(le, 1, 0, []byte{9, 0, 1, 0, 0, 0, 0, 0}, ngPackets(le, packets, second, 0)), true},
		{"pcapng, whole seconds after a name, big-endian",
			ngSection(be, 1, 0, []byte("\x00\x02\x00\x05eth10\x00\x00\x00\x00\x09\x00\x01\x00\x00\x00\x00\x00\x00\x00\x00"), ngPackets(be, packets, second, 0)), true},
		{"pcapng, microseconds, and whole seconds after the options' end",
			ngSection(le, 1, 0, []byte{0, 0, 0, 0, 9, 0, 1, 0, 0, 0, 0, 0}, ngPackets(le, packets, microsecond, 0)), false},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, _, err := replay(t, bytes.NewReader(c.file))
			if err != nil {
				t.Error(err)
			}
			wanted := slices.Clone(want.messages)
			if c.seconds {
				for i := range wanted {
					m := &wanted[i]
					for _, at := range []*transform.Time{&m.QueryTime, &m.ResponseTime} {
						if *at != transform.NoTime {
							*at -= *at % second
						}
					}
				}
			}
			equal := cmp.Comparer(func(a, b netip.AddrPort) bool { return a == b })
			if diff := cmp.Diff(wanted, got.messages, equal); diff != "" {
				t.Errorf("messages (-want +got):\n%.3000s", diff)
			}
			if diff := cmp.Diff(want.dropped, got.dropped); diff != "" {
				t.Errorf("dropped (-want +got):\n%s", diff)
			}
		})
	}
}

// TestSimplePacketsHaveTheLatestTime: a simple packet gets the latest time of its section.
// Before the first time it is counted as not needed, and not as malformed.
func TestSimplePacketsHaveTheLatestTime(t *testing.T) {
	packets, _, _ := packetsOf(t, unbound(t))
	whole, _, err := replay(t, bytes.NewReader(unbound(t)))
	if err != nil {
		t.Fatal(err)
	}
	le := binary.LittleEndian
	var simple []byte
	for _, p := range packets {
		simple = append(simple, ngBlock(simplePacket, append(le.AppendUint32(nil, uint32(len(p.Data))), p.Data...))...)
	}
	n := uint64(len(packets))
	got, stats, err := replay(t, bytes.NewReader(ngSection(le, 1, 0, nil, simple)))
	if len(got.messages)+len(got.dropped) > 0 || stats.Packets != n || stats.Other != n || err != nil {
		t.Errorf("without a time: %d messages, dropped %v, stats %+v, error %v", len(got.messages), got.dropped, stats, err)
	}
	first := ngBlock(enhancedPacket, append(le.AppendUint32(le.AppendUint32(le.AppendUint32(nil, 0), 0), 7_000_000), make([]byte, 8)...)) // empty
	got, stats, err = replay(t, bytes.NewReader(ngSection(le, 1, 0, nil, append(first, simple...))))
	if len(got.messages) != len(whole.messages) || stats.Packets != n+1 || err != nil {
		t.Errorf("after a time: %d messages, want %d, stats %+v, error %v", len(got.messages), len(whole.messages), stats, err)
	}
	for i := range got.messages {
		m := &got.messages[i]
		for _, at := range []transform.Time{m.QueryTime, m.ResponseTime} {
			if at != transform.NoTime && at != 7*second {
				t.Fatalf("message %d has the time %d", i, at)
			}
		}
	}
}

// TestTimesThatDoNotFitAreMalformed: 2^64 seconds after 1970, for example.
func TestTimesThatDoNotFitAreMalformed(t *testing.T) {
	packets, _, _ := packetsOf(t, unbound(t))
	le := binary.LittleEndian
	b := ngSection(le, 1, 0, []byte{9, 0, 1, 0, 0, 0, 0, 0}, ngPackets(le, packets[:3], 1, 0)) // nanoseconds as seconds
	got, stats, err := replay(t, bytes.NewReader(b))
	if len(got.messages) > 0 || count(got.dropped, transform.Malformed) != 3 || stats.Packets != 0 || err != nil {
		t.Errorf("%d messages, dropped %v, stats %+v, error %v", len(got.messages), got.dropped, stats, err)
	}
}

// TestSectionsOfUnknownVersionsAreSkipped checks that they are reported, and that the other
// sections are read.
func TestSectionsOfUnknownVersionsAreSkipped(t *testing.T) {
	packets, _, _ := packetsOf(t, unbound(t))
	section := func(major, minor uint16, packets []packet.CapturedPacket) []byte {
		return ngSection(binary.LittleEndian, major, minor, nil, ngPackets(binary.LittleEndian, packets, microsecond, 0))
	}
	whole, _, err := replay(t, bytes.NewReader(section(1, 0, packets)))
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		want     string
		file     []byte
		messages int
	}{
		{"unknown pcapng version 1.1", section(1, 1, packets), 0},
		{"unknown pcapng version 2.0", section(2, 0, packets), 0},
		{"unknown pcapng version 1.3", slices.Concat(section(1, 3, packets), section(1, 0, packets)), len(whole.messages)},
		{"unknown pcapng version 3.2", slices.Concat(section(1, 0, packets[:99]), section(3, 2, packets), section(1, 2, packets[99:])), len(whole.messages)},
	} {
		got, _, err := replay(t, bytes.NewReader(c.file))
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("error %v, want %q", err, c.want)
		}
		if n := len(got.messages); n != c.messages {
			t.Errorf("%s: %d messages, want %d", c.want, n, c.messages)
		}
	}
}

// TestEveryCutHasTheSameError cuts a file at every octet: it ends in the middle of a packet
// or between two.
func TestEveryCutHasTheSameError(t *testing.T) {
	packets, _, _ := packetsOf(t, unbound(t))
	packets = packets[:8]
	var ends []int // offsets of the end of the header and of each packet
	le := binary.LittleEndian
	blocks := ngSection(le, 1, 0, nil, nil)
	ends = append(ends, len(blocks))
	for i := range packets {
		blocks = append(blocks, ngPackets(le, packets[i:i+1], microsecond, 0)...)
		ends = append(ends, len(blocks))
	}
	records := asPcap(t, unbound(t), le, false)
	recordEnds := []int{24}
	for _, p := range packets {
		recordEnds = append(recordEnds, recordEnds[len(recordEnds)-1]+recordHeader+len(p.Data))
	}
	for _, c := range []struct {
		name string
		file []byte
		ends []int
	}{{"pcapng", blocks, ends}, {"pcap", records, recordEnds}} {
		for n := c.ends[0]; n <= c.ends[len(c.ends)-1]; n++ {
			lane, _, err := replay(t, bytes.NewReader(c.file[:n]))
			if slices.Contains(c.ends, n) {
				if err != nil || slices.Contains(lane.dropped, transform.Malformed) {
					t.Errorf("%s, %d bytes, whole: error %v, dropped %v", c.name, n, err, lane.dropped)
				}
				continue
			}
			says := fmt.Sprintf("at byte %d: it ends in the middle of a packet", n)
			if !errors.Is(err, capfile.ErrCutOff) || !strings.Contains(err.Error(), says) {
				t.Errorf("%s, %d bytes: error %v, want %q", c.name, n, err, says)
			}
			if got := count(lane.dropped, transform.Malformed); got != 1 {
				t.Errorf("%s, %d bytes: %d are malformed", c.name, n, got)
			}
		}
	}
	for n := 4; n < 24; n++ {
		for name, b := range map[string][]byte{"pcap": records, "pcapng": blocks} {
			if lane, _, err := replay(t, bytes.NewReader(b[:n])); err == nil || !strings.HasSuffix(err.Error(), "the file ends within its header") || len(lane.dropped) > 0 {
				t.Errorf("%s, %d bytes: error %v, dropped %v", name, n, err, lane.dropped)
			}
		}
	}
}

func count(all []transform.Reason, r transform.Reason) (n int) {
	for _, o := range all {
		if o == r {
			n++
		}
	}
	return n
}

// TestErrorsOfTheReaderAreWrapped: errors at any offset are wrapped, so that the error of a
// truncated compressed file is recognised.
func TestErrorsOfTheReaderAreWrapped(t *testing.T) {
	packets, _, _ := packetsOf(t, unbound(t))
	le := binary.LittleEndian
	blocks := ngSection(le, 1, 0, nil, ngPackets(le, packets[:5], microsecond, 0))
	why := errors.New("read failed")
	for _, whole := range [][]byte{blocks, unbound(t)[:1000]} {
		for n := range whole {
			_, _, err := replay(t, io.MultiReader(bytes.NewReader(whole[:n]), failing{why}))
			if !errors.Is(err, why) {
				t.Errorf("%d bytes: error %v", n, err)
			}
		}
	}
}

type failing struct{ err error }

func (f failing) Read([]byte) (int, error) { return 0, f.err }

// TestFilesContinueThePreviousOne splits a capture between two packets, as tcpdump -C and -G
// do. The parts give the same messages as the whole.
func TestFilesContinueThePreviousOne(t *testing.T) {
	packets, _, _ := packetsOf(t, unbound(t))
	packets = fragmented(packets)
	file := func(packets []packet.CapturedPacket) io.Reader {
		le := binary.LittleEndian
		return bytes.NewReader(ngSection(le, 1, 0, nil, ngPackets(le, packets, microsecond, 0)))
	}
	whole, stats, err := replay(t, file(packets))
	if err != nil || stats.Fragments.Assembled < 30 || stats.Streams.Messages == 0 {
		t.Fatalf("%d datagrams of fragments, %d messages over TCP, error %v", stats.Fragments.Assembled, stats.Streams.Messages, err)
	}
	equal := cmp.Comparer(func(a, b netip.AddrPort) bool { return a == b })
	for at := range packets {
		got, counts, err := replay(t, file(packets[:at]), file(packets[at:]))
		if err != nil {
			t.Fatal(err)
		}
		if !reflect.DeepEqual(whole.messages, got.messages) {
			t.Fatalf("cut at packet %d (-whole +parts):\n%.2000s", at, cmp.Diff(whole.messages, got.messages, equal))
		}
		if !slices.Equal(whole.dropped, got.dropped) || counts != stats {
			t.Fatalf("cut at packet %d: dropped %v, want %v\ncounts %+v, want %+v", at, got.dropped, whole.dropped, counts, stats)
		}
	}
}

// fragmented splits every longer UDP datagram over IPv4 into two fragments, and every longer
// TCP segment into two.
func fragmented(packets []packet.CapturedPacket) (all []packet.CapturedPacket) {
	const ether, ip, first = 14, 20, 64
	be := binary.BigEndian
	for i, p := range packets {
		b := p.Data
		if len(b) < ether+ip+first+8 || b[12] != 8 || b[13] != 0 || b[ether] != 0x45 {
			all = append(all, p)
			continue
		}
		header := 0 // length of the transport header that both parts have
		if b[ether+9] == 6 {
			header = int(b[ether+ip+12]>>4) * 4
		}
		payload := b[ether+ip+header : ether+int(be.Uint16(b[ether+2:]))]
		for at := 0; at < len(payload); {
			part := payload[at:]
			if at == 0 {
				part = payload[:min(first, len(payload))]
			}
			f := append(bytes.Clone(b[:ether+ip+header]), part...)
			be.PutUint16(f[ether+2:], uint16(len(f)-ether))
			if header > 0 {
				be.PutUint32(f[ether+ip+4:], be.Uint32(f[ether+ip+4:])+uint32(at))
			} else {
				offset := uint16(at / 8)
				if at+len(part) < len(payload) {
					offset |= 1 << 13 // more fragments
				}
				be.PutUint16(f[ether+4:], uint16(i)) // of the datagram
				be.PutUint16(f[ether+6:], offset)
			}
			all = append(all, packet.CapturedPacket{Data: f, Length: len(f), Time: p.Time})
			at += len(part)
		}
	}
	return all
}

// TestFilesMayComeInAnyOrder checks that messages within one file are read, and that memory
// stays bounded.
func TestFilesMayComeInAnyOrder(t *testing.T) {
	packets, _, _ := packetsOf(t, unbound(t))
	le := binary.LittleEndian
	var files []io.Reader
	udp := 0
	for part := range slices.Chunk(packets, 10) {
		lane, _, err := replay(t, bytes.NewReader(ngSection(le, 1, 0, nil, ngPackets(le, part, microsecond, 0))))
		if err != nil {
			t.Fatal(err)
		}
		udp += overUDP(lane)
		files = append(files, bytes.NewReader(ngSection(le, 1, 0, nil, ngPackets(le, part, microsecond, 0))))
	}
	slices.Reverse(files)
	got, stats, err := replay(t, files...)
	if err != nil || overUDP(got) != udp || stats.Packets != uint64(len(packets)) {
		t.Errorf("%d messages over UDP, want %d; %d packets, want %d; error %v", overUDP(got), udp, stats.Packets, len(packets), err)
	}
	if stats.Streams.Streams+stats.Streams.Embryonic+stats.Streams.Bytes > 0 {
		t.Errorf("held in the end: %+v", stats.Streams)
	}
}

func overUDP(l *recorder) (n int) {
	for i := range l.messages {
		if l.messages[i].Transport == transform.UDP {
			n++
		}
	}
	return n
}
