package uncompress

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"hash"
	"hash/crc32"
	"hash/crc64"
	"io"
	"slices"

	"github.com/ulikunitz/xz/lzma"
)

var (
	errXZDamaged    = errors.New("the data is damaged")
	errXZDictionary = fmt.Errorf("a dictionary of more than %d MiB", xzDictionary>>20)
)

// checks are the integrity checks of a block, by number (section 2.1.1.2).
var checks = map[byte]func() hash.Hash{
	0:  func() hash.Hash { return noCheck{crc32.NewIEEE()} },
	1:  func() hash.Hash { return littleEndian{crc32.NewIEEE()} },
	4:  func() hash.Hash { return littleEndian{crc64.New(crc64.MakeTable(crc64.ECMA))} },
	10: sha256.New,
}

// noCheck is the check that has no octets.
type noCheck struct{ hash.Hash }

func (noCheck) Sum(b []byte) []byte { return b }
func (noCheck) Size() int           { return 0 }

// littleEndian is a check that is stored with its least significant octet first.
type littleEndian struct{ hash.Hash }

func (l littleEndian) Sum(b []byte) []byte {
	sum := l.Hash.Sum(nil)
	slices.Reverse(sum)
	return append(b, sum...)
}

const xzHeaderLen = 12 // of a stream's header and of its footer

// An xzReader reads the .xz format (https://tukaani.org/xz/xz-file-format.txt, 1.2.1, to
// which the section numbers here refer): streams of blocks of LZMA2 chunks. The library
// decodes the chunks. Its own reader of the format is not used, because it allocates the
// dictionary that a block's header requires, up to 4 GiB, and memory for every block of a
// stream. Here all blocks share one dictionary of limited size, and of the index only a
// checksum is kept.
//
// Blocks with filters other than LZMA2 alone are refused.
type xzReader struct {
	in  *bufio.Reader
	err error // ends reading; io.EOF at the end of a whole file

	// Of the stream.
	flags  byte // its check's number
	check  hash.Hash
	blocks uint64
	sizes  hash.Hash64 // of the blocks' sizes, which the index must repeat

	// Of the block.
	inBlock          bool
	header           uint64   // octets of its header
	packed, unpacked uint64   // octets so far
	declared         [2]int64 // packed and unpacked octets by its header; -1: unknown
	dictionary       int      // octets that its header requires

	// Of the chunk.
	packedLeft   int // octets of it, with its header, that chunks has not read
	unpackedLeft int // octets of its content that Read has not returned

	chunks   *lzma.Reader2 // reads from chunkReader
	capacity int           // of its dictionary, in octets
}

func newXZReader(r io.Reader) (*xzReader, error) {
	x := &xzReader{in: bufio.NewReader(r)}
	return x, x.stream()
}

// Read returns uncompressed content, and io.ErrUnexpectedEOF if the file is truncated. The
// content of a truncated chunk, of up to 64 KiB when compressed, is lost, because the
// library returns nothing of a chunk that it cannot decode.
func (x *xzReader) Read(p []byte) (n int, err error) {
	for x.unpackedLeft == 0 && x.err == nil {
		x.err = x.advance()
	}
	if x.err != nil {
		return 0, x.err
	}
	n, x.err = x.chunks.Read(p[:min(len(p), x.unpackedLeft)])
	x.unpackedLeft -= n
	x.unpacked += uint64(n)
	x.check.Write(p[:n])
	switch {
	case x.packedLeft == 0 && isEnd(x.err), x.packedLeft > 0 && x.unpackedLeft == 0:
		x.err = errXZDamaged // the chunk's sizes contradict its content
	case isEnd(x.err):
		x.err = io.ErrUnexpectedEOF
	}
	return n, x.err
}

func isEnd(err error) bool {
	return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF)
}

// advance reads the next part of the format that is not content: the header of a chunk,
// block or stream, the end of a block, or the index of a stream.
func (x *xzReader) advance() error {
	if x.inBlock {
		return x.chunk()
	}
	next, err := x.peek(1)
	if err != nil {
		return err
	}
	if next[0] != 0 {
		return x.block(4 * (int(next[0]) + 1))
	}
	if err := x.index(); err != nil {
		return err
	}
	for { // stream padding (section 2.2)
		next, err := x.in.Peek(4)
		switch {
		case len(next) == 0:
			return err
		case !bytes.Equal(next, make([]byte, 4)):
			return x.stream()
		}
		x.in.Discard(4)
	}
}

