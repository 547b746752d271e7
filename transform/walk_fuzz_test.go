package transform

import (
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/miekg/dns"
)

// FuzzWalk holds the walker to miekg/dns: what both accept they read alike, and
// what the walker alone refuses it refuses for a reason that is written down.
func FuzzWalk(f *testing.F) {
	for _, tt := range walks {
		f.Add(unhex(f, tt.hex))
	}
	for _, m := range realMessages(f) {
		f.Add(m)
	}
	for _, typ := range knownTypes() {
		f.Add(newRaw("q.example", typ).with(answer, "q.example", typ, sampleRdata(f, typ)).wire)
	}
	f.Fuzz(func(t *testing.T, msg []byte) {
		var w walker
		if w.walk(msg) {
			agree(t, &w)
			return
		}
		var m dns.Msg
		if m.Unpack(msg) == nil && !stricter(msg, &m) {
			t.Errorf("only miekg/dns takes this message:\n% x\n%v", msg, &m)
		}
	})
}

// agree compares a walked message with what miekg/dns reads, if it does.
func agree(t *testing.T, w *walker) {
	t.Helper()
	var m dns.Msg
	if m.Unpack(w.msg) != nil {
		return
	}
	if w.id != m.Id || w.questions != len(m.Question) {
		t.Errorf("ID %d, want %d; %d questions, want %d", w.id, m.Id, w.questions, len(m.Question))
	}
	if w.questions > 0 {
		got := dns.Question{Name: presentation(t, w.qname(), 0), Qtype: w.qtype, Qclass: w.qclass}
		if got != m.Question[0] {
			t.Errorf("question: got %v, want %v", got, m.Question[0])
		}
	}
	if diff := cmp.Diff([]int{len(m.Answer), len(m.Ns), len(m.Extra)}, w.counts[:]); diff != "" {
		t.Errorf("records by section (-want +got):\n%s", diff)
		return
	}
	for i, want := range slices.Concat(m.Answer, m.Ns, m.Extra) {
		agreeOn(t, w, w.rrs[i], want)
	}
}

func agreeOn(t *testing.T, w *walker, r rr, want dns.RR) {
	t.Helper()
	type header struct {
		Owner       string
		Type, Class uint16
	}
	h := want.Header()
	got := header{presentation(t, w.expand(nil, int(r.owner)), 0), r.typ, r.class}
	if diff := cmp.Diff(header{h.Name, h.Rrtype, h.Class}, got); diff != "" {
		t.Errorf("record (-want +got):\n%s", diff)
	}
	if r.typ == typeOPT || r.typ == typeTSIG || r.typ == typeTKEY || r.typ == typeA6 {
		return // never looked into; A6 is octets to miekg/dns
	}
	if diff := cmp.Diff(namesOf(want), walkedNames(t, w, r)); diff != "" {
		t.Errorf("names in %s (-want +got):\n%s", dns.Type(r.typ), diff)
	}
}

// walkedNames are the names in a record's rdata as the walker finds them.
func walkedNames(t *testing.T, w *walker, r rr) []string {
	t.Helper()
	var names []string
	for c := newCursor(w.msg, r); c.next(); {
		if !c.isName() {
			continue
		}
		name := w.expand(nil, c.start)
		if want := len(name); int(w.marks[c.start]&markLen) != want {
			t.Errorf("mark of %q: length %d", name, w.marks[c.start]&markLen)
		}
		names = append(names, presentation(t, name, 0))
		if direct := presentation(t, w.msg, c.start); direct != names[len(names)-1] {
			t.Errorf("expanded to %s, is %s", names[len(names)-1], direct)
		}
	}
	return names
}

func presentation(t *testing.T, msg []byte, off int) string {
	t.Helper()
	name, _, err := dns.UnpackDomainName(msg, off)
	if err != nil {
		t.Errorf("% x: %v", msg[off:], err)
	}
	return name
}

// namesOf lists what miekg/dns holds as names in a record's rdata, in order.
func namesOf(r dns.RR) []string {
	var names []string
	v := reflect.ValueOf(r).Elem()
	if v.NumField() == 1 && v.Field(0).Kind() == reflect.Struct && v.Type().Field(0).Name != "Hdr" {
		v = v.Field(0) // RRSIG in SIG, SVCB in HTTPS
	}
	for i := range v.NumField() {
		field := v.Field(i)
		switch tag := v.Type().Field(i).Tag.Get("dns"); {
		case strings.HasSuffix(tag, "domain-name") && field.Kind() == reflect.Slice:
			names = append(names, field.Interface().([]string)...)
		case strings.HasSuffix(tag, "domain-name"),
			(tag == "ipsechost" || tag == "amtrelayhost") && field.String() != "":
			names = append(names, field.String())
		}
	}
	return names
}

// stricter reports whether the walker may refuse what miekg/dns takes: pointers
// that do not go strictly back or point below 12, an OPT too many or out of place,
// rdata too short for its type, fewer questions or records than the header says,
// and A6, which miekg/dns does not know.
func stricter(msg []byte, m *dns.Msg) bool {
	if len(msg) > maxMessage || len(msg) < headerLen {
		return true
	}
	for i, n := range []int{len(m.Question), len(m.Answer), len(m.Ns), len(m.Extra)} {
		if n != int(msg[4+2*i])<<8|int(msg[5+2*i]) {
			return true
		}
	}
	opts := 0
	for i, r := range slices.Concat(m.Answer, m.Ns, m.Extra) {
		switch r.Header().Rrtype {
		case typeA6:
			return true
		case typeOPT:
			opts++
			if opts > 1 || i < len(m.Answer)+len(m.Ns) {
				return true
			}
		}
	}
	off := headerLen
	for range m.Question {
		end, ok := strictName(msg, off)
		if !ok || end+4 > len(msg) {
			return true
		}
		off = end + 4
	}
	for range len(m.Answer) + len(m.Ns) + len(m.Extra) {
		end, ok := strictName(msg, off)
		if !ok || end+10 > len(msg) {
			return true
		}
		r := rr{rdata: uint16(end + 10), typ: uint16(msg[end])<<8 | uint16(msg[end+1])}
		off = end + 10 + int(msg[end+8])<<8 + int(msg[end+9])
		r.end = uint16(off)
		if r.typ == typeOPT || r.typ == typeTSIG || r.typ == typeTKEY {
			continue
		}
		c := newCursor(msg, r)
		for c.next() {
			if c.isName() {
				if _, ok := strictName(msg, c.start); !ok {
					return true
				}
			}
		}
		if c.bad {
			return true
		}
	}
	return false
}

// strictName follows a name by the letter, slowly.
func strictName(msg []byte, off int) (end int, ok bool) {
	limit := off // pointers must lead below
	total := 1
	for hops := 0; off < len(msg) && total <= maxName; {
		switch c := int(msg[off]); {
		case c == 0:
			if end == 0 {
				end = off + 1
			}
			return end, true
		case c < 64:
			off += 1 + c
			total += 1 + c
		case c >= 0xc0 && off+1 < len(msg):
			if end == 0 {
				end = off + 2
			}
			off = (c&0x3f)<<8 | int(msg[off+1])
			if hops++; off >= limit || off < headerLen || hops > maxHops {
				return 0, false
			}
			limit = off
		default:
			return 0, false
		}
	}
	return 0, false
}
