package canary

import (
	"bytes"
	"encoding/hex"
	"strings"
	"testing"

	"github.com/miekg/dns"
)

func mustParse(tb testing.TB, text string) Canary {
	tb.Helper()
	c, err := Parse(text)
	if err != nil {
		tb.Fatal(err)
	}
	return c
}

// search returns the first finding of a canary, as FORM, PLACE; empty: none.
func search(tb testing.TB, canary string, octets []byte, messages ...[]byte) string {
	tb.Helper()
	var text Text
	if err := text.Reset(octets, messages...); err != nil {
		tb.Fatal(err)
	}
	found := ""
	NewSet([]Canary{mustParse(tb, canary)}).Search(&text, func(f Finding) {
		if found != "" {
			tb.Errorf("%s: found twice", canary)
		}
		found = f.Form + ", " + string(f.Place)
	})
	return found
}

func TestEachFormIsFound(t *testing.T) {
	for _, c := range []struct{ canary, octets, form string }{
		{"192.0.2.53", "\xc0\x00\x02\x35", "IPv4 octets"},
		{"192.0.2.65", "\xc0\x00\x02\x41", "IPv4 octets"},
		{"192.0.2.53", "\x35\x02\x00\xc0", "IPv4 octets, reversed"},
		{"::ffff:192.0.2.53", "\xc0\x00\x02\x35", "IPv4 octets"},
		{"192.0.2.53", "2001:db8::\x00\x00\xff\xff\xc0\x00\x02\x35", "IPv4 octets"},
		{"192.0.2.53", "v=spf1 ip4:192.0.2.53 -all", "dotted numbers as text"},
		{"192.0.2.53", "53.2.0.192.IN-ADDR.ARPA", "dotted numbers, reversed as text"},
		{"192.0.2.53", "\x0253\x012\x010\x03192\x07in-addr\x04arpa", "dotted numbers, reversed as wire labels"},
		{"192.0.2.53", "\x0253\x012\x010\x03192\x03zen\x08spamhaus", "dotted numbers, reversed as wire labels"},
		{"192.0.2.53", "\x03192\x010\x012\x0253", "dotted numbers as wire labels"},
		{"192.0.2.53", "\x0eip-192-0-2-53-", "numbers with dashes"},
		{"192.0.2.53", "53-2-0-192.dyn", "numbers with dashes, reversed"},
		{"192.0.2.53", "C0000235", "IPv4 octets as hexadecimal text"},
		{"192.0.2.53", "\x015\x013\x012\x010\x010\x010\x010\x01C\x01f\x01f", "nibbles, reversed as wire labels"},
		{"192.0.2.53", "5.3.2.0.0.0.0.c.f.f.f.f.0", "nibbles, reversed as text"},
		{"192.0.2.53", "ip6:::FFFF:192.0.2.53 ", "dotted numbers as text"},
		{"192.0.2.53", "::ffff:c000:235", "IPv6 text"},
		{"192.0.2.53", "64:FF9B::c000:0235", "IPv6 text"},
		{"192.0.2.53", "2002:c000:235::1", "IPv6 text"},
		{"192.0.2.53", "64:ff9b:1::c000:235", "IPv6 text"},
		{"192.0.2.53", "2001:db8:122:c000:2:3500::", "IPv6 text"},
		{"192.0.2.53", "\x20\x01\x0d\xb8\x01\x22\xc0\x00\x00\x02\x35\x00", "IPv4 octets around a zero (RFC 6052)"},
		{"192.0.2.53", "dsl-192-000-002-053.", "numbers of three digits with dashes"},
		{"192.0.2.53", "053.002.000.192", "dotted numbers of three digits, reversed"},
		{"192.0.2.53", "host192000002053.", "numbers of three digits"},
		{"192.0.2.53", "host_192_0_2_53", "numbers with underscores"},
		{"192.0.2.53", "host-192-0-2-053.", "numbers with zeros in front"},
		{"192.0.2.5", "host-192-00-02-05", "numbers with zeros in front"},
		{"192.0.2.5", "v=spf1 ip4:192.0.2.05", "numbers with zeros in front"},
		{"192.0.2.5", "B192_00_2_005ae", "numbers with zeros in front"},
		{"192.0.2.5", "7-192-000-0002-05-7", "numbers with zeros in front"},
		{"192.0.2.53", "053-02-00-192.dyn", "numbers with zeros in front, reversed"},
		{"192.0.2.53", "64-ff9b--c000-0235", "groups with zeros in front"},
		{"2001:db8::53", "2001-0db8--0053", "groups with zeros in front"},
		{"2001:db8::53", "host-2001-0DB8-0-0--0053", "groups with zeros in front"},
		{"2001:db8::53", "2001.db8.0.00.000.0000.0.0053", "groups with zeros in front"},
		{"2001:db8::53", "a_2001_0db8_0_0_0_0_0_53", "groups with zeros in front"},
		{"2001:db8:5300::", "x2001-0db8-5300--", "groups with zeros in front"},
		// The length of a label may look like a digit.
		{"192.0.2.53", "\x31192-00-2-53" + strings.Repeat("x", 38) + "\x00", "numbers with zeros in front"},
		{"192.0.2.53", "\x0e-192-0-2-053" + "\x30" + strings.Repeat("x", 48) + "\x03com", "numbers with zeros in front"},
		{"2001:db8::53", "\x392001-0db8--0053" + strings.Repeat("x", 42) + "\xc0\x0c", "groups with zeros in front"},
		{"2001:db8::53", "\x0f2001-0db8--0053" + "\x30" + strings.Repeat("x", 48) + "\x03com", "groups with zeros in front"},
		{"192.0.2.53", "\x31192-0-2-53" + strings.Repeat("x", 39) + "\x00", "numbers with dashes"},
		{"192.0.2.53", "\x0d-192-0-2-53" + "\x30" + strings.Repeat("x", 48) + "\x03com", "numbers with dashes"},
		{"2001:db8::53", "\x392001-db8--53" + strings.Repeat("x", 45) + "\xc0\x0c", "groups with dashes"},

		{"2001:db8::53", "\x20\x01\x0d\xb8\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x53", "IPv6 octets"},
		{"2001:db8::53", "\x53\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\xb8\x0d\x01\x20", "IPv6 octets, reversed"},
		{"2001:db8::53", "ip6:2001:DB8::53/128", "IPv6 text"},
		{"2001:db8::53", "2001:db8:0:0::53", "IPv6 text"},
		{"2001:db8::53", "2001:0db8:0000:0000:0000:0000:0000:0053", "IPv6 text"},
		{"2001:db8::53", "2001:db8::0.0.0.83", "IPv6 text"},
		{"2001:db8::53", "2001-db8--53.sslip.io", "groups with dashes"},
		{"2001:db8::53", "2001-0db8-0000-0000-0000-0000-0000-0053", "groups with dashes"},
		{"2001:db8::53", "2001-db8-0-0-0-0-0-53", "groups with dashes"},
		{"2001:db8::53", "2001_db8__53", "groups with underscores"},
		{"2001:db8::53", "2001.db8.0.0.0.0.0.53", "groups with dots"},
		{"2001:db8::53", "20010DB8000000000000000000000053", "IPv6 octets as hexadecimal text"},
		{"2001:db8::53", strings.Repeat("3.5.", 1) + strings.Repeat("0.", 22) + "8.b.d.0.1.0.0.2.ip6.arpa", "nibbles, reversed as text"},
		{"2001:db8::53", "\x013\x015" + strings.Repeat("\x010", 22) + "\x018\x01B\x01d\x010\x011\x010\x010\x012", "nibbles, reversed as wire labels"},

		{"univ.example", "\x03www\x04UNIV\x07example\x00", "wire labels"},
		{"Univ.Example.", "\x04univ\x07example\xc0\x0c", "wire labels"},
		{"univ.example", "see https://www.univ.EXAMPLE/", "text"},
		{"univ.example", "myuniv.example", "text"},
		{"univ.example", "elpmaxe.vinu", "text, backwards"},
		{"univ.example", "elpmaxe\x07vinu\x04", "wire labels, backwards"},
		{"univ.example", "756E69762e6578616d706c65", "hexadecimal text"},
		{"bücher.example", "\x0dxn--bcher-kva\x07example", "wire labels"},
		{"bücher.example", "b\xc3\xbccher.EXAMPLE", "text"},
		{"BÜCHER.example", "b\xc3\xbccher.example", "text"},
		{"xn--bcher-kva.example", "b\xc3\xbccher.example", "text"},
		{"xn--bcher-kva.example", "BÜCHER.example", "text"},
		{"bücher", "\x0dxn--bcher-kva\x07example", "text"},
		{"bücher.example", "BÜCHER.EXAMPLE", "text"},
		{"_dmarc.bücher.example", "\x06_dmarc\x0dxn--bcher-kva\x07example", "wire labels"},
		{"alice@univ.example", "\x05alice\x04univ\x07example", "mailbox as wire labels"},
		{"alice.b@univ.example", "\x07alice.b\x04univ\x07example", "mailbox as wire labels"},
		{"Alice", "\x05ALICE\x03com", "text"},
		{"alice smith", "Alice Smith", "text"},
		{"id1", "resolver-ID1", "text"},
	} {
		for _, octets := range []string{c.octets, "before " + c.octets + "\x00after"} {
			if got, want := search(t, c.canary, []byte(octets)), c.form+", in the octets as sent"; got != want {
				t.Errorf("%s in %q: got %q, want %q", c.canary, octets, got, want)
			}
		}
	}
}