// peek returns the next n octets without reading them. Their absence is
// io.ErrUnexpectedEOF.
func (x *xzReader) peek(n int) ([]byte, error) {
	b, err := x.in.Peek(n)
	if err == io.EOF {
		err = io.ErrUnexpectedEOF
	}
	return b, err
}

// stream reads a stream's header (section 2.1.1).
func (x *xzReader) stream() error {
	b, err := x.peek(xzHeaderLen)
	if err != nil {
		return err
	}
	if !isXZ(b) || binary.LittleEndian.Uint32(b[8:]) != crc32.ChecksumIEEE(b[6:8]) {
		return errXZDamaged
	}
	check := checks[b[7]]
	if b[6] != 0 || check == nil {
		return fmt.Errorf("unknown stream flags %x", b[6:8])
	}
	x.flags, x.check = b[7], check()
	x.blocks, x.sizes = 0, crc64.New(crc64.MakeTable(crc64.ISO))
	_, err = x.in.Discard(xzHeaderLen)
	return err
}

// block reads a block's header (section 3.1), which has size octets.
func (x *xzReader) block(size int) error {
	b, err := x.peek(size)
	if err != nil {
		return err
	}
	b, sum := b[:size-4], b[size-4:]
	if binary.LittleEndian.Uint32(sum) != crc32.ChecksumIEEE(b) {
		return errXZDamaged
	}
	flags, fields := b[1], bytes.NewReader(b[2:])
	for i, bit := range []byte{0x40, 0x80} { // the sizes of the packed and the unpacked content
		x.declared[i] = -1
		if flags&bit != 0 {
			n, err := binary.ReadUvarint(fields)
			if err != nil || n >= 1<<63 {
				return errXZDamaged
			}
			x.declared[i] = int64(n)
		}
	}
	var filter [3]byte // id, size of its properties, dictionary
	if _, err := io.ReadFull(fields, filter[:]); err != nil {
		return errXZDamaged
	}
	if flags&0x3f != 0 || filter[0] != 0x21 || filter[1] != 1 {
		return errors.New("filters other than LZMA2 are not supported: uncompress it with xz first")
	}
	dictionary, err := lzma.DecodeDictCap(filter[2])
	if err != nil {
		return err
	}
	if dictionary > xzDictionary {
		return errXZDictionary
	}
	x.inBlock, x.header, x.packed, x.unpacked, x.dictionary = true, uint64(size), 0, 0, int(dictionary)
	x.check.Reset()
	_, err = x.in.Discard(size)
	return err
}

// chunk reads the header of an LZMA2 chunk, or the octet that ends the chunks of a block.
// LZMA2 has no specification other than the decoder of liblzma.
func (x *xzReader) chunk() error {
	control, err := x.peek(1)
	if err != nil {
		return err
	}
	resets := control[0] == 1 || control[0] >= 0xe0
	switch {
	case control[0] == 0:
		x.packed++
		x.in.Discard(1)
		return x.endBlock()
	case x.packed == 0 && !resets: // it would read the dictionary of the previous block
		return errXZDamaged
	case control[0] <= 2: // stored
		b, err := x.peek(3)
		if err != nil {
			return err
		}
		x.unpackedLeft = int(binary.BigEndian.Uint16(b[1:])) + 1
		x.packedLeft = len(b) + x.unpackedLeft
	case control[0] < 0x80:
		return errXZDamaged
	default:
		size := 5
		if control[0] >= 0xc0 {
			size++
		}
		b, err := x.peek(size)
		if err != nil {
			return err
		}
		if size == 6 && b[5]%9+b[5]/9%5 > 4 { // lc + lp; the library allocates memory for up to 12
			return errXZDamaged
		}
		x.unpackedLeft = int(b[0]&0x1f)<<16 + int(binary.BigEndian.Uint16(b[1:])) + 1
		x.packedLeft = size + int(binary.BigEndian.Uint16(b[3:])) + 1
	}
	x.packed += uint64(x.packedLeft)
	if x.chunks != nil && x.dictionary <= x.capacity {
		return nil
	}
	x.capacity = x.dictionary
	x.chunks, err = lzma.Reader2Config{DictCap: x.capacity}.NewReader2((*chunkReader)(x))
	return err
}

