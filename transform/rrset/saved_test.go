package rrset

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"net/netip"
	"strings"
	"testing"

	"github.com/miekg/dns"
	"pgregory.net/rapid"

	"github.com/dnstap-pdns/dnstap-pdns/transform"
	"github.com/dnstap-pdns/dnstap-pdns/transform/dnswire/wiretest"
)

// sealed returns a saved cache with these octets after the version.
func sealed(rest ...byte) []byte {
	b := append(binary.BigEndian.AppendUint16([]byte(savedMagic), savedVersion), rest...)
	return binary.BigEndian.AppendUint32(b, crc32.Checksum(b, savedTable))
}

func TestSavedDelegationsVerifyAfterLoading(t *testing.T) {
	s := warm(t)
	d, err := LoadDelegations([]netip.Addr{rootServer}, 1<<22, s.delegations.Save())
	if err != nil {
		t.Fatal(err)
	}
	s.Verifier = NewVerifier(Config{}, d)
	s.expect(answer, "www.example.com. A example.com.")
	s.now += 8 * day
	name := wiretest.Name("www.example.com")
	if d.zoneOf(name, dns.TypeA, netip.MustParseAddr(exampleServer), s.now) != nil {
		t.Error("the delegation does not expire after loading")
	}
}

// TestSavedIsExactlyThis guards the format: another needs another version.
func TestSavedIsExactlyThis(t *testing.T) {
	d := NewDelegations(nil, 1<<22)
	d.learnServers(&RRset{Name: wiretest.Name("com"), Rdata: [][]byte{wiretest.Name("ns.com"), wiretest.Name("x")}}, 1)
	d.learnAddresses(&RRset{Name: wiretest.Name("ns.com"), Rdata: [][]byte{{192, 0, 2, 1}}}, 2)
	want := sealed(wiretest.Unhex(t, `
		00000002                   ; hosts
		026e7303636f6d00 01        ; ns.com with one address
		04 c0000201 0002260ff9290002 ; 192.0.2.1
		017800 00                  ; x without an address
		00000001                   ; zones
		03636f6d00 02              ; com with two servers
		00000000 0002260ff9290001 ;
		00000001 0002260ff9290001 ;
	`)...)
	if got := d.Save(); !bytes.Equal(got, want) {
		t.Errorf("saved\n%x, want\n%x", got, want)
	}
}

func TestDelegationsOfARootZoneFileAreNotSaved(t *testing.T) {
	s := planted(t)
	if got, want := s.delegations.Save(), sealed(0, 0, 0, 0, 0, 0, 0, 0); !bytes.Equal(got, want) {
		t.Errorf("saved %x", got)
	}
	s.expect(rootReferral, "com. NS .", "a.gtld-servers.net. A .")
	d, err := LoadDelegations(nil, 1<<22, s.delegations.Save())
	if err != nil || !d.knows("com") || d.knows("net") {
		t.Errorf("loaded %v, %v", d, err)
	}
}

func TestLoadRefusesDamage(t *testing.T) {
	saved := warm(t).delegations.Save()
	for n := range saved {
		if _, err := LoadDelegations(nil, 1<<22, saved[:n]); err == nil {
			t.Errorf("cut to %d octets: loaded", n)
		}
		damaged := bytes.Clone(saved)
		damaged[n] ^= 0x20
		if _, err := LoadDelegations(nil, 1<<22, damaged); err == nil {
			t.Errorf("octet %d was changed: loaded", n)
		}
	}
	newer := bytes.Clone(saved)
	newer[len(savedMagic)+1]++
	if _, err := LoadDelegations(nil, 1<<22, newer); err == nil || !strings.Contains(err.Error(), "version 2") {
		t.Errorf("another version: %v", err)
	}
	com, at := wiretest.Name("com"), []byte{0, 0, 0, 0, 0, 0, 0, 9}
	for what, parts := range map[string][][]byte{
		"more octets":         {{0, 0, 0, 0, 0, 0, 0, 0}, {1}},
		"too many hosts":      {{255, 255, 255, 255}},
		"too many zones":      {{0, 0, 0, 0, 255, 255, 255, 255}},
		"no such host":        {{0, 0, 0, 0, 0, 0, 0, 1}, com, {1, 0, 0, 0, 0}, at},
		"no server":           {{0, 0, 0, 1}, com, {0}, {0, 0, 0, 1}, com, {0}},
		"the root":            {{0, 0, 0, 1}, com, {0}, {0, 0, 0, 1}, {0}, {1, 0, 0, 0, 0}, at},
		"a pointer in a name": {{0, 0, 0, 1}, {0xc0, 0}, {0}, {0, 0, 0, 0}},
		"upper case":          {{0, 0, 0, 1}, wiretest.Name("Com"), {0}, {0, 0, 0, 0}},
		"a wrong address":     {{0, 0, 0, 1}, com, {1, 5, 1, 2, 3, 4, 5}, at, {0, 0, 0, 0}},
	} {
		if _, err := LoadDelegations(nil, 1<<22, sealed(bytes.Join(parts, nil)...)); err == nil {
			t.Errorf("%s: loaded", what)
		}
	}
}

