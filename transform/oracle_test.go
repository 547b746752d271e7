package transform

import (
	"bytes"
	"net"
	"net/netip"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/miekg/dns"

	"github.com/dnstap-pdns/dnstap-pdns/transform/dnswire/wiretest"
)

// An oracle finds forbidden data slowly and with other code than the scrubber: it decodes with
// miekg/dns, and searches names in presentation form, all substrings of texts, and rdata octet
// by octet.
//
// It has the exemptions of the rules: the octets of an IPv4 address in keys, digests and
// signatures, where they occur by chance, and labels or texts that span several fields.
type oracle struct {
	names     []string // local, lower case, with the final dot
	networks  []netip.Prefix
	addresses []netip.Addr
	own       []netip.Prefix // all addresses inside are the resolver's
}

func (o *oracle) isOwn(a netip.Addr) bool {
	return slices.Contains(o.addresses, a) || slices.ContainsFunc(o.own, func(p netip.Prefix) bool { return p.Contains(a) })
}

// leaks lists the forbidden data in a message.
func (o *oracle) leaks(t *testing.T, wire []byte) []string {
	t.Helper()
	var m dns.Msg
	if err := m.Unpack(wire); err != nil {
		return nil
	}
	var found []string
	report := func(what string, r dns.RR) { found = append(found, what+" in "+r.String()) }
	for _, q := range m.Question {
		if o.badName(q.Name) {
			found = append(found, "question "+q.Name)
		}
	}
	for _, r := range slices.Concat(m.Answer, m.Ns, m.Extra) {
		for _, name := range append(wiretest.NamesOf(r), r.Header().Name) {
			if o.badName(name) {
				report("name "+name, r)
			}
		}
		rdata := rdataWithoutNames(t, r)
		for _, piece := range texts(r, rdata) {
			if o.badText(piece) {
				report("text", r)
			}
		}
		if o.badLabels(rdata) {
			report("labels", r)
		}
		if o.badOctets(r.Header().Rrtype, rdata) || slices.ContainsFunc(addressesOf(r), o.isOwn) {
			report("address", r)
		}
	}
	return found
}

func (o *oracle) badName(name string) bool {
	name = lowered(name)
	for _, local := range o.names {
		if strings.Contains("."+name, "."+local) && !strings.Contains(name, "\\."+local) {
			return true
		}
	}
	a, bits, ok := fromReverse(dns.SplitDomainName(name))
	if !ok {
		return false
	}
	prefix, _ := a.Prefix(bits)
	for _, network := range o.networks {
		if network.Bits() <= bits && network.Contains(prefix.Addr()) {
			return true
		}
	}
	for _, network := range o.own {
		if network.Bits() <= bits && network.Contains(prefix.Addr()) {
			return true
		}
	}
	return bits == a.BitLen() && o.isOwn(a)
}

// fromReverse reads the numbers of a reverse name from the right.
func fromReverse(labels []string) (a netip.Addr, bits int, ok bool) {
	if len(labels) < 2 {
		return a, 0, false
	}
	rest, zone := labels[:len(labels)-2], strings.Join(labels[len(labels)-2:], ".")
	slices.Reverse(rest)
	var octets [16]byte
	switch zone {
	case "in-addr.arpa":
		for _, label := range rest[:min(4, len(rest))] {
			n, err := strconv.ParseUint(label, 10, 8)
			if err != nil || len(label) > 3 {
				break
			}
			octets[bits/8] = byte(n)
			bits += 8
		}
		return netip.AddrFrom4([4]byte(octets[:4])), bits, true
	case "ip6.arpa":
		for _, label := range rest[:min(32, len(rest))] {
			n, err := strconv.ParseUint(label, 16, 4)
			if err != nil || len(label) != 1 {
				break
			}
			octets[bits/8] |= byte(n) << (4 - bits%8)
			bits += 4
		}
		return netip.AddrFrom16(octets), bits, true
	}
	return a, 0, false
}

