// Package cof writes aggregated RRsets in the Passive DNS Common Output Format
// (draft-dulaunoy-dnsop-passive-dns-cof-13): lines that are one JSON object each.
//
// There are two profiles: that of the draft, and that of CIRCL's importer (pdns-import-cof of
// analyzer-d4-passivedns), which reads only some of what the draft allows. Names have no final
// dot, times are seconds since the Unix epoch. The format has no field for the class, so only
// RRsets of class IN are written.
//
// Every octet of a line is printable ASCII, except its line end. The package must not know where
// aggregates come from and where lines go.
package cof

import (
	"strconv"
	"strings"

	"github.com/miekg/dns"

	"github.com/dnstap-pdns/dnstap-pdns/transform/dnstext"
	"github.com/dnstap-pdns/dnstap-pdns/transform/rrset"
)

// A Profile is a variant of the format.
type Profile uint8

const (
	// Draft is a line per RRset, with a list of rdata.
	Draft Profile = iota

	// CIRCL is a line per record, with rdata as a string. The importer ends at a line without
	// sensor_id or with a type that it does not know, so that other types have no line. The
	// count is left out, because the importer replaces its total by the count of a line.
	CIRCL
)

// Append appends the lines of an aggregate to b, with their line ends. There may be none. source is
// the id of the sensor; in the profile Draft, a line of source 0 has no sensor_id.
func Append(b []byte, p Profile, source uint32, a *rrset.Aggregate) []byte {
	switch {
	case a.Class != dns.ClassINET:
		return b
	case p == Draft:
		return appendDraft(b, source, a)
	case !isKnownToCIRCL(a.Type):
		return b
	}
	for _, r := range a.Rdata {
		b = appendOwner(b, a)
		b = appendRdata(append(b, `,"rdata":`...), a, r)
		b = appendTimes(b, a)
		b = appendSensor(b, source)
		b = append(b, "}\n"...)
	}
	return b
}

func appendDraft(b []byte, source uint32, a *rrset.Aggregate) []byte {
	b = appendOwner(b, a)
	b = append(b, `,"rdata":[`...)
	for i, r := range a.Rdata {
		if i > 0 {
			b = append(b, ',')
		}
		b = appendRdata(b, a, r)
	}
	b = appendTimes(append(b, ']'), a)
	b = strconv.AppendUint(append(b, `,"count":`...), uint64(a.Count), 10)
	b = appendName(append(b, `,"bailiwick":`...), a.Bailiwick)
	if source != 0 {
		b = appendSensor(b, source)
	}
	return append(b, "}\n"...)
}

func appendOwner(b []byte, a *rrset.Aggregate) []byte {
	b = appendName(append(b, `{"rrname":`...), a.Name)
	b = append(append(b, `,"rrtype":"`...), dnstext.Type(a.Type)...)
	return append(b, '"')
}

func appendTimes(b []byte, a *rrset.Aggregate) []byte {
	b = strconv.AppendUint(append(b, `,"time_first":`...), uint64(a.TimeFirst), 10)
	return strconv.AppendUint(append(b, `,"time_last":`...), uint64(a.TimeLast), 10)
}

// appendSensor appends the source id as nmsgtool writes it: eight hexadecimal digits.
func appendSensor(b []byte, source uint32) []byte {
	const digits = "0123456789abcdef"
	b = append(b, `,"sensor_id":"`...)
	for shift := 28; shift >= 0; shift -= 4 {
		b = append(b, digits[source>>shift&0xf])
	}
	return append(b, '"')
}

func appendName(b, name []byte) []byte {
	b = append(b, '"')
	return closeString(dnstext.AppendName(b, name, dnstext.COF), len(b))
}

func appendRdata(b []byte, a *rrset.Aggregate, rdata []byte) []byte {
	b = append(b, '"')
	return closeString(dnstext.AppendRdata(b, a.Type, a.Class, rdata, dnstext.COF), len(b))
}

// closeString escapes b[start:], which is printable ASCII, for a JSON string, and ends the string.
func closeString(b []byte, start int) []byte {
	escapes := 0
	for _, c := range b[start:] {
		if mustEscape(c) {
			escapes++
		}
	}
	from := len(b)
	b = append(b, make([]byte, escapes)...)
	for to := len(b); from < to; {
		from--
		to--
		b[to] = b[from]
		if mustEscape(b[from]) {
			to--
			b[to] = '\\'
		}
	}
	return append(b, '"')
}

func mustEscape(c byte) bool { return c == '"' || c == '\\' }

// isKnownToCIRCL reports whether the importer's list of types (records-type.json) has the type,
// under the same mnemonic.
func isKnownToCIRCL(t uint16) bool {
	switch t {
	case dns.TypeSVCB, dns.TypeHTTPS, dns.TypeANY:
		return false
	}
	return !strings.HasPrefix(dnstext.Type(t), "TYPE")
}
