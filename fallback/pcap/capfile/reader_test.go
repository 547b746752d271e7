package capfile

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/dnstap-pdns/dnstap-pdns/transform"
)

const (
	sec  = transform.Time(time.Second)
	usec = transform.Time(time.Microsecond)
)

func TestPcap(t *testing.T) {
	for name, order := range map[string]binary.AppendByteOrder{"little-endian": le, "big-endian": be} {
		join := func(b ...[]byte) []byte { return bytes.Join(b, nil) }
		for _, c := range []struct {
			name string
			file []byte
			want []packetCopy
		}{
			{"no packet", fileHeader(order, microseconds, 2, 4), nil},
			{"microseconds", join(fileHeader(order, microseconds, 2, 4), record(order, 7, 999999, 3, 5, "abc"), record(order, 8, 0, 0, 0, "")),
				[]packetCopy{{"abc", 5, 7*sec + 999999*usec, false, 1}, {"", 0, 8 * sec, false, 1}}},
			{"nanoseconds", join(fileHeader(order, nanoseconds, 2, 4), record(order, 1<<32-1, 999999999, 1, 1, "a")),
				[]packetCopy{{"a", 1, (1<<32-1)*sec + 999999999, false, 1}}},
			{"captured length above the original length", join(fileHeader(order, microseconds, 2, 4), record(order, 1, 0, 5, 1, "abcde")),
				[]packetCopy{{"abcde", 5, sec, false, 1}}},
			{"2.0 has the original length first", join(fileHeader(order, microseconds, 2, 0), record(order, 1, 0, 9, 2, "ab")),
				[]packetCopy{{"ab", 9, sec, false, 1}}},
			{"2.2 has the original length first", join(fileHeader(order, microseconds, 2, 2), record(order, 1, 0, 9, 2, "ab")),
				[]packetCopy{{"ab", 9, sec, false, 1}}},
			{"2.3 has either first", join(fileHeader(order, microseconds, 2, 3), record(order, 1, 0, 9, 2, "ab"), record(order, 2, 0, 2, 9, "cd")),
				[]packetCopy{{"ab", 9, sec, false, 1}, {"cd", 9, 2 * sec, false, 1}}},
		} {
			got, err := readAll(bytes.NewReader(c.file))
			if err != nil {
				t.Errorf("%s, %s: error %v", c.name, name, err)
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("%s, %s (-want +got):\n%s", c.name, name, diff)
			}
		}
	}
}

// TestLinkIgnoresFrameCheckSequences: the upper bits of the field describe these.
func TestLinkIgnoresFrameCheckSequences(t *testing.T) {
	b := fileHeader(le, microseconds, 2, 4)
	le.PutUint32(b[20:], 0x5<<28|276)
	file, err := NewReader(bytes.NewReader(b))
	if err != nil {
		t.Fatal(err)
	}
	if link, ok := file.FileLink(); link != 276 || !ok {
		t.Errorf("link type %d, %v", link, ok)
	}
	file, err = NewReader(bytes.NewReader(section(le)))
	if err != nil {
		t.Fatal(err)
	}
	if link, ok := file.FileLink(); ok {
		t.Errorf("pcapng has the link type %d", link)
	}
}