func TestSimilarOctetsAreNotFound(t *testing.T) {
	for _, c := range []struct{ canary, octets string }{
		{"192.0.2.5", "192.0.2.53"},
		{"92.0.2.53", "192.0.2.53"},
		{"192.0.2.97", "\xc0\x00\x02\x41"}, // only letters have a case
		{"192.0.2.5", "ip-192-0-2-53"},
		{"1.2.3.4", "v=spf1 ip4:11.2.3.4 " + strings.Repeat("x", 60)},
		{"2001:db8::5", "2001:db8::53"},
		{"2001:db8::53", "2001:db8::5:3"},
		{"2001:db8::53", "12001:db8::53"},
		{"192.0.2.5", "host-192-00-02-053"},
		{"192.0.2.5", "host-2192-00-02-05"},
		{"192.0.2.5", "host-192-0--2-05"},
		{"192.0.2.53", "192.0-2.053"},
		{"2001:db8::53", "2001-0db8--005-3"},
		{"2001:db8::53", "2001-0db8-0053"},
		{"univ.example", "\x06myuniv\x07example\x00"},
		{"univ.example", "\x04univ\x08examples\x00"},
		{"univ.example", "univexample"},
	} {
		if got := search(t, c.canary, []byte(c.octets)); got != "" {
			t.Errorf("%s in %q: %s", c.canary, c.octets, got)
		}
	}
}

