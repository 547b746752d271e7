package dnstext

import (
	"testing"

	"github.com/miekg/dns"
)

// FuzzMessage prints every record, and every option, in both forms.
func FuzzMessage(f *testing.F) {
	m := new(dns.Msg)
	m.SetQuestion("example.org.", dns.TypeA)
	m.SetEdns0(1232, true)
	m.Compress = true
	for _, s := range []string{
		`a.test. 1 IN SOA b.test. c.test. 1 2 3 4 5`,
		`a.test. 1 IN TXT "a \"quoted\" word" "" "\000\255\\;"`,
		`a.test. 1 IN CAA 0 issue "ca.test; policy=\"x\""`,
		`a.test. 1 IN NSEC3 1 1 12 AABBCCDD 2T7B4G4VSA5SMI47K61MV5BV1A22BOJR A RRSIG`,
		`a.test. 1 IN SVCB 1 b.test. mandatory=alpn alpn="f\\\\oo\\,bar,h2" no-default-alpn key667="hello\210qoo"`,
		`a.test. 1 CH A \# 4 c0000201`,
	} {
		rr, err := dns.NewRR(s)
		if err != nil {
			f.Fatal(err)
		}
		m.Answer = append(m.Answer, rr)
	}
	wire, err := m.Pack()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(wire)
	f.Fuzz(func(t *testing.T, wire []byte) {
		var m Message
		if !m.Parse(wire) {
			return
		}
		records := 0
		for _, sets := range m.Sections {
			for i := range sets {
				checkPrintable(t, AppendName(nil, sets[i].Owner, Zone))
				for data := range m.Records(&sets[i]) {
					records++
					if zone, ok := m.AppendRdata(nil, &sets[i], data, Zone); !ok || len(zone) == 0 {
						t.Errorf("no Zone form of % x", wire[data.start:data.end])
					} else {
						checkPrintable(t, zone)
					}
					wdns, ok := m.AppendRdata([]byte("before"), &sets[i], data, WDNS)
					if checkPrintable(t, wdns); !ok && string(wdns) != "before" {
						t.Errorf("malformed rdata appended %q", wdns)
					}
				}
			}
		}
		if records != len(m.rdatas) {
			t.Errorf("%d records, want %d", records, len(m.rdatas))
		}
		for rest := m.EDNS.Options; len(rest) > 0; {
			var b []byte
			b, rest = AppendOption(nil, rest)
			checkPrintable(t, b)
		}
	})
}

func checkPrintable(t *testing.T, b []byte) {
	t.Helper()
	for _, c := range b {
		if c < ' ' || c > '~' {
			t.Fatalf("octet %#x in %q", c, b)
		}
	}
}