func TestPcapng(t *testing.T) {
	type blocks = [][]byte
	long := strings.Repeat("x", maxPacket+8)
	for name, order := range map[string]binary.AppendByteOrder{"little-endian": le, "big-endian": be} {
		other := binary.AppendByteOrder(le)
		if order == other {
			other = be
		}
		ether, cooked := describe(order, 1, 0), describe(order, 113, 3, option(order, ifTsresol, 3))
		for _, c := range []struct {
			name string
			file []byte
			want []packetCopy
		}{
			{"no interface", section(order), nil},
			{"enhanced packets of two interfaces", section(order, ether, cooked, enhanced(order, 1, 5, 9, "abc"),
				enhanced(order, 0, 1<<32, 3, "abc", option(order, 2, 1, 2, 3, 4), option(order, endOfOptions))),
				[]packetCopy{{"abc", 9, 5 * sec / 1000, false, 113}, {"abc", 3, 1 << 32 * usec, false, 1}}},
			{"obsolete packets", section(order, ether, cooked, obsolete(order, 1, 65535, 5, 9, "abc"), obsolete(order, 0, 0, 7, 4, "abcd")),
				[]packetCopy{{"abc", 9, 5 * sec / 1000, false, 113}, {"abcd", 4, 7 * usec, false, 1}}},
			{"simple packets have the latest time of their section", section(order, ether, cooked, simple(order, 2, "ab"), enhanced(order, 1, 5, 1, "c"),
				simple(order, 2, "de"), obsolete(order, 0, 0, 6, 1, "f"), simple(order, 0, "")),
				[]packetCopy{{"ab", 2, transform.NoTime, true, 1}, {"c", 1, 5 * sec / 1000, false, 113}, {"de", 2, 5 * sec / 1000, false, 1},
					{"f", 1, 6 * usec, false, 1}, {"", 0, 6 * usec, false, 1}}},
			{"another section has no time yet", append(section(order, ether, enhanced(order, 0, 5, 1, "a")), section(other, describe(other, 101, 0), simple(other, 1, "b"))...),
				[]packetCopy{{"a", 1, 5 * usec, false, 1}, {"b", 1, transform.NoTime, true, 101}}},
			{"the snapshot length cuts simple packets", section(order, describe(order, 1, 2), simple(order, 9, "ab"), simple(order, 1, "c")),
				[]packetCopy{{"ab", 9, transform.NoTime, true, 1}, {"c", 1, transform.NoTime, true, 1}}},
			{"a block cuts its simple packet", section(order, ether, simple(order, 9, "abcd"), simple(order, 0, "")),
				[]packetCopy{{"abcd", 9, transform.NoTime, true, 1}, {"", 0, transform.NoTime, true, 1}}},
			{"a time that does not fit is not the latest", section(order, ether, enhanced(order, 0, 3, 1, "a"), enhanced(order, 0, 1<<64-1, 1, "b"), simple(order, 1, "c")),
				[]packetCopy{{"a", 1, 3 * usec, false, 1}, {"b", 1, transform.NoTime, false, 1}, {"c", 1, 3 * usec, false, 1}}},
			{"sections of both byte orders, each with its interfaces", bytes.Join(blocks{section(order, ether, enhanced(order, 0, 1, 1, "a")),
				section(other, describe(other, 101, 0), enhanced(other, 0, 2, 1, "b")), section(order, cooked, enhanced(order, 0, 3, 1, "c"))}, nil),
				[]packetCopy{{"a", 1, usec, false, 1}, {"b", 1, 2 * usec, false, 101}, {"c", 1, 3 * sec / 1000, false, 113}}},
			{"other blocks are skipped", section(order, block(order, 5, make([]byte, 100)), ether, block(order, 4, make([]byte, 3<<20)),
				enhanced(order, 0, 1, 1, "a"), block(order, 0x80000bad, nil), block(order, 10, make([]byte, 7)), enhanced(order, 0, 2, 1, "b")),
				[]packetCopy{{"a", 1, usec, false, 1}, {"b", 1, 2 * usec, false, 1}}},
			{"version 1.2 is 1.0", versioned(order, 1, 2, ether, enhanced(order, 0, 1, 1, "a")), []packetCopy{{"a", 1, usec, false, 1}}},
			{"captured length above the original length", section(order, ether, enhanced(order, 0, 1, 1, "abcde")), []packetCopy{{"abcde", 5, usec, false, 1}}},
			{"of a long packet the beginning is returned", section(order, ether, enhanced(order, 0, 1, 1<<20, long), enhanced(order, 0, 2, 1, "b")),
				[]packetCopy{{long[:maxPacket], 1 << 20, usec, false, 1}, {"b", 1, 2 * usec, false, 1}}},
			{"a block exceeds the buffer", section(order, ether, enhanced(order, 0, 1, 1, "a", make([]byte, 2*bufferSize)), enhanced(order, 0, 2, 1, "b")),
				[]packetCopy{{"a", 1, usec, false, 1}, {"b", 1, 2 * usec, false, 1}}},
		} {
			for way, r := range map[string]io.Reader{
				"at once":      bytes.NewReader(c.file),
				"byte by byte": iotest.OneByteReader(bytes.NewReader(c.file)),
				"with the end": iotest.DataErrReader(bytes.NewReader(c.file)),
			} {
				got, err := readAll(r)
				if err != nil {
					t.Errorf("%s, %s, %s: error %v", c.name, name, way, err)
				}
				if diff := cmp.Diff(c.want, got); diff != "" {
					t.Errorf("%s, %s, %s (-want +got):\n%.2000s", c.name, name, way, diff)
				}
			}
		}
	}
}

