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
		{"MPLS", ethernet, macs + "8847 003e8140", ""},
		{"MPLS, three labels after a VLAN tag", ethernet, macs + "8100 0064 8847 003e8040 003e9040 003ea140", ""},
		{"PPPoE", ethernet, macs + "8864 1100 0007 003f 0021", ""},
		{"PPPoE after a VLAN tag", ethernet, macs + "8100 0007 8864 1100 0007 003f 0021", ""},
		{"PPPoE with MPLS", ethernet, macs + "8864 1100 0007 0043 0281 003e8140", ""},
		{"PPP", pppLink, "0021", ""},
		{"PPP, compressed", pppLink, "21", ""},
		{"PPP with address and control", pppLink, "ff03 0021", ""},
		{"PPP in HDLC", pppHDLC, "ff03 0021", ""},
		{"Cisco HDLC", pppHDLC, "0f00 0800", ""},
		{"Cisco HDLC, multicast, a VLAN tag", pppHDLC, "8f00 8100 0064 0800", ""},
		{"PPPoE without Ethernet", pppEther, "1100 0007 003f 0021", ""},
		{"NFLOG, little-endian", nflog, "0200 0005" + "0800 0100 08000100" + "0700 0a00 61620000" + "4100 0900", ""},
		{"NFLOG, big-endian", nflog, "0200 0005" + "0008 0001 08000100" + "0007 000a 61620000" + "0041 0009", "000000"},
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
			New(testConfig).Frame(c.link, &CapturedPacket{Data: b, Length: len(b), Time: at}, got)
			check(t, got, query(f, transform.UDP, wire))
		})
	}
}

func TestLinkLayersCutShortAreMalformed(t *testing.T) {
	f := queryFlow(resolver4, server4)
	whole := udpFrame(t, f, questionWire(t, 1))
	for n := range len(whole) {
		d, got := New(testConfig), &recorder{}
		d.Frame(ethernet, &CapturedPacket{Data: whole[:n], Length: len(whole), Time: at}, got)
		if len(got.Messages) != 0 || len(got.Dropped) != 1 || got.Dropped[0] != transform.Malformed {
			t.Errorf("%d bytes of %d: %d messages, dropped %v; want one malformed", n, len(whole), len(got.Messages), got.Dropped)
		}
		if cut := d.Stats().Cut; cut != 1 {
			t.Errorf("%d bytes of %d: %d packets were cut, want 1", n, len(whole), cut)
		}
	}
}

// TestInvalidHeadersOfLinkLayersAreMalformed, and what is not IP is counted otherwise.
func TestInvalidHeadersOfLinkLayersAreMalformed(t *testing.T) {
	const macs = "020000000002 020000000001 "
	for _, c := range []struct {
		name   string
		link   Link
		packet string
		want   string // malformed, other or a protocol that is not read
	}{
		{"MPLS without its last label", ethernet, macs + "8847 003e8040 003e8040", "malformed"},
		{"MPLS cut in a label", ethernet, macs + "8847 003e81", "malformed"},
		{"nothing in MPLS", ethernet, macs + "8847 003e8140", "malformed"},
		{"a pseudowire in MPLS", ethernet, macs + "8847 003e8140 00000000" + macs + "0800", "mpls"},
		{"MACsec", ethernet, macs + "88e5 0000", "macsec"},
		{"ARP", ethernet, macs + "0806 0001", "other"},
		{"PPPoE cut", ethernet, macs + "8864 1100", "malformed"},
		{"nothing in PPPoE", ethernet, macs + "8864 1100 0007 0000", "malformed"},
		{"LCP in PPPoE", ethernet, macs + "8864 1100 0007 0004 c021 0101", "other"},
		{"IPv6 in PPP that is not", pppLink, "0057 45", "malformed"},
		{"PPP cut", pppLink, "00", "malformed"},
		{"PPP with nothing", pppLink, "ff03", "malformed"},
		{"HDLC cut", pppHDLC, "0f00", "malformed"},
		{"NFLOG cut", nflog, "0200", "malformed"},
		{"NFLOG without a packet", nflog, "0200 0005 0800 0100 08000100", "malformed"},
		{"NFLOG, an attribute without a length", nflog, "0200 0005 0000 0100 08000100", "malformed"},
		{"NFLOG, an attribute that is too long", nflog, "0200 0005 ff00 0100 08000100", "malformed"},
		{"NFLOG, no IP", nflog, "0200 0005 0800 0900 08000100", "malformed"},
	} {
		b := fromHex(t, c.packet)
		d, got := New(testConfig), &recorder{}
		d.Frame(c.link, &CapturedPacket{Data: b, Length: len(b), Time: at}, got)
		if kind := fate(d, got); kind != c.want {
			t.Errorf("%s: %s, want %s", c.name, kind, c.want)
		}
	}
}

// fate returns how the only packet of a dissector was counted.
func fate(d *Dissector, got *recorder) string {
	s := d.Stats()
	var kinds []string
	for range got.Dropped {
		kinds = append(kinds, "malformed")
	}
	for range got.Messages {
		kinds = append(kinds, "message")
	}
	if s.Other > 0 {
		kinds = append(kinds, "other")
	}
	for p, n := range s.Unread {
		if n > 0 {
			kinds = append(kinds, protocolTable[p].name)
		}
	}
	return strings.Join(kinds, " and ")
}

func TestTooManyTagsAreMalformed(t *testing.T) {
	b := append(fromHex(t, "020000000002 020000000001 8100"), bytes.Repeat(fromHex(t, "0064 8100"), 30)...)
	got := &recorder{}
	New(testConfig).Frame(ethernet, &CapturedPacket{Data: b, Length: len(b), Time: at}, got)
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
	d.Frame(wifi, &CapturedPacket{Data: make([]byte, 100), Length: 100, Time: at}, got)
	if n := d.Stats().UnknownLink; n != 1 || len(got.Messages)+len(got.Dropped) != 0 {
		t.Errorf("unknown links %d, %+v; want 1 and nothing more", n, got)
	}
}