// badText searches for local names and addresses in text.
func (o *oracle) badText(text []byte) bool {
	s := lowered(string(text))
	for _, local := range o.names {
		local = strings.TrimSuffix(local, ".")
		for at := 0; ; at++ {
			i := strings.Index(s[at:], local)
			if i < 0 {
				break
			}
			at += i
			end := at + len(local)
			if (at == 0 || !isLabelChar(s[at-1])) && (end == len(s) || !isLabelChar(s[end])) {
				return true
			}
		}
	}
	for i := range s {
		if i > 0 && isHex(s[i-1]) && isHex(s[i]) {
			continue
		}
		for j := i + 2; j <= min(len(s), i+45); j++ {
			if j < len(s) && isHex(s[j]) && isHex(s[j-1]) || !strings.ContainsAny(s[i:j], ".:") {
				continue
			}
			if a, err := netip.ParseAddr(s[i:j]); err == nil && o.isOwn(a.Unmap().WithZone("")) {
				return true
			}
		}
	}
	return false
}

func (o *oracle) badLabels(rdata []byte) bool {
	folded := []byte(lowered(string(rdata)))
	for _, local := range o.names {
		wire := wiretest.Name(local)
		if bytes.Contains(folded, wire[:len(wire)-1]) {
			return true
		}
	}
	return false
}

// randomTypes have a key, a digest, a signature or a bitmap at the end of their rdata.
var randomTypes = []uint16{
	dns.TypeSIG, dns.TypeRRSIG, dns.TypeNXT, dns.TypeNSEC, dns.TypeKEY, dns.TypeCERT, dns.TypeDS, dns.TypeSSHFP, dns.TypeDNSKEY,
	dns.TypeDHCID, dns.TypeNSEC3, dns.TypeNSEC3PARAM, dns.TypeTLSA, dns.TypeSMIMEA, dns.TypeRKEY, dns.TypeCDS, dns.TypeCDNSKEY,
	dns.TypeOPENPGPKEY, dns.TypeCSYNC, dns.TypeZONEMD, dns.TypeEUI48, dns.TypeEUI64, dns.TypeLOC,
}

func (o *oracle) badOctets(typ uint16, rdata []byte) bool {
	if slices.Contains(randomTypes, typ) {
		return false
	}
	for _, a := range o.addresses {
		if bytes.Contains(rdata, a.AsSlice()) {
			return true
		}
	}
	return false
}

// addressesOf returns the addresses in the address fields of a record.
func addressesOf(r dns.RR) (found []netip.Addr) {
	add := func(ips ...net.IP) {
		for _, ip := range ips {
			if a, ok := netip.AddrFromSlice(ip); ok {
				found = append(found, a.Unmap())
			}
		}
	}
	switch r := r.(type) {
	case *dns.A:
		add(r.A)
	case *dns.AAAA:
		add(r.AAAA)
	case *dns.IPSECKEY:
		add(r.GatewayAddr)
	case *dns.AMTRELAY:
		add(r.GatewayAddr)
	case *dns.SVCB:
		add(hints(r)...)
	case *dns.HTTPS:
		add(hints(&r.SVCB)...)
	}
	return found
}

func hints(r *dns.SVCB) (ips []net.IP) {
	for _, v := range r.Value {
		switch v := v.(type) {
		case *dns.SVCBIPv4Hint:
			ips = append(ips, v.Hint...)
		case *dns.SVCBIPv6Hint:
			ips = append(ips, v.Hint...)
		}
	}
	return ips
}

// rdataWithoutNames packs a record's rdata with the root for each name.
func rdataWithoutNames(t *testing.T, r dns.RR) []byte {
	t.Helper()
	r = dns.Copy(r)
	r.Header().Name = "."
	for i := range wiretest.NamesOf(r) {
		setName(r, i, ".")
	}
	buf := make([]byte, 70000)
	n, err := dns.PackRR(r, buf, 0, nil, false)
	if err != nil {
		return nil // miekg/dns can read the record but not write it
	}
	return buf[11:n]
}

// texts returns the parts of rdata to read as text: its character-strings, and those of one
// field joined; if there are none, all of it.
func texts(r dns.RR, rdata []byte) [][]byte {
	switch r.(type) {
	case *dns.TXT, *dns.SPF, *dns.AVC, *dns.NINFO, *dns.RESINFO, *dns.HINFO, *dns.ISDN, *dns.X25, *dns.GPOS, *dns.UINFO,
		*dns.NAPTR, *dns.CAA, *dns.URI:
	default:
		return [][]byte{rdata}
	}
	var pieces [][]byte
	v := reflect.ValueOf(r).Elem()
	for i := 1; i < v.NumField(); i++ {
		switch field := v.Field(i).Interface().(type) {
		case string:
			if !strings.HasSuffix(v.Type().Field(i).Tag.Get("dns"), "domain-name") {
				pieces = append(pieces, unescaped(field))
			}
		case []string:
			var joined []byte
			for _, s := range field {
				pieces = append(pieces, unescaped(s))
				joined = append(joined, unescaped(s)...)
			}
			pieces = append(pieces, joined)
		}
	}
	return pieces
}