func TestTimes(t *testing.T) {
	offset := func(s int64) []byte { return option(be, ifTsoffset, be.AppendUint64(nil, uint64(s))...) }
	const latest = (1<<63 - 1) / 1_000_000_000
	for _, c := range []struct {
		name    string
		options [][]byte
		ticks   uint64
		want    transform.Time
	}{
		{"microseconds by default", nil, 1_500_000, 1500 * sec / 1000},
		{"10^0", [][]byte{option(be, ifTsresol, 0)}, 3, 3 * sec},
		{"10^-3", [][]byte{option(be, ifTsresol, 3)}, 3, 3 * sec / 1000},
		{"10^-9", [][]byte{option(be, ifTsresol, 9)}, 1<<63 - 1 - 2e9, 1<<63 - 1 - 2e9},
		{"10^-12", [][]byte{option(be, ifTsresol, 12)}, 1_999_999_999_999, 2*sec - 1},
		{"10^-19", [][]byte{option(be, ifTsresol, 19)}, 1<<64 - 1, 1844674407},
		{"2^0", [][]byte{option(be, ifTsresol, 0x80)}, 3, 3 * sec},
		{"2^-1", [][]byte{option(be, ifTsresol, 0x81)}, 3, 1500 * sec / 1000},
		{"2^-20", [][]byte{option(be, ifTsresol, 0x94)}, 1<<20 + 1<<19, 1500 * sec / 1000},
		{"2^-32", [][]byte{option(be, ifTsresol, 0xa0)}, 7<<32 + 3<<30, 7750 * sec / 1000},
		{"2^-63", [][]byte{option(be, ifTsresol, 0xbf)}, 1<<64 - 1, 2*sec - 1},
		{"the latter of two", [][]byte{option(be, ifTsresol, 3), option(be, ifTsresol, 0)}, 3, 3 * sec},
		{"after a name with padding", [][]byte{option(be, 2, 'e', 't', 'h', '1', '0'), option(be, ifTsresol, 0)}, 3, 3 * sec},
		{"after the options' end", [][]byte{option(be, endOfOptions), option(be, ifTsresol, 0)}, 3, 3 * usec},
		{"an empty option", [][]byte{option(be, ifTsresol)}, 3, 3 * usec},
		{"a short option", [][]byte{option(be, ifTsoffset, 0, 0, 0, 1)}, 3, 3 * usec},
		{"an offset", [][]byte{offset(100)}, 3, 100*sec + 3*usec},
		{"a negative offset", [][]byte{offset(-100)}, 100_000_003, 3 * usec},
		{"before 1970", [][]byte{offset(-101)}, 100_000_003, transform.NoTime},
		{"long before 1970", [][]byte{offset(-1 << 63)}, 3, transform.NoTime},
		{"the latest", [][]byte{offset(latest - 1)}, 999_999, (latest-1)*sec + 999_999*usec},
		{"after the latest", [][]byte{offset(latest)}, 999_999, transform.NoTime},
		{"an offset that does not fit", [][]byte{offset(1<<63 - 1)}, 3, transform.NoTime},
		{"a sum that does not fit", [][]byte{offset(1<<63 - 1)}, 1_000_000, transform.NoTime},
		{"seconds that would fit as a negative number", [][]byte{option(be, ifTsresol, 0), offset(100)}, 1<<64 - 1, transform.NoTime},
		{"seconds that do not fit", [][]byte{option(be, ifTsresol, 0), offset(-1 << 62)}, 1<<64 - 1, transform.NoTime},
	} {
		got, err := readAll(bytes.NewReader(section(be, describe(be, 1, 0, c.options...), enhanced(be, 0, c.ticks, 1, "a"))))
		if err != nil || len(got) != 1 || got[0].Time != c.want {
			t.Errorf("%s: got %v, error %v, want %d", c.name, got, err, c.want)
		}
	}
}