// TestLongNumbersTakeLinearTime ends soon only if the search takes no quadratic time.
func TestLongNumbersTakeLinearTime(t *testing.T) {
	zeros := strings.Repeat("0", 60000)
	if got := search(t, "192.0.2.53", []byte(zeros+"-1-1-1"+zeros+"--"+zeros)); got != "" {
		t.Errorf("got %q", got)
	}
}

func TestCompressedNamesAreFound(t *testing.T) {
	wire, err := hex.DecodeString("000084000001000100000000" +
		"07" + hex.EncodeToString([]byte("example")) + "0000010001" + // example. A
		"04" + hex.EncodeToString([]byte("univ")) + "c00c" + "00010001" + "00000e10" + "0004" + "cb007101")
	if err != nil {
		t.Fatal(err)
	}
	for _, canary := range []string{"univ.example", "niv.exam"} {
		want := ""
		if canary == "univ.example" {
			want = "wire labels, in the message with all names in full"
		}
		if got := search(t, canary, wire, wire); got != want {
			t.Errorf("%s: got %q, want %q", canary, got, want)
		}
	}
}

func TestTextsDividedIntoCharacterStringsAreFound(t *testing.T) {
	for record, canary := range map[string]string{
		`x.test. TXT "see b\195" "\188cher.example"`:           "bücher.example",
		`x.test. TXT "says \"al" "ice\""`:                      `"alice"`,
		`x.test. AVC "see univ" ".example"`:                    "univ.example",
		`x.test. HINFO "univ" ".example"`:                      "univ.example",
		`x.test. NAPTR 1 1 "u" "univ" ".example" .`:            "univ.example",
		`x.test. TYPE65280 \# 14 04756e6976082e6578616d706c65`: "univ.example",
		`x.test. TXT "the site is uni" "v.example today"`:      "univ.example",
		`x.test. TXT "x\192\000" "\002\053"`:                   "192.0.2.53",
		`x.test. TXT "192.0." "2.53"`:                          "192.0.2.53",
		`x.test. TXT "2001:db8:" ":53"`:                        "2001:db8::53",
	} {
		rr, err := dns.NewRR(record)
		if err != nil {
			t.Fatal(err)
		}
		m := dns.Msg{Answer: []dns.RR{rr}}
		wire, err := m.Pack()
		if err != nil {
			t.Fatal(err)
		}
		if got := search(t, canary, wire, wire); !strings.HasSuffix(got, string(PlaceZoneFile)) {
			t.Errorf("%s: %s: got %q", record, canary, got)
		}
	}
}

