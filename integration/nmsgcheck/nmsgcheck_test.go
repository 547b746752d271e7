package nmsgcheck

import (
	"encoding/binary"
	"os"
	"strings"
	"testing"
)

// TestReadsFilesOfNmsgtool checks that the reference tool's plain, compressed and fragmented
// files yield the same records.
func TestReadsFilesOfNmsgtool(t *testing.T) {
	plain := records(t, readFile(t, "testdata/unbound-dnsqr.nmsg"))
	if len(plain) != 127 {
		t.Fatalf("%d records, nmsgtool prints 127", len(plain))
	}
	for name, data := range map[string][]byte{
		"zlib":      readFile(t, "testdata/unbound-dnsqr-zlib.nmsg"),
		"fragments": datagrams(t, readFile(t, "testdata/udp-mtu512.pcap")),
	} {
		got := records(t, data)
		if len(got) != len(plain) {
			t.Fatalf("%s: %d records, want %d", name, len(got), len(plain))
		}
		for i := range got {
			if string(got[i].Payload.Message) != string(plain[i].Payload.Message) {
				t.Errorf("%s: record %d differs", name, i)
			}
		}
	}
	if got := records(t, readFile(t, "testdata/dnsobs.nmsg")); len(got) == 0 || got[0].TypeName != "dnsobs" {
		t.Errorf("dnsobs: %d records", len(got))
	}
}

func TestUnscrubbedRecordIsFound(t *testing.T) {
	for _, r := range records(t, readFile(t, "testdata/unbound-dnsqr.nmsg")) {
		if err := r.CheckScrubbed(); err == nil || !strings.Contains(err.Error(), "resolver_address_zeroed is not set") {
			t.Errorf("%s: %v", r.Name, err)
		}
	}
}

func TestDamageIsFound(t *testing.T) {
	whole := readFile(t, "testdata/dnsobs.nmsg")
	if _, err := Containers(whole); err != nil {
		t.Fatal(err)
	}
	for i := range whole {
		damaged := append([]byte(nil), whole...)
		damaged[i] ^= 0x10
		// Bytes without a checksum must at least change the result.
		if all, err := Containers(damaged); err == nil && same(all, mustRead(t, whole)) {
			t.Errorf("byte %d changed and the result did not", i)
		}
		if _, err := Containers(whole[:i]); err == nil && i > 0 && i != headerLen+int(binary.BigEndian.Uint32(whole[6:])) {
			t.Errorf("cut to %d bytes without an error", i)
		}
	}
}

func same(a, b []Container) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if a[i].Sequence != b[i].Sequence || a[i].SequenceID != b[i].SequenceID || len(a[i].Payloads) != len(b[i].Payloads) {
			return false
		}
		for j, p := range a[i].Payloads {
			q := b[i].Payloads[j]
			if string(p.Message) != string(q.Message) || !p.Time.Equal(q.Time) || p.Vendor != q.Vendor || p.Type != q.Type ||
				p.Source != q.Source || p.Operator != q.Operator || p.Group != q.Group {
				return false
			}
		}
	}
	return true
}

func records(t *testing.T, data []byte) []Record {
	t.Helper()
	var all []Record
	for _, c := range mustRead(t, data) {
		for _, p := range c.Payloads {
			r, err := Decode(p)
			if err != nil {
				t.Fatal(err)
			}
			all = append(all, r)
		}
	}
	return all
}

func mustRead(t *testing.T, data []byte) []Container {
	t.Helper()
	all, err := Containers(data)
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// datagrams returns the concatenated payloads of the UDP packets in a capture.
func datagrams(t *testing.T, pcap []byte) []byte {
	t.Helper()
	const fileHeader, recordHeader = 24, 16
	link := map[uint32]int{1: 14, 101: 0, 113: 16}[binary.LittleEndian.Uint32(pcap[20:])]
	var all []byte
	for b := pcap[fileHeader:]; len(b) > 0; {
		size := recordHeader + int(binary.LittleEndian.Uint32(b[8:]))
		p, err := parsePacket(b[recordHeader+link : size])
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, p.Payload...)
		b = b[size:]
	}
	return all
}

func readFile(t *testing.T, name string) []byte {
	t.Helper()
	data, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return data
}
