package uncompress

import (
	"bytes"
	"encoding/binary"
	"hash/crc32"
	"runtime"
	"strings"
	"testing"
)

// TestXZStreams reads a file of three streams, with padding and with each check.
func TestXZStreams(t *testing.T) {
	whole := file(t, "streams.xz")
	got, err := read(bytes.NewReader(whole))
	if err != nil || !bytes.Equal(got, file(t, "lines")) {
		t.Errorf("%d bytes, error %v", len(got), err)
	}
	for n := 1; n < 8; n++ {
		_, err := read(bytes.NewReader(whole[:len(whole)-n]))
		if cut := n != 4; cut != (err != nil) {
			t.Errorf("%d bytes of padding: error %v", 8-n, err)
		}
	}
	if got, err := read(bytes.NewReader(append(whole, "tail of the file"...))); err == nil || !bytes.Equal(got, file(t, "lines")) {
		t.Errorf("octets that are not a stream after the padding: %d bytes, error %v", len(got), err)
	}
}

// TestEveryDamagedOctetOfXZIsAnError changes each bit: checksums protect all of them.
func TestEveryDamagedOctetOfXZIsAnError(t *testing.T) {
	whole := file(t, "tiny.xz")
	want, err := read(bytes.NewReader(whole))
	if err != nil || len(want) != 43 {
		t.Fatalf("%d bytes, error %v", len(want), err)
	}
	for i := longestMagic; i < len(whole); i++ {
		for bit := range 8 {
			b := bytes.Clone(whole)
			b[i] ^= 1 << bit
			if _, err := read(bytes.NewReader(b)); err == nil {
				t.Errorf("byte %d, bit %d: no error", i, bit)
			}
		}
		if _, err := read(bytes.NewReader(whole[:i])); err == nil || err.Error() != "the xz data is cut off" {
			t.Errorf("%d bytes: error %v", i, err)
		}
	}
}

func TestOtherFiltersAreRefused(t *testing.T) {
	if _, err := read(bytes.NewReader(file(t, "delta.xz"))); err == nil || !strings.Contains(err.Error(), "filters other than LZMA2 are not supported: uncompress it with xz first") {
		t.Errorf("error %v", err)
	}
}

// An xzStream is a stream with CRC32 as its check, whose blocks a test writes.
type xzStream struct{ bytes.Buffer }

func newXZStream() *xzStream {
	s := &xzStream{}
	s.WriteString("\xfd7zXZ\x00")
	s.writeSummed([]byte{0, 1})
	return s
}

// writeSummed writes octets and their checksum.
func (s *xzStream) writeSummed(b []byte) {
	s.Write(binary.LittleEndian.AppendUint32(b, crc32.ChecksumIEEE(b)))
}

// block writes a block: the code of its dictionary size, its chunks, and the check of
// content.
func (s *xzStream) block(dictionary byte, chunks, content []byte) {
	s.writeSummed([]byte{2, 0, 0x21, 1, dictionary, 0, 0, 0})
	s.Write(chunks)
	s.Write(make([]byte, -len(chunks)&3))
	s.Write(binary.LittleEndian.AppendUint32(nil, crc32.ChecksumIEEE(content)))
}

// TestHostileXZDoesNotFillMemory reads blocks of one octet that each require the largest
// dictionary.
func TestHostileXZDoesNotFillMemory(t *testing.T) {
	const blocks = 2000
	s := newXZStream()
	for range blocks {
		s.block(28, []byte{1, 0, 0, 'x', 0}, []byte("x")) // 64 MiB
	}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	got, err := read(&s.Buffer)
	runtime.ReadMemStats(&after)
	if len(got) != blocks || err == nil || !strings.Contains(err.Error(), "cut off") { // there is no index
		t.Errorf("%d bytes, error %v", len(got), err)
	}
	if grown := after.TotalAlloc - before.TotalAlloc; grown > 200<<20 {
		t.Errorf("%d MiB were allocated", grown>>20)
	}
}

func TestInvalidBlocksOfXZAreRefused(t *testing.T) {
	// packed is a chunk of compressed data with these properties.
	packed := func(control, properties byte) []byte {
		return append([]byte{control, 0, 0, 0, 5, properties}, make([]byte, 6)...)
	}
	const before = "content of the block before"
	for _, c := range []struct {
		name, want string
		dictionary byte
		chunks     []byte
	}{
		{"a dictionary of 96 MiB", "needs too much memory", 29, []byte{0}},
		{"a dictionary of 4 GiB", "needs too much memory", 40, []byte{0}},
		{"a dictionary without a size", "dictionary size", 41, []byte{0}},
		{"a stored chunk that needs the block before", "damaged", 0, []byte{2, 0, 0, 'x', 0}},
		{"a packed chunk that needs the block before", "damaged", 0, packed(0xc0, 0)},
		{"an unknown chunk", "damaged", 0, []byte{3, 0, 0, 'x', 0}},
		{"8 lc bits", "damaged", 0, packed(0xe0, 8)},
		{"4 lp bits and 1 lc bit", "damaged", 0, packed(0xe0, 4*9+1)},
		{"5 pb bits", "properties", 0, packed(0xe0, 225)},
	} {
		s := newXZStream()
		s.block(0, append(append([]byte{1, 0, byte(len(before) - 1)}, before...), 0), []byte(before))
		s.block(c.dictionary, c.chunks, nil)
		got, err := read(&s.Buffer)
		if err == nil || !strings.Contains(err.Error(), c.want) || string(got) != before {
			t.Errorf("%s: %q, error %v, want %q", c.name, got, err, c.want)
		}
	}
}

// end writes an index of one record and a footer with that check's number.
func (s *xzStream) end(packed, unpacked, check byte) {
	s.writeSummed([]byte{0, 1, packed, unpacked})
	backward := []byte{1, 0, 0, 0, 0, check}
	s.Write(binary.LittleEndian.AppendUint32(nil, crc32.ChecksumIEEE(backward)))
	s.Write(append(backward, "YZ"...))
}

func TestIndexOfXZMustListTheBlocks(t *testing.T) {
	for _, c := range []struct {
		packed, unpacked, check byte
		whole                   bool
	}{{29, 9, 1, true}, {30, 9, 1, false}, {29, 8, 1, false}, {29, 9, 4, false}} {
		s := newXZStream()
		s.block(0, []byte("\x01\x00\x08123456789\x00"), []byte("123456789"))
		s.end(c.packed, c.unpacked, c.check)
		if got, err := read(&s.Buffer); c.whole != (err == nil) || string(got) != "123456789" {
			t.Errorf("%+v: %q, error %v", c, got, err)
		}
	}
}

func TestLaterStreamsOfXZMayHaveLargerDictionaries(t *testing.T) {
	got, err := read(bytes.NewReader(append(file(t, "tiny.xz"), file(t, "lines.xz")...)))
	if err != nil || !bytes.HasSuffix(got, file(t, "lines")) {
		t.Errorf("%d bytes, error %v", len(got), err)
	}
}
