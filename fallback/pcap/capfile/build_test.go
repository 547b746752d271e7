package capfile

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/dnstap-pdns/dnstap-pdns/transform"
)

var (
	le = binary.LittleEndian
	be = binary.BigEndian
)

// A packetCopy is a packet with its own copy of the data.
type packetCopy struct {
	Data    string
	Length  int
	Time    transform.Time
	Untimed bool
	Link    uint16
}

// readAll returns the packets of a file, and nil instead of io.EOF.
func readAll(r io.Reader) (all []packetCopy, err error) {
	file, err := NewReader(r)
	var p Packet
	for err == nil {
		if err = file.Next(&p); err == nil {
			all = append(all, packetCopy{string(p.Data), p.Length, p.Time, p.Untimed, p.Link})
		}
	}
	if err == io.EOF {
		err = nil
	}
	return all, err
}

// fileHeader returns the header of a pcap file of Ethernet packets.
func fileHeader(order binary.AppendByteOrder, magic uint32, major, minor uint16) []byte {
	b := order.AppendUint16(order.AppendUint16(order.AppendUint32(nil, magic), major), minor)
	b = append(b, 1, 2, 3, 4, 5, 6, 7, 8) // unused, to be ignored
	return order.AppendUint32(order.AppendUint32(b, 65535), 1)
}

// record returns a packet of a pcap file.
func record(order binary.AppendByteOrder, seconds, fraction, captured, original uint32, data string) []byte {
	b := order.AppendUint32(order.AppendUint32(nil, seconds), fraction)
	return append(order.AppendUint32(order.AppendUint32(b, captured), original), data...)
}

// block returns a pcapng block, whose body it pads.
func block(order binary.AppendByteOrder, kind uint32, body []byte) []byte {
	body = append(bytes.Clone(body), make([]byte, -len(body)&3)...)
	length := uint32(minBlock + len(body))
	b := order.AppendUint32(order.AppendUint32(nil, kind), length)
	return order.AppendUint32(append(b, body...), length)
}

func section(order binary.AppendByteOrder, blocks ...[]byte) []byte {
	return versioned(order, 1, 0, blocks...)
}

func versioned(order binary.AppendByteOrder, major, minor uint16, blocks ...[]byte) []byte {
	body := order.AppendUint16(order.AppendUint16(order.AppendUint32(nil, byteOrderMagic), major), minor)
	header := block(order, sectionHeader, order.AppendUint64(body, 1<<64-1)) // the length is not known
	return append(header, bytes.Join(blocks, nil)...)
}

func describe(order binary.AppendByteOrder, link uint16, snapLength uint32, options ...[]byte) []byte {
	body := order.AppendUint32(order.AppendUint16(order.AppendUint16(nil, link), 0), snapLength)
	return block(order, interfaceBlock, append(body, bytes.Join(options, nil)...))
}

func option(order binary.AppendByteOrder, code uint16, value ...byte) []byte {
	b := order.AppendUint16(order.AppendUint16(nil, code), uint16(len(value)))
	return append(append(b, value...), make([]byte, -len(value)&3)...)
}

func enhanced(order binary.AppendByteOrder, id uint32, ticks uint64, original uint32, data string, options ...[]byte) []byte {
	b := order.AppendUint32(order.AppendUint32(order.AppendUint32(nil, id), uint32(ticks>>32)), uint32(ticks))
	b = append(order.AppendUint32(order.AppendUint32(b, uint32(len(data))), original), data...)
	b = append(b, make([]byte, -len(data)&3)...)
	return block(order, enhancedPacketBlock, append(b, bytes.Join(options, nil)...))
}

func obsolete(order binary.AppendByteOrder, id, drops uint16, ticks uint64, original uint32, data string) []byte {
	b := order.AppendUint16(order.AppendUint16(nil, id), drops)
	b = order.AppendUint32(order.AppendUint32(b, uint32(ticks>>32)), uint32(ticks))
	return block(order, obsoletePacketBlock, append(order.AppendUint32(order.AppendUint32(b, uint32(len(data))), original), data...))
}

func simple(order binary.AppendByteOrder, original uint32, data string) []byte {
	return block(order, simplePacketBlock, append(order.AppendUint32(nil, original), data...))
}

// captures returns the module's pcap files by path.
func captures(t testing.TB) map[string][]byte {
	t.Helper()
	all := map[string][]byte{}
	for _, pattern := range []string{"../testdata/*.pcap", "../../../integration/testdata/captures/*.pcap"} {
		paths, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		for _, path := range paths {
			if all[path], err = os.ReadFile(path); err != nil {
				t.Fatal(err)
			}
		}
	}
	if len(all) < 10 {
		t.Fatal(errors.New("captures are missing"))
	}
	return all
}

// asPcapng returns the packets of a pcap file as a section of enhanced packet blocks
// with nanoseconds.
func asPcapng(t testing.TB, order binary.AppendByteOrder, file []byte) []byte {
	t.Helper()
	packets, err := readAll(bytes.NewReader(file))
	if err != nil || len(packets) == 0 {
		t.Fatalf("%d packets, error %v", len(packets), err)
	}
	b := section(order, describe(order, packets[0].Link, 0, option(order, ifTsresol, 9), option(order, endOfOptions)))
	for _, p := range packets {
		b = append(b, enhanced(order, 0, uint64(p.Time), uint32(p.Length), p.Data, option(order, 2, 0, 0, 0, 1))...)
	}
	return b
}
