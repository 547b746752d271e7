package canary

import (
	"encoding/binary"
	"errors"
	"slices"
	"strings"

	"github.com/miekg/dns"
)

// A Text is what is searched: octets, and the DNS messages among them. Its buffers are
// used again by the next Set.
type Text struct {
	raw    []byte // as it was given, borrowed
	folded []byte // in lower case
	full   []byte // the messages with every name in full, in lower case
	zone   []byte // records with texts as a zone file has them, in lower case

	joined []byte // character-strings, as they are

	packed []byte
}

// ErrUnreadable says that a message could not be read, so that texts that are cut into
// character-strings may go unseen in those of its records that cannot be read either.
var ErrUnreadable = errors.New("not a DNS message that miekg/dns reads")

// Set takes octets, which it borrows, and the DNS messages that they hold. All of the
// octets are searched, also after an error.
func (t *Text) Set(octets []byte, messages ...[]byte) (err error) {
	t.raw = octets
	t.folded = appendLower(t.folded[:0], octets)
	t.full, t.zone, t.joined = t.full[:0], t.zone[:0], t.joined[:0]
	for _, wire := range messages {
		if len(wire) > 0 && !t.read(wire) {
			t.names(wire)
			t.records(wire)
			err = ErrUnreadable
		}
	}
	return err
}

// read takes a message in.
func (t *Text) read(wire []byte) bool {
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
			t.record(rr)
		}
	}
	return true
}

// names notes, of a message that cannot be read, each name that compression has cut,
// wherever one may begin.
func (t *Text) names(wire []byte) {
	for from := range wire {
		if name, cut := nameAt(t.packed[:0], wire, from); cut {
			t.full = append(appendLower(t.full, name), 0)
		}
	}
}

// records notes the records of a message that cannot be read as a whole; of those that
// cannot be read either, their character-strings.
func (t *Text) records(wire []byte) {
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
			t.record(rr)
		} else {
			t.strings(wire[rdata:end])
		}
		at = end
	}
}

// firstRecord is where the questions end; the end of the message where they do not.
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

// nameAt appends the labels of the name that begins there, as far as it is one, and
// reports whether there are some before a pointer.
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

// record notes a record that may hold texts; most hold names and numbers only, or
// digests and keys.
func (t *Text) record(rr dns.RR) {
	switch rr := rr.(type) {
	case *dns.A, *dns.AAAA, *dns.NS, *dns.CNAME, *dns.SOA, *dns.PTR, *dns.MX, *dns.SRV,
		*dns.RRSIG, *dns.DNSKEY, *dns.DS, *dns.NSEC, *dns.NSEC3:
	case *dns.TXT, *dns.SPF:
		t.stringsOf(rr)
	default:
		t.text(rr.String())
		t.stringsOf(rr)
	}
}

// stringsOf notes the character-strings of a record if its data consists of them, or, of a
// NAPTR, the data after its two numbers.
func (t *Text) stringsOf(rr dns.RR) {
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
	t.strings(rdata)
}

// strings notes character-strings, as they are, put together.
func (t *Text) strings(rdata []byte) {
	if all, whole := characterStrings(rdata); whole {
		joined := strings.Join(all, "")
		t.text(strings.Join(all, " "))
		t.text(joined)
		t.joined = append(append(t.joined, joined...), '\n')
	}
}

// fixedFields are type, class, TTL and length of data.
const fixedFields = 2 + 2 + 4 + 2

// characterStrings reads data that is nothing else.
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

func (t *Text) text(s string) { t.zone = append(appendLower(t.zone, []byte(s)), '\n') }
