package nmsgjson

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/miekg/dns"
	"gotest.tools/v3/golden"

	"github.com/dnstap-pdns/dnstap-pdns/forward/nmsg/nmsgtest"
	"github.com/dnstap-pdns/dnstap-pdns/transform/dnstext"
)

// raw has rdata, in hexadecimal, of types that wdns prints as fields, and that miekg/dns does not
// know or prints otherwise. A space ends a field.
var raw = map[uint16]string{
	dns.TypeMD:    "0161 00",
	dns.TypeMF:    "0161 00",
	dns.TypeMB:    "0161 00",
	dns.TypeMG:    "0161 00",
	dns.TypeMR:    "0161 00",
	dns.TypeNULL:  "00ff",
	11:            "c0000201 06 0040", // WKS
	dns.TypeMINFO: "016100 016200",
	dns.TypeAFSDB: "0001 016100",
	dns.TypeX25:   "03 333131",
	dns.TypeISDN:  "03 313530 03 303034",
	dns.TypeRT:    "000a 016100",
	dns.TypeSIG:   "0001 05 02 00000e10 65000000 64000000 0007 016100 ffff",
	dns.TypePX:    "000a 016100 016200",
	dns.TypeNXT:   "016100 40",
	38:            "40 0000000000000001 016100", // A6
}

// answer returns the answer section of a message's response, as it is encoded.
func answer(t *testing.T, wire []byte) []json.RawMessage {
	t.Helper()
	var response struct{ Answer []json.RawMessage }
	if err := json.Unmarshal([]byte(member(t, nmsgtest.DNSObs([]byte{0}, wire, nil), "response_json")), &response); err != nil {
		t.Fatal(err)
	}
	if len(response.Answer) == 0 {
		t.Fatalf("no answer of % x", wire)
	}
	return response.Answer
}

// TestEveryTypeIsEncoded compares with a golden file: types that wdns prints as fields, then every
// other type that has a mnemonic, and one that has none, as octets.
func TestEveryTypeIsEncoded(t *testing.T) {
	const unknownType = 65280
	var got bytes.Buffer
	seen := map[uint16]bool{dns.TypeOPT: true} // it is not a record of a section
	show := func(wire []byte) {
		for _, a := range answer(t, wire) {
			got.Write(a)
			got.WriteByte('\n')
		}
	}
	for _, s := range nmsgtest.RRs {
		rr, err := dns.NewRR(s)
		if err != nil {
			t.Fatal(err)
		}
		seen[rr.Header().Rrtype] = true
		show(nmsgtest.Pack(t, s))
	}
	for _, typ := range slices.Sorted(maps.Keys(raw)) {
		seen[typ] = true
		data, err := hex.DecodeString(strings.ReplaceAll(raw[typ], " ", ""))
		if err != nil {
			t.Fatal(err)
		}
		show(nmsgtest.Response(nmsgtest.Record(typ, dns.ClassINET, 300, data)))
	}
	for typ := range 1 << 16 {
		named := !strings.HasPrefix(dnstext.Type(uint16(typ)), "TYPE")
		if !seen[uint16(typ)] && (named || typ == unknownType) {
			show(nmsgtest.Response(nmsgtest.Record(uint16(typ), dns.ClassINET, 300, []byte{10, 0, 0, 1})))
		}
	}
	golden.Assert(t, got.String(), "types.json")
}

// differs names the types that wdns prints otherwise than miekg/dns.
var differs = map[uint16]string{
	dns.TypeRRSIG:      "times are numbers",
	dns.TypeNSEC3:      "the salt has lower case digits",
	dns.TypeNSEC3PARAM: "the salt has lower case digits",
	dns.TypeCAA:        "the tag has quotes",
	dns.TypeSVCB:       "only character-strings have quotes",
	dns.TypeHTTPS:      "only character-strings have quotes",
	dns.TypeSSHFP:      "octets",
	dns.TypeCERT:       "octets",
	dns.TypeLOC:        "octets",
	65000:              "octets with spaces",
	65001:              "octets with spaces",
}

// TestRdataIsAsMiekgPrintsIt compares every type of which wdns and miekg/dns print the same.
func TestRdataIsAsMiekgPrintsIt(t *testing.T) {
	compared := 0
	for _, s := range nmsgtest.RRs {
		rr, err := dns.NewRR(s)
		if err != nil {
			t.Fatal(err)
		}
		h := rr.Header()
		if h.Class != dns.ClassINET || differs[h.Rrtype] != "" || strings.HasPrefix(s, `\`) {
			continue
		}
		var set struct {
			RRType string
			Rdata  []string
		}
		if err := json.Unmarshal(answer(t, nmsgtest.Pack(t, s))[0], &set); err != nil {
			t.Fatal(err)
		}
		want := strings.TrimPrefix(rr.String(), h.String())
		if set.RRType != dns.TypeToString[h.Rrtype] || len(set.Rdata) != 1 || set.Rdata[0] != want {
			t.Errorf("got %s %q, want %s", set.RRType, set.Rdata, rr)
		}
		compared++
	}
	if compared < 20 {
		t.Errorf("compared %d types", compared)
	}
}