// TestDamage: packets before the damage are read; the error names its offset.
func TestDamage(t *testing.T) {
	ether := describe(le, 1, 0)
	first := section(le, ether, enhanced(le, 0, 1, 1, "a")) // 28, 20 and 36 bytes
	records := append(fileHeader(le, microseconds, 2, 4), record(le, 1, 0, 1, 1, "a")...)
	// ending returns a block with another total length.
	ending := func(b []byte, length uint32) []byte { le.PutUint32(b[4:], length); return b }
	// captured returns an enhanced or obsolete packet block with another captured length.
	captured := func(b []byte, n uint32) []byte { le.PutUint32(b[20:], n); return b }
	many := bytes.Repeat(ether, maxInterfaces)
	for _, c := range []struct {
		name, want string
		before     []byte // without damage
		damage     []byte
	}{
		{"a record of 2 GB", "at byte 41: capture length of 2147483647 octets", records, record(le, 1, 0, 1<<31-1, 1, "a")},
		{"a record of one octet too many", "at byte 41: capture length of 262145 octets", records, record(le, 1, 0, maxPacket+1, maxPacket+1, strings.Repeat("x", maxPacket+1))},
		{"a record without its end", "at byte 59: it ends in the middle of a packet", records, record(le, 1, 0, 3, 1, "ab")},
		{"a short block", "at byte 84: a block of 8 bytes", first, ending(block(le, 7, nil), 8)},
		{"a block of 4 GB", "at byte 84: a block of 4294967295 bytes", first, ending(block(le, 7, nil), 1<<32-1)},
		{"a block of more than 16 MB", "at byte 84: a block of 16777220 bytes", first, ending(block(le, 7, nil), 16<<20+4)},
		{"a block of 16 MB without its end", "at byte 96: it ends in the middle of a packet", first, ending(block(le, 7, nil), 16<<20)},
		{"a short section header", "at byte 84: a section header of 24 bytes", first, ending(section(le), 24)},
		{"no byte order", "at byte 84: a section header with a wrong byte order value", first, block(le, sectionHeader, make([]byte, 16))},
		{"a short interface", "at byte 84: an interface description of 16 bytes", first, block(le, interfaceBlock, make([]byte, 4))},
		{"a long interface", "at byte 84: an interface description of 1048588 bytes", first, block(le, interfaceBlock, make([]byte, bufferSize))},
		{"an interface whose option exceeds it", "at byte 84: an interface description with an option of 9 bytes, where 8 are left", first,
			describe(le, 1, 0, append(le.AppendUint16(le.AppendUint16(nil, 2), 9), make([]byte, 8)...))},
		{"10^-20", "at byte 84: an interface with the time resolution 0x14", first, describe(le, 1, 0, option(le, ifTsresol, 20))},
		{"2^-64", "at byte 84: an interface with the time resolution 0xc0", first, describe(le, 1, 0, option(le, ifTsresol, 0xc0))},
		{"too many interfaces", "a section with more than 1024 interfaces", append(bytes.Clone(first), many[20:]...), ether},
		{"a short enhanced packet", "at byte 84: a packet block of 28 bytes", first, block(le, enhancedPacketBlock, make([]byte, 16))},
		{"a short obsolete packet", "at byte 84: a packet block of 28 bytes", first, block(le, obsoletePacketBlock, make([]byte, 16))},
		{"a short simple packet", "at byte 84: a simple packet block of 12 bytes", first, block(le, simplePacketBlock, nil)},
		{"no such interface", "at byte 84: a packet of interface 1 in a section of 1 interfaces", first, enhanced(le, 1, 1, 1, "a")},
		{"no such interface of the section", "at byte 112: a packet of interface 0 in a section of 0 interfaces", append(bytes.Clone(first), section(le)...), obsolete(le, 0, 0, 1, 1, "a")},
		{"a simple packet without an interface", "at byte 112: a simple packet in a section without interfaces", append(bytes.Clone(first), section(le)...), simple(le, 1, "a")},
		{"an enhanced packet that exceeds its block", "at byte 84: a packet of 5 bytes in a block with space for 4", first, captured(enhanced(le, 0, 1, 1, "abcd"), 5)},
		{"an obsolete packet of 4 GB", "at byte 84: a packet of 4294967295 bytes in a block with space for 4", first, captured(obsolete(le, 0, 0, 1, 1, "abcd"), 1<<32-1)},
		{"an unknown version", "at byte 112: unknown pcapng version 2.0", first, versioned(le, 2, 0)},
	} {
		want, err := readAll(bytes.NewReader(c.before))
		if err != nil || len(want) != 1 {
			t.Fatalf("%s: %d packets before, error %v", c.name, len(want), err)
		}
		got, err := readAll(bytes.NewReader(append(bytes.Clone(c.before), c.damage...)))
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: error %v, want %q", c.name, err, c.want)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", c.name, diff)
		}
	}
}