// A chunkReader gives the library the current chunk, and io.EOF at its end.
type chunkReader xzReader

func (x *chunkReader) Read(p []byte) (int, error) {
	if x.packedLeft == 0 {
		return 0, io.EOF
	}
	n, err := x.in.Read(p[:min(len(p), x.packedLeft)])
	x.packedLeft -= n
	return n, err
}

// endBlock reads the padding and the check of a block (sections 3.3 and 3.4).
func (x *xzReader) endBlock() error {
	size := x.check.Size()
	padding := int(-x.packed & 3)
	b, err := x.peek(padding + size)
	if err != nil {
		return err
	}
	if bytes.Count(b[:padding], []byte{0}) != padding || !bytes.Equal(b[padding:], x.check.Sum(nil)) {
		return errXZDamaged
	}
	for i, actual := range []uint64{x.packed, x.unpacked} {
		if x.declared[i] >= 0 && uint64(x.declared[i]) != actual {
			return errXZDamaged
		}
	}
	x.inBlock = false
	x.blocks++
	addIndexRecord(x.sizes, x.header+x.packed+uint64(size), x.unpacked)
	_, err = x.in.Discard(len(b))
	return err
}

// addIndexRecord adds the sizes of one block to a checksum, by which index compares the
// index with the blocks that were read.
func addIndexRecord(h hash.Hash64, packed, unpacked uint64) {
	var b [16]byte
	binary.LittleEndian.PutUint64(b[:], packed)
	binary.LittleEndian.PutUint64(b[8:], unpacked)
	h.Write(b[:])
}

// index reads a stream's index and footer (sections 4 and 2.1.2). The index must list the
// blocks that were read.
func (x *xzReader) index() error {
	in := &indexReader{in: x.in, sum: crc32.NewIEEE()}
	in.ReadByte() // the 0 that was peeked
	blocks := in.number()
	if in.err == nil && blocks != x.blocks {
		return errXZDamaged
	}
	sizes := crc64.New(crc64.MakeTable(crc64.ISO))
	for i := uint64(0); i < blocks && in.err == nil; i++ {
		packed, unpacked := in.number(), in.number()
		addIndexRecord(sizes, packed, unpacked)
	}
	for in.err == nil && in.n%4 != 0 {
		if b, _ := in.ReadByte(); b != 0 {
			return errXZDamaged
		}
	}
	if in.err != nil {
		return in.err
	}
	b, err := x.peek(4 + xzHeaderLen)
	if err != nil {
		return err
	}
	le, footer := binary.LittleEndian, b[4:]
	if le.Uint32(b) != in.sum.Sum32() || sizes.Sum64() != x.sizes.Sum64() ||
		le.Uint32(footer) != crc32.ChecksumIEEE(footer[4:10]) || (uint64(le.Uint32(footer[4:]))+1)*4 != in.n+4 ||
		footer[8] != 0 || footer[9] != x.flags || string(footer[10:]) != "YZ" {
		return errXZDamaged
	}
	_, err = x.in.Discard(len(b))
	return err
}

// An indexReader reads octets, counts them and computes their checksum.
type indexReader struct {
	in  *bufio.Reader
	sum hash.Hash32
	n   uint64
	err error // the first; the end of the file is io.ErrUnexpectedEOF
}

// ReadByte implements io.ByteReader.
func (r *indexReader) ReadByte() (byte, error) {
	b, err := r.in.ReadByte()
	if err == nil {
		r.n++
		r.sum.Write([]byte{b})
	} else if r.err = err; err == io.EOF {
		r.err = io.ErrUnexpectedEOF
	}
	return b, r.err
}

// number reads an integer of variable length (section 1.2). It sets r.err on failure.
func (r *indexReader) number() uint64 {
	n, err := binary.ReadUvarint(r)
	if err != nil && r.err == nil {
		r.err = errXZDamaged
	}
	return n
}
