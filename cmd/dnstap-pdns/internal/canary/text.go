package canary

import (
	"encoding/binary"
	"errors"
	"slices"
	"strings"

	"github.com/miekg/dns"
)

// A Text is octets to search, and the DNS messages among them. Set reuses its buffers.
type Text struct {
	raw    []byte // the octets, borrowed
	folded []byte // the octets in lower case
	full   []byte // the messages without name compression, in lower case
	zone   []byte // records with texts in zone file form, in lower case

	joined []byte // joined character-strings, in their own case

	packed []byte
}

// ErrUnreadable reports that a message could not be read. Texts that are divided into
// character-strings may be missed in those of its records that cannot be read either.
var ErrUnreadable = errors.New("not a DNS message that miekg/dns reads")

// Reset replaces the contents of t by octets, which it borrows, and the DNS messages in them. The
// error is [ErrUnreadable] if miekg/dns cannot read a message. All octets are searched even then.
func (t *Text) Reset(octets []byte, messages ...[]byte) (err error) {
	t.raw = octets
	t.folded = appendLower(t.folded[:0], octets)
	t.full, t.zone, t.joined = t.full[:0], t.zone[:0], t.joined[:0]
	for _, wire := range messages {
		if len(wire) > 0 && !t.addMessage(wire) {
			t.addNames(wire)
			t.addRecords(wire)
			err = ErrUnreadable
		}
	}
	return err
}

// addMessage adds a message, and reports whether miekg/dns can read it.
func (t *Text) addMessage(wire []byte) bool {
	var m dns.Msg
	if m.Unpack(wire) != nil {
		return false
	}
	m.Compress = false
	packed, err := m.PackBuffer(t.packed)
	if err != nil {
		return false
	}
	if cap(packed) > cap(t.packed) {
		t.packed = packed[:cap(packed)]
	}
	t.full = appendLower(t.full, packed)
	for _, section := range [][]dns.RR{m.Answer, m.Ns, m.Extra} {
		for _, rr := range section {
			t.addRecord(rr)
		}
	}
	return true
}

// addNames adds every compressed name of a message that cannot be read, uncompressed. It tries
// each offset, because it does not know where names begin.
func (t *Text) addNames(wire []byte) {
	for from := range wire {
		if name, cut := nameAt(t.packed[:0], wire, from); cut {
			t.full = append(appendLower(t.full, name), 0)
		}
	}
}

// addRecords adds each record of a message that miekg/dns cannot read as a whole. Of a record
// that it cannot read either, it adds the character-strings.
func (t *Text) addRecords(wire []byte) {
	for at := firstRecord(wire); at < len(wire); {
		_, fields, err := dns.UnpackDomainName(wire, at)
		if err != nil || fields+fixedFields > len(wire) {
			return
		}
		rdata := fields + fixedFields
		end := rdata + int(binary.BigEndian.Uint16(wire[rdata-2:]))
		if end > len(wire) {
			return
		}
		if rr, _, err := dns.UnpackRR(wire, at); err == nil {
			t.addRecord(rr)
		} else {
			t.addStrings(wire[rdata:end])
		}
		at = end
	}
}

// firstRecord returns the offset after the questions; the end of the message if they are malformed.
func firstRecord(wire []byte) int {
	const header, questions, typeAndClass = 12, 4, 4
	if len(wire) < header {
		return len(wire)
	}
	at := header
	for range binary.BigEndian.Uint16(wire[questions:]) {
		_, end, err := dns.UnpackDomainName(wire, at)
		if err != nil {
			return len(wire)
		}
		at = end + typeAndClass
	}
	return at
}

// nameAt appends the labels of the name at an offset, up to where it is malformed. cut reports
// whether it followed a pointer after a label.
func nameAt(name, wire []byte, at int) (_ []byte, cut bool) {
	const longest, compressed = 255, 0xc0
	for pointers := 0; at < len(wire) && len(name) < longest; {
		n := int(wire[at])
		switch {
		case n >= compressed && at+1 < len(wire) && len(name) > 0 && pointers < longest:
			at = (n-compressed)<<8 | int(wire[at+1])
			pointers++
			cut = true
		case n == 0 || n > longestLabel || at+1+n > len(wire):
			return name, cut
		default:
			name = append(name, wire[at:at+1+n]...)
			at += 1 + n
		}
	}
	return name, cut
}

// addRecord adds a record unless its type contains only names, numbers, digests and keys.
func (t *Text) addRecord(rr dns.RR) {
	switch rr := rr.(type) {
	case *dns.A, *dns.AAAA, *dns.NS, *dns.CNAME, *dns.SOA, *dns.PTR, *dns.MX, *dns.SRV,
		*dns.RRSIG, *dns.DNSKEY, *dns.DS, *dns.NSEC, *dns.NSEC3:
	case *dns.TXT, *dns.SPF:
		t.addStringsOf(rr)
	default:
		t.addText(rr.String())
		t.addStringsOf(rr)
	}
}

// addStringsOf adds the character-strings of a record if its rdata consists of them; of NAPTR,
// the rdata after the two numbers.
func (t *Text) addStringsOf(rr dns.RR) {
	t.packed = slices.Grow(t.packed[:0], dns.Len(rr))
	b := t.packed[:cap(t.packed)]
	header, err := dns.PackDomainName(rr.Header().Name, b, 0, nil, false)
	if err != nil {
		return
	}
	end, err := dns.PackRR(rr, b, 0, nil, false)
	if err != nil {
		return
	}
	rdata := b[header+fixedFields : end]
	if rr.Header().Rrtype == dns.TypeNAPTR {
		rdata = rdata[2*2:]
	}
	t.addStrings(rdata)
}

// addStrings adds rdata that consists of character-strings, joined with and without spaces.
func (t *Text) addStrings(rdata []byte) {
	if all, whole := characterStrings(rdata); whole {
		joined := strings.Join(all, "")
		t.addText(strings.Join(all, " "))
		t.addText(joined)
		t.joined = append(append(t.joined, joined...), '\n')
	}
}

// fixedFields is the size in octets of type, class, TTL and length of rdata.
const fixedFields = 2 + 2 + 4 + 2

// characterStrings reads character-strings; whole is false if data is not a sequence of them.
func characterStrings(b []byte) (all []string, whole bool) {
	for len(b) > 0 {
		n := 1 + int(b[0])
		if n > len(b) {
			return nil, false
		}
		all = append(all, string(b[1:n]))
		b = b[n:]
	}
	return all, true
}

func (t *Text) addText(s string) { t.zone = append(appendLower(t.zone, []byte(s)), '\n') }