func TestHeadersThatAreRefused(t *testing.T) {
	for _, c := range []struct {
		want string
		file []byte
	}{
		{"there is nothing to read", nil},
		{"there is nothing to read", []byte("abc")},
		{"the file ends within its header", fileHeader(le, microseconds, 2, 4)[:23]},
		{"the file ends within its header", section(le)[:11]},
		{"the file ends within its header", section(be)[:27]},
		{"neither pcap nor pcapng: it begins with 34cdb2a1", fileHeader(le, 0xa1b2cd34, 2, 4)},
		{"unknown pcap version 2.5: 2.0 to 2.4 are read", fileHeader(be, microseconds, 2, 5)},
		{"unknown pcap version 1.4", fileHeader(le, microseconds, 1, 4)},
		{"unknown pcap version 543.0", fileHeader(le, nanoseconds, 543, 0)},
		{"a section header with a wrong byte order value", append([]byte{0x0a, 0x0d, 0x0d, 0x0a, 28, 0, 0, 0}, make([]byte, 20)...)},
		{"unknown pcapng version 1.1: its sections were skipped", versioned(le, 1, 1, describe(le, 1, 0), enhanced(le, 0, 1, 1, "a"))},
	} {
		if _, err := NewReader(bytes.NewReader(c.file)); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%x: error %v, want %q", c.file, err, c.want)
		}
	}
}

// TestSectionsOfUnknownVersionsAreSkipped: the packets of the others are read, and the
// error at the end names the version.
func TestSectionsOfUnknownVersionsAreSkipped(t *testing.T) {
	part := func(major, minor uint16, data string) []byte {
		return versioned(le, major, minor, describe(le, 1, 0), enhanced(le, 0, 1, 1, data))
	}
	for _, order := range [][3][]byte{
		{part(1, 3, "x"), part(1, 0, "a"), part(1, 2, "b")},
		{part(1, 0, "a"), part(2, 0, "x"), part(1, 0, "b")},
		{part(1, 0, "a"), part(1, 2, "b"), part(0, 0, "x")},
	} {
		got, err := readAll(bytes.NewReader(bytes.Join(order[:], nil)))
		if err == nil || !strings.Contains(err.Error(), "at byte 252: unknown pcapng version") {
			t.Errorf("error %v", err)
		}
		if diff := cmp.Diff([]packetCopy{{"a", 1, usec, false, 1}, {"b", 1, usec, false, 1}}, got); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	}
}

// TestEveryCut: wherever a file ends, the packets before the cut are read, and the error
// is the same.
func TestEveryCut(t *testing.T) {
	records, ends := fileHeader(le, microseconds, 2, 4), map[int]int{24: 0} // packets by length
	blocks, blockEnds := section(le, describe(le, 1, 0)), map[int]int{28: 0, 48: 0}
	for i, data := range []string{"abc", "", "abcdefgh"} {
		n := uint32(len(data))
		records = append(records, record(le, 1, 2, n, n, data)...)
		ends[len(records)] = i + 1
		blocks = append(blocks, enhanced(le, 0, 1, n, data, option(le, 1, 'a'))...)
		blockEnds[len(blocks)] = i + 1
	}
	for name, c := range map[string]struct {
		file   []byte
		ends   map[int]int
		header int
	}{"pcap": {records, ends, 24}, "pcapng": {blocks, blockEnds, 28}} {
		before := 0
		for n := c.header; n <= len(c.file); n++ {
			got, err := readAll(bytes.NewReader(c.file[:n]))
			packets, whole := c.ends[n]
			if whole {
				before = packets
			}
			if whole != (err == nil) || !whole && !errors.Is(err, ErrCutOff) {
				t.Errorf("%s, %d bytes: error %v", name, n, err)
			}
			if len(got) != before {
				t.Errorf("%s, %d bytes: %d packets, want %d", name, n, len(got), before)
			}
		}
	}
}

// TestErrorsOfTheReaderAreRecognised: errors.Is finds the reader's error at any offset.
func TestErrorsOfTheReaderAreRecognised(t *testing.T) {
	gone := errors.New("gone")
	for _, file := range [][]byte{
		append(fileHeader(le, microseconds, 2, 4), record(le, 1, 0, 2, 2, "ab")...),
		section(le, describe(le, 1, 0), enhanced(le, 0, 1, 1, "a"), block(le, 7, make([]byte, 40))),
	} {
		for n := range file {
			if _, err := readAll(io.MultiReader(bytes.NewReader(file[:n]), iotest.ErrReader(gone))); !errors.Is(err, gone) {
				t.Errorf("%d bytes: error %v", n, err)
			}
		}
	}
}