// TestSaveAndLoadChangeNothing compares the saved forms, because they have everything in its order.
func TestSaveAndLoadChangeNothing(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		d := NewDelegations(nil, 1<<22)
		for i := range rapid.IntRange(0, 50).Draw(t, "zones") {
			zone := rapid.SampledFrom([]string{"com", "co.uk", "a.com", "x.a.com", "b.com", fmt.Sprintf("n%d.net", i)}).Draw(t, "zone")
			delegate(d, zone, rapid.IntRange(1, maxServers+5).Draw(t, "servers"), noon+transform.Time(i))
		}
		saved := d.Save()
		loaded, err := LoadDelegations(nil, 1<<22, saved)
		if err != nil {
			t.Fatal(err)
		}
		if again := loaded.Save(); !bytes.Equal(again, saved) || loaded.Octets() != d.Octets() {
			t.Errorf("%d octets, then %d; saved\n%x, then\n%x", d.Octets(), loaded.Octets(), saved, again)
		}
	})
}

func TestLoadKeepsItsOwnLimit(t *testing.T) {
	d := NewDelegations(nil, 1<<22)
	for i := range 5000 {
		delegate(d, fmt.Sprintf("n%d.com", i), 2, noon)
	}
	small, err := LoadDelegations(nil, 1<<18, d.Save())
	if err != nil {
		t.Fatal(err)
	}
	if small.Octets() > 1<<18 || small.knows("n0.com") || !small.knows("n4999.com") {
		t.Errorf("%d octets, or the wrong zones", small.Octets())
	}
}

// FuzzLoadDelegations gives the reader a right checksum, and checks that what it accepts is bounded and
// can be saved.
func FuzzLoadDelegations(f *testing.F) {
	head := len(savedMagic) + 2
	for _, d := range []*Delegations{NewDelegations(nil, 1<<20), warm(f).delegations} {
		saved := d.Save()
		f.Add(saved[head : len(saved)-4])
	}
	f.Fuzz(func(t *testing.T, rest []byte) {
		const limit = 1 << 16
		d, err := LoadDelegations(nil, limit, sealed(rest...))
		if err != nil {
			return
		}
		if d.Octets() > limit {
			t.Errorf("%d octets", d.Octets())
		}
		if _, err := LoadDelegations(nil, limit, d.Save()); err != nil {
			t.Error(err)
		}
	})
}

func BenchmarkSavedDelegations(b *testing.B) {
	d := NewDelegations(nil, 64<<20)
	for i := range 100_000 {
		delegate(d, fmt.Sprintf("n%d.com", i), 2, noon)
	}
	saved := d.Save()
	zones, _ := d.Len()
	b.Logf("%d zones, %d octets", zones, len(saved))
	b.Run("Save", func(b *testing.B) {
		for b.Loop() {
			d.Save()
		}
	})
	b.Run("Load", func(b *testing.B) {
		for b.Loop() {
			if _, err := LoadDelegations(nil, 64<<20, saved); err != nil {
				b.Fatal(err)
			}
		}
	})
}
