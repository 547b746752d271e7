package nmsg

import (
	"bytes"
	"encoding/hex"
	"reflect"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/dnstap-pdns/dnstap-pdns/transform"
)

const seqID = 0x0123456789abcdef

// sealed puts payloads into one container and numbers it.
func sealed(payloads []Payload, seqID uint64, seq uint32) []byte {
	var c Container
	b := c.Begin(nil)
	for _, p := range payloads {
		b = c.Add(b, p)
	}
	b = c.Seal(b, seqID)
	SetSequence(b, seqID, seq)
	return b
}

// payloadsOf encodes records that differ in their type.
func payloadsOf(t testing.TB, n int, changes ...func(*transform.Record)) []Payload {
	t.Helper()
	var all []Payload
	for i := range n {
		r := recordWith(changes...)
		r.Type = uint16(i)
		all = append(all, appendTo(t, DNSQR, IDs{Source: 7}, r))
	}
	return all
}

// One dnsobs payload: header, payload (vid, type, time, data, ids), CRC, sequence,
// sequence id. The CRC was computed with other code.
func TestContainerIsThisToTheByte(t *testing.T) {
	p := appendTo(t, DNSObs, IDs{Source: 1, Operator: 2, Group: 300}, recordWith())
	got := sealed([]Payload{p}, seqID, 300)
	want := unhex(t, `
		4e4d5347 00 02 00000087
		0a 6f
		 08 01 10 0e
		 18 80e2cfaa06 25 80b2e60e
		 2a 57
		  08 80e2cfaa06
		  12 04 c0000201
		  1a 11 03777777 076578616d706c65 03636f6d 00
		  20 01 28 01 30 00
		  3a 21 000084000001000000000000 03777777076578616d706c6503636f6d00 00010001
		  42 0d 076578616d706c65 03636f6d 00
		 38 01 40 02 48 ac02
		10 88cee29001
		18 ac82808000
		20 ef9bafcdf8acd19101`)
	if !bytes.Equal(got, want) {
		t.Errorf("got\n%s\nwant\n%s", hex.Dump(got), hex.Dump(want))
	}
}

func TestContainerReadByOracle(t *testing.T) {
	payloads := payloadsOf(t, 3)
	for _, seq := range []uint32{0, 1, 127, 128, 1 << 28, 1<<32 - 1} {
		b := sealed(payloads, seqID, seq)
		want := fields{"sequence": seq, "sequence_id": uint64(seqID)}
		var crcs, all []any
		for _, p := range payloads {
			crcs = append(crcs, wireCRC(p.CRC))
			all = append(all, readByOracle(t, "NmsgPayload", p.Bytes))
		}
		want["payload_crcs"], want["payloads"] = crcs, all
		if diff := cmp.Diff(want, readByOracle(t, "Nmsg", b[headerLen:])); diff != "" {
			t.Errorf("sequence %d (-want +got):\n%s", seq, diff)
		}
	}
}

func TestCRCIsCastagnoliByteSwapped(t *testing.T) {
	if got := checksum([]byte("123456789")); got != 0xe3069283 {
		t.Errorf("CRC-32C of 123456789 is %#x", got)
	}
	if got := wireCRC(0x06165d8b); got != 0x8b5d1606 {
		t.Errorf("0x06165d8b is written as %#x", got)
	}
}

func TestFitsComputesTheSealedSize(t *testing.T) {
	for _, id := range []uint64{0, 1, 1 << 62, 1<<64 - 1} {
		var c Container
		buf := []byte("an earlier container")
		start := len(buf)
		buf = c.Begin(buf)
		for i, p := range payloadsOf(t, 20) {
			next := new(Container)
			*next = c
			next.crcs = bytes.Clone(c.crcs)
			after := next.Seal(next.Add(bytes.Clone(buf), p), id)
			size := len(after) - start
			if !c.Fits(buf, p, size, id) || i > 0 && c.Fits(buf, p, size-1, id) {
				t.Errorf("payload %d, id %d: Fits does not turn at %d bytes", i, id, size)
			}
			buf = c.Add(buf, p)
		}
		if c.Payloads() != 20 {
			t.Errorf("%d payloads", c.Payloads())
		}
	}
}

func TestEmptyContainerTakesAnyPayload(t *testing.T) {
	var c Container
	buf := c.Begin(nil)
	p := appendTo(t, DNSQR, IDs{}, recordWith(responseOf(60_000)))
	if !c.Fits(buf, p, MinSize, seqID) {
		t.Error("a payload that fits nowhere is refused")
	}
	if buf = c.Add(buf, p); c.Fits(buf, p, MinSize, seqID) {
		t.Error("a second one is taken")
	}
}

func TestContainersFollowOneAnother(t *testing.T) {
	payloads := payloadsOf(t, 6)
	var c Container
	var buf []byte
	for i := 0; i < len(payloads); i += 2 {
		start := len(buf)
		buf = c.Begin(buf)
		buf = c.Add(buf, payloads[i])
		buf = c.Add(buf, payloads[i+1])
		buf = c.Seal(buf, seqID)
		SetSequence(buf[start:], seqID, uint32(i/2))
	}
	checkMessages(t, payloads, readWhole(t, buf))
}

// checkMessages compares what was read with the payloads that were written.
func checkMessages(t testing.TB, want []Payload, got []Message) {
	t.Helper()
	var all []Message
	for _, p := range want {
		m, err := parsePayload(p.Bytes)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, m)
	}
	// cmp is not deterministic, so that fuzzing would see new coverage.
	if !reflect.DeepEqual(all, got) {
		t.Errorf("messages (-written +read):\n%s", cmp.Diff(all, got))
	}
}