// TestMayBlock reads files whose first n octets come in one read, for every n. exact: MayBlock is
// false before every packet that was read completely; else only before packets of which no
// other block is left to read.
func TestMayBlock(t *testing.T) {
	one := enhanced(le, 0, 1, 5, "12345")
	for _, c := range []struct {
		name  string
		file  []byte
		exact bool
	}{
		{"pcap", append(fileHeader(le, microseconds, 2, 4), bytes.Repeat(record(le, 1, 0, 5, 9, "12345"), 3)...), true},
		{"pcap 2.0", append(fileHeader(be, nanoseconds, 2, 0), bytes.Repeat(record(be, 1, 0, 9, 5, "12345"), 3)...), true},
		{"pcapng", section(le, describe(le, 1, 0), one, block(le, 5, nil), one, simple(le, 5, "12345")), false},
	} {
		waits, continues := 0, 0
		for n := 24; n < len(c.file); n++ {
			source := &countedReads{r: io.MultiReader(bytes.NewReader(c.file[:n]), bytes.NewReader(c.file[n:]))}
			r, err := NewReader(source)
			for err == nil {
				var p Packet
				mayBlock, reads := r.MayBlock(), source.reads
				if err = r.Next(&p); err != nil {
					break
				}
				waited := source.reads > reads
				if waited && !mayBlock || c.exact && waited != mayBlock {
					t.Errorf("%s, %d octets at first: MayBlock was %v, Next waited: %v", c.name, n, mayBlock, waited)
				}
				if waited {
					waits++
				} else if !mayBlock {
					continues++
				}
			}
			if err != io.EOF {
				t.Errorf("%s, %d octets at first: error %v", c.name, n, err)
			}
		}
		if waits == 0 || continues == 0 {
			t.Errorf("%s: Next waited %d times, and MayBlock was false %d times", c.name, waits, continues)
		}
	}
}

type countedReads struct {
	r     io.Reader
	reads int
}

func (c *countedReads) Read(b []byte) (int, error) {
	c.reads++
	return c.r.Read(b)
}

func TestNextDoesNotAlloc(t *testing.T) {
	for path, file := range captures(t) {
		for name, b := range map[string][]byte{"pcap": file, "pcapng": asPcapng(t, be, file)} {
			const runs = 20
			r, err := NewReader(bytes.NewReader(b))
			if err != nil {
				t.Fatal(err)
			}
			var p Packet
			if allocs := testing.AllocsPerRun(runs, func() {
				if err := r.Next(&p); err != nil && err != io.EOF {
					t.Error(err)
				}
			}); allocs != 0 {
				t.Errorf("%s as %s: %v allocations for a packet", path, name, allocs)
			}
		}
	}
}

// TestSectionsDoNotAlloc: descriptions of interfaces are kept in the same memory.
func TestSectionsDoNotAlloc(t *testing.T) {
	one := section(le, bytes.Repeat(describe(le, 1, 0), 100), enhanced(le, 99, 1, 1, "a"))
	r, err := NewReader(bytes.NewReader(bytes.Repeat(one, 300)))
	if err != nil {
		t.Fatal(err)
	}
	var p Packet
	if allocs := testing.AllocsPerRun(200, func() {
		if err := r.Next(&p); err != nil {
			t.Error(err)
		}
	}); allocs != 0 {
		t.Errorf("%v allocations for a section", allocs)
	}
}

func BenchmarkReader(b *testing.B) {
	const times = 100
	file := captures(b)["../testdata/unbound.pcap"]
	for name, whole := range map[string][]byte{
		"pcap":   append(bytes.Clone(file[:fileHeaderLen]), bytes.Repeat(file[fileHeaderLen:], times)...),
		"pcapng": bytes.Repeat(asPcapng(b, le, file), times),
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			b.SetBytes(int64(len(whole)))
			packets := 0
			for b.Loop() {
				r, err := NewReader(bytes.NewReader(whole))
				if err != nil {
					b.Fatal(err)
				}
				var p Packet
				for ; err == nil; packets++ {
					err = r.Next(&p)
				}
				if packets--; err != io.EOF {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(packets), "ns/packet")
		})
	}
}