// TestATextAfterADigitAsItsLengthIsFound has a character-string whose length octet is a digit.
func TestATextAfterADigitAsItsLengthIsFound(t *testing.T) {
	rr, err := dns.NewRR(`x.test. TXT "192.0.2.53 is where all of this network asks from"`)
	if err != nil {
		t.Fatal(err)
	}
	m := dns.Msg{Answer: []dns.RR{rr}}
	wire, err := m.Pack()
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Contains(wire, []byte("1192.0.2.53")) {
		t.Fatalf("the length octet is not a digit: %q", wire)
	}
	if got := search(t, "192.0.2.53", wire, wire); got != "dotted numbers as text, "+string(PlaceZoneFile) {
		t.Errorf("got %q", got)
	}
}

func TestUnreadableMessagesAreReportedAndSearched(t *testing.T) {
	var text Text
	if err := text.Reset([]byte("...univ.example..."), []byte("no message")); err != ErrUnreadable {
		t.Errorf("got %v", err)
	}
	n := 0
	NewSet([]Canary{mustParse(t, "univ.example")}).Search(&text, func(Finding) { n++ })
	if n != 1 {
		t.Errorf("found %d times", n)
	}
}

// TestNamesAreFoundInUnreadableMessages: a server must not be able to hide a name by appending a
// record that miekg/dns refuses.
func TestNamesAreFoundInUnreadableMessages(t *testing.T) {
	const wire = "\x00\x00\x84\x00\x00\x01\x00\x01\x00\x01\x00\x00" + "\x01a\x07example\x00\x00\x05\x00\x01" +
		"\xc0\x0c\x00\x05\x00\x01\x00\x00\x00\x3c\x00\x07\x04UNIV\xc0\x0e" + // CNAME univ.example.
		"\xc0\x0c\x00\x01\x00\x01\x00\x00\x00\x3c\x00\x01\x01" // A of one octet
	var text Text
	if err := text.Reset([]byte(wire), []byte(wire)); err != ErrUnreadable {
		t.Fatalf("got %v", err)
	}
	found := ""
	NewSet([]Canary{mustParse(t, "univ.example")}).Search(&text, func(f Finding) { found = f.Form + ", " + string(f.Place) })
	if want := "wire labels, " + string(PlaceUncompressed); found != want {
		t.Errorf("got %q, want %q", found, want)
	}
	loop := []byte(strings.Repeat("\x01a\xc0\x00", 1000)) // must end
	text.Reset(loop, loop)
}

// TestTextsAreFoundNextToUnreadableRecords: a malformed record does not affect the records
// before and after it, and its own character-strings are joined too.
func TestTextsAreFoundNextToUnreadableRecords(t *testing.T) {
	const (
		begin  = "\x00\x00\x84\x00\x00\x01\x00\x02\x00\x00\x00\x00" + "\x01a\x07example\x00\x00\x10\x00\x01"
		fields = "\x00\x01\x00\x00\x00\x3c"
		txt    = "\xc0\x0c\x00\x10" + fields + "\x00\x10\x05x=uni\x09v.example"
		svcb   = "\xc0\x0c\x00\x40" + fields + "\x00\x05\x00\x01\x00\x00\x05"
		apl    = "\xc0\x0c\x00\x2a" + fields + "\x00\x01\x01"
		cut    = "\xc0\x0c\x00\x2a" + fields + "\x00\x10\x05x=uni\x09v.example"
		a      = "\xc0\x0c\x00\x01" + fields + "\x00\x04\xcb\x00\x71\x01"
	)
	for _, wire := range []string{begin + txt + svcb, begin + svcb + txt, begin + txt + apl, begin + apl + txt, begin + cut + a} {
		var text Text
		if err := text.Reset([]byte(wire), []byte(wire)); err != ErrUnreadable {
			t.Errorf("%q: got %v", wire, err)
		}
		found := ""
		NewSet([]Canary{mustParse(t, "univ.example")}).Search(&text, func(f Finding) { found = f.Form + ", " + string(f.Place) })
		if want := "text, " + string(PlaceZoneFile); found != want {
			t.Errorf("%q: got %q, want %q", wire, found, want)
		}
	}
	for n := range begin + txt + apl { // cut off anywhere
		wire := []byte((begin + txt + apl)[:n])
		new(Text).Reset(wire, wire)
	}
}

