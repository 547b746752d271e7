package packet

import (
	"bytes"
	"encoding/hex"
	"strings"
	"testing"

	"github.com/dnstap-pdns/dnstap-pdns/transform"
)

func fromHex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.Join(strings.Fields(s), ""))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestLinkLayersLeadToTheSameMessage(t *testing.T) {
	const macs = "020000000002 020000000001 "
	for _, c := range []struct {
		name   string
		link   Link
		header string // before an IPv4 packet
		tail   string // after it
	}{
		{"Ethernet", ethernet, macs + "0800", ""},
		{"padding of a short frame", ethernet, macs + "0800", "000000000000"},
		{"VLAN", ethernet, macs + "8100 0064 0800", ""},
		{"QinQ", ethernet, macs + "88a8 0064 8100 00c8 0800", ""},
		{"QinQ before 802.1ad", ethernet, macs + "9100 0064 8100 00c8 0800", ""},
		{"four VLAN tags", ethernet, macs + "9100 0064 9100 00c8 88a8 012c 8100 0190 0800", ""},
		{"Linux cooked", linuxCooked, "0004 0001 0006 0200000000010000 0800", ""},
		{"Linux cooked with a VLAN tag", linuxCooked, "0000 0001 0006 0200000000010000 8100 0064 0800", ""},
		{"Linux cooked v2", linuxSLL2, "0800 0000 00000002 0001 04 06 0200000000010000", ""},
		{"raw", raw, "", ""},
		{"raw, BSD", rawBSD, "", ""},
		{"raw, OpenBSD", rawOpenBSD, "", ""},
		{"raw IPv4", rawIPv4, "", ""},
		{"null, little-endian", null, "02000000", ""},
		{"null, big-endian", null, "00000002", ""},
		{"OpenBSD loopback", loop, "00000002", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			f, wire := queryFlow(resolver4, server4), questionWire(t, 1)
			b := bytes.Join([][]byte{fromHex(t, c.header), udpPacket(t, f, wire), fromHex(t, c.tail)}, nil)
			got := &recorder{}
			New(testConfig).Frame(c.link, &Captured{Data: b, Length: len(b), Time: at}, got)
			check(t, got, query(f, transform.UDP, wire))
		})
	}
}

func TestLinkLayersCutShortAreMalformed(t *testing.T) {
	f := queryFlow(resolver4, server4)
	whole := udpFrame(t, f, questionWire(t, 1))
	for n := range len(whole) {
		d, got := New(testConfig), &recorder{}
		d.Frame(ethernet, &Captured{Data: whole[:n], Length: len(whole), Time: at}, got)
		if len(got.Messages) != 0 || len(got.Dropped) != 1 || got.Dropped[0] != transform.Malformed {
			t.Errorf("%d bytes of %d: %d messages, dropped %v; want one malformed", n, len(whole), len(got.Messages), got.Dropped)
		}
		if cut := d.Stats().Cut; cut != 1 {
			t.Errorf("%d bytes of %d: %d packets were cut, want 1", n, len(whole), cut)
		}
	}
}

func TestTooManyTagsAreMalformed(t *testing.T) {
	b := append(fromHex(t, "020000000002 020000000001 8100"), bytes.Repeat(fromHex(t, "0064 8100"), 30)...)
	got := &recorder{}
	New(testConfig).Frame(ethernet, &Captured{Data: b, Length: len(b), Time: at}, got)
	if len(got.Dropped) != 1 || got.Dropped[0] != transform.Malformed {
		t.Errorf("dropped %v, want one malformed", got.Dropped)
	}
}

func TestUnsupportedLinkLayersAreCounted(t *testing.T) {
	const wifi = Link(105)
	if err := wifi.Check(); err == nil || !strings.Contains(err.Error(), "105") {
		t.Errorf("error %v, want one that names 105", err)
	}
	d, got := New(testConfig), &recorder{}
	d.Frame(wifi, &Captured{Data: make([]byte, 100), Length: 100, Time: at}, got)
	if n := d.Stats().UnknownLink; n != 1 || len(got.Messages)+len(got.Dropped) != 0 {
		t.Errorf("unknown links %d, %+v; want 1 and nothing more", n, got)
	}
}
