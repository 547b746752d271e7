package dnswire

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/miekg/dns"

	"github.com/dnstap-pdns/dnstap-pdns/transform/dnswire/wiretest"
)

// FuzzWalk compares the walker with miekg/dns: both must read a message alike if both
// accept it. If only the walker refuses it, stricter must know the reason.
func FuzzWalk(f *testing.F) {
	for _, tt := range wiretest.WalkCases {
		f.Add(wiretest.Unhex(f, tt.Hex))
	}
	for _, m := range wiretest.RealMessages(f) {
		f.Add(m)
	}
	for _, typ := range wiretest.KnownTypes() {
		f.Add(wiretest.New("q.example", typ).With(Answer, "q.example", typ, wiretest.SampleRdata(f, typ)).Wire)
	}
	f.Fuzz(func(t *testing.T, msg []byte) {
		var w Walker
		if w.Walk(msg) {
			compareMessage(t, &w)
			return
		}
		var m dns.Msg
		if m.Unpack(msg) == nil && !stricter(msg, &m) {
			t.Errorf("only miekg/dns takes this message:\n% x\n%v", msg, &m)
		}
	})
}

// compareMessage compares a walked message with that of miekg/dns, if it accepts it.
func compareMessage(t *testing.T, w *Walker) {
	t.Helper()
	var m dns.Msg
	if m.Unpack(w.Msg) != nil {
		return
	}
	if w.ID != m.Id || w.Questions != len(m.Question) {
		t.Errorf("ID %d, want %d; %d questions, want %d", w.ID, m.Id, w.Questions, len(m.Question))
	}
	if w.Questions > 0 {
		got := dns.Question{Name: wiretest.Presentation(t, w.Qname(), 0), Qtype: w.Qtype, Qclass: w.Qclass}
		if got != m.Question[0] {
			t.Errorf("question: got %v, want %v", got, m.Question[0])
		}
	}
	if diff := cmp.Diff([]int{len(m.Answer), len(m.Ns), len(m.Extra)}, w.Counts[:]); diff != "" {
		t.Errorf("records by section (-want +got):\n%s", diff)
		return
	}
	for i, want := range slices.Concat(m.Answer, m.Ns, m.Extra) {
		compareRecord(t, w, w.Records[i], want)
	}
}

func compareRecord(t *testing.T, w *Walker, r Record, want dns.RR) {
	t.Helper()
	type header struct {
		Owner       string
		Type, Class uint16
	}
	h := want.Header()
	got := header{wiretest.Presentation(t, w.Expand(nil, int(r.Owner)), 0), r.Type, r.Class}
	if diff := cmp.Diff(header{h.Name, h.Rrtype, h.Class}, got); diff != "" {
		t.Errorf("record (-want +got):\n%s", diff)
	}
	if r.Type == dns.TypeOPT || r.Type == dns.TypeTSIG || r.Type == dns.TypeTKEY || r.Type == wiretest.TypeA6 {
		return // never looked into; A6 is octets to miekg/dns
	}
	if diff := cmp.Diff(wiretest.NamesOf(want), walkedNames(t, w, r)); diff != "" {
		t.Errorf("names in %s (-want +got):\n%s", dns.Type(r.Type), diff)
	}
}

// walkedNames returns the names that the walker finds in a record's rdata.
func walkedNames(t *testing.T, w *Walker, r Record) []string {
	t.Helper()
	var names []string
	for c := w.Fields(&r); c.Next(); {
		if !c.IsName() {
			continue
		}
		name := w.Expand(nil, c.Start)
		if want := len(name); int(w.marks[c.Start]&markLen) != want {
			t.Errorf("mark of %q: length %d", name, w.marks[c.Start]&markLen)
		}
		names = append(names, wiretest.Presentation(t, name, 0))
		if direct := wiretest.Presentation(t, w.Msg, c.Start); direct != names[len(names)-1] {
			t.Errorf("expanded to %s, is %s", names[len(names)-1], direct)
		}
	}
	return names
}

// stricter reports whether the walker may refuse a message that miekg/dns accepts: for
// pointers that do not point strictly backwards or point below 12, a second or misplaced
// OPT, rdata too short for its type, fewer questions or records than the header states,
// and A6, which miekg/dns does not know.
func stricter(msg []byte, m *dns.Msg) bool {
	if len(msg) > MaxMessage || len(msg) < HeaderLen {
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
		case wiretest.TypeA6:
			return true
		case dns.TypeOPT:
			opts++
			if opts > 1 || i < len(m.Answer)+len(m.Ns) {
				return true
			}
		}
	}
	off := HeaderLen
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
		rdata, typ := end+FixedLen, uint16(msg[end])<<8|uint16(msg[end+1])
		off = end + 10 + int(msg[end+8])<<8 + int(msg[end+9])
		if typ == dns.TypeOPT || typ == dns.TypeTSIG || typ == dns.TypeTKEY {
			continue
		}
		c := coarseOf(typ, msg[rdata:off]).Fields(msg, rdata, off)
		for c.Next() {
			if c.IsName() {
				if _, ok := strictName(msg, c.Start); !ok {
					return true
				}
			}
		}
		if c.Malformed {
			return true
		}
	}
	return false
}

// strictName follows a name strictly by RFC 1035 section 4.1.4.
func strictName(msg []byte, off int) (end int, ok bool) {
	limit := off // pointers must lead below
	total := 1
	for hops := 0; off < len(msg) && total <= MaxName; {
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
			if hops++; off >= limit || off < HeaderLen || hops > maxHops {
				return 0, false
			}
			limit = off
		default:
			return 0, false
		}
	}
	return 0, false
}