func TestUselessCanariesAreRefused(t *testing.T) {
	for text, why := range map[string]string{
		"":             "give more",
		"ab":           "give more",
		"a.":           "give more",
		"0.0.0.0":      "give another address",
		"::":           "give another address",
		"192.0.2.0/24": "is a network",

		"192.0.2.53:53":                 "give the address alone",
		"192.0.2.53.":                   "give the address alone",
		"192.0.2.053":                   "give the address alone",
		"[2001:db8::53]":                "give the address alone",
		"[2001:db8::53]:53":             "give the address alone",
		"192.0.2.53,10.0.0.1":           "give the address alone",
		"192.5.6.30\n192.5.6.31":        "give the address alone",
		`"192.5.6.30"`:                  "give the address alone",
		"192.5.6.30-192.5.6.40":         "give the address alone",
		"http://192.5.6.30/":            "give the address alone",
		"192.5.6.30@53":                 "give the address alone",
		"192.5.6.30#53":                 "give the address alone",
		"x@192.5.6.30":                  "give the address alone",
		"2001:db8:5::30/":               "give the address alone",
		"ip4:192.5.6.30":                "give the address alone",
		"2001:db8:5::30-2001:db8:5::40": "give the address alone",

		"a.example,b.example":  "give each with --canary",
		"a.example b.example.": "give each with --canary",
		"a.example, b.example": "give each with --canary",
		"a.example\nb.example": "give each with --canary",
		"a.example|b.example":  "give each with --canary",
		"a@b.example c@d.test": "give each with --canary",
		`"a.example"`:          "give the name alone",
		"<a.example>":          "give the name alone",
		".univ.example":        "give the name alone",
		"*.univ.example":       "give the name alone",
	} {
		if c, err := Parse(text); err == nil || !strings.Contains(err.Error(), why) {
			t.Errorf("%q: got %+v, %v; want an error with %q", text, c, err, why)
		}
	}
}

// TestTextsThatContainNamesAreAccepted has texts that are probably meant as texts.
func TestTextsThatContainNamesAreAccepted(t *testing.T) {
	for _, text := range []string{
		"alice.b@univ.example", "alice smith", "alice of univ.example", "o'brien.example", "J. Smith", "univ.example.",
		"53.2.0.192.in-addr.arpa", "53.2.0.192.dnsbl.example", "192.0.2.53.nip.io", "ip-192-0-2-53.univ.example",
		"1.3.6.1.4.1.9", "00:11:22:33:44:55",
	} {
		mustParse(t, text)
	}
}

func TestManyCanariesAreFoundAtOnce(t *testing.T) {
	var all []Canary
	for _, text := range []string{"192.0.2.53", "192.0.2.54", "univ.example", "xyz"} {
		all = append(all, mustParse(t, text))
	}
	var text Text
	if err := text.Reset([]byte("\xc0\x00\x02\x35 univ.example 192.0.2.53 univ.example")); err != nil {
		t.Fatal(err)
	}
	var found []int
	NewSet(all).Search(&text, func(f Finding) { found = append(found, f.Canary) })
	if len(found) != 2 || found[0] != 0 || found[1] != 2 {
		t.Errorf("got %v, want 0 and 2", found)
	}
}

func BenchmarkHostileTextsForCanaries(b *testing.B) {
	set := NewSet([]Canary{mustParse(b, "192.0.2.53"), mustParse(b, "2001:db8:53::53"), mustParse(b, "corp.example")})
	for name, octets := range hostileTexts(longText) {
		b.Run(name, func(b *testing.B) {
			var text Text
			for b.Loop() {
				if err := text.Reset([]byte(octets)); err != nil {
					b.Fatal(err)
				}
				set.Search(&text, func(Finding) {})
			}
		})
	}
}