// unescaped undoes the escapes of zone files.
func unescaped(s string) []byte {
	var b []byte
	for i := 0; i < len(s); i++ {
		if s[i] != '\\' || i+1 == len(s) {
			b = append(b, s[i])
			continue
		}
		if n, err := strconv.ParseUint(s[i+1:min(i+4, len(s))], 10, 8); err == nil && i+4 <= len(s) {
			b = append(b, byte(n))
			i += 3
		} else {
			b = append(b, s[i+1])
			i++
		}
	}
	return b
}

func newOracle() *oracle {
	return &oracle{
		names:     []string{"univ.example.", "xn--bcher-kva.example.", "b\\195\\188cher.example.", "bu\\204\\136cher.example.", "b\\195\\156cher.example."},
		networks:  []netip.Prefix{netip.MustParsePrefix("198.51.96.0/20"), netip.MustParsePrefix("2001:db8:a000::/35")},
		addresses: []netip.Addr{ownAddr4, ownAddr6},
		own:       ownNetworks,
	}
}

// TestOracleSees checks that the oracle finds forbidden data.
func TestOracleSees(t *testing.T) {
	o := newOracle()
	for _, tt := range nameMatches {
		got := o.leaks(t, wiretest.New(tt.name, dns.TypeA).Wire)
		if (len(got) > 0) != (tt.want == LocalName) {
			t.Errorf("%s: %q", tt.name, got)
		}
		got = o.leaks(t, answering(dns.TypeSRV, append(make([]byte, 6), wiretest.Name(tt.name)...)))
		if (len(got) > 0) != (tt.want == LocalName) {
			t.Errorf("SRV %s: %q", tt.name, got)
		}
	}
	for _, text := range []string{"univ.example", "x@UNIV.example!", "192.0.2.53", "ip6:2001:db8:53:0::53/64", "::ffff:192.0.2.53",
		"198.18.99.0", "a 2001:db8:55::53 b"} {
		for _, wire := range [][]byte{
			answering(dns.TypeTXT, charStrings(text)), answering(dns.TypeTXT, charStrings(text[:3], text[3:])),
			answering(65280, []byte(text)), answering(dns.TypeURI, append(make([]byte, 4), text...)),
			answering(dns.TypeSVCB, svcb(65280, text)), answering(dns.TypeNAPTR, naptr("", "", text)),
		} {
			if len(o.leaks(t, wire)) == 0 {
				t.Errorf("does not see %q in % x", text, wire)
			}
		}
	}
	for _, wire := range [][]byte{
		answering(dns.TypeA, ownAddr4.AsSlice()), answering(dns.TypeAAAA, ownAddr6.AsSlice()),
		answering(dns.TypeHTTPS, svcb(4, string(ownAddr4.AsSlice()))), answering(65280, wiretest.Name("a.Univ.Example")),
		answering(dns.TypePTR, wiretest.Name("53.2.0.192.in-addr.arpa")), wiretest.New(reverseName("2001:db8:53::53"), dns.TypePTR).Wire,
		wiretest.New("99.18.198.in-addr.arpa", dns.TypePTR).Wire, wiretest.New("1.99.18.198.in-addr.arpa", dns.TypePTR).Wire,
	} {
		if len(o.leaks(t, wire)) == 0 {
			t.Errorf("does not see % x", wire)
		}
	}
	for _, tt := range networkAddresses {
		if strings.Contains(tt.name, "octets") {
			continue // the oracle searches only for single addresses here
		}
		if got := o.leaks(t, tt.wire); (len(got) > 0) != (tt.want == ResolverAddress && !tt.embedded) {
			t.Errorf("%s: sees %q", tt.name, got)
		}
	}
	if got := o.leaks(t, answering(dns.TypeTXT, charStrings("univ.examples", "1192.0.2.53"))); len(got) > 0 {
		t.Errorf("sees %q", got)
	}
}
