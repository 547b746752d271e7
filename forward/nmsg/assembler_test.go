package nmsg

import (
	"errors"
	"io"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"
)

var noon = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

// feed adds one datagram, and returns the messages and errors that result.
func feed(a *Assembler, datagram []byte, now time.Time, from netip.AddrPort) (messages []Message, errs []error) {
	a.Add(datagram, now, from)
	for {
		m, err := a.Next()
		switch {
		case err == io.EOF:
			return messages, errs
		case err != nil:
			errs = append(errs, err)
		default:
			messages = append(messages, cloneMessage(m))
		}
	}
}

func TestFragmentsInAnyOrderAndTwice(t *testing.T) {
	payloads := payloadsOf(t, 40)
	var sent [][]byte
	for i := 0; i < len(payloads); i += 10 {
		for _, f := range cut(sealed(payloads[i:i+10], seqID, uint32(i/10)), MinSize, uint32(i)) {
			sent = append(sent, f, f)
		}
	}
	var a Assembler
	got, errs := assembled(&a, shuffled(sent))
	if len(errs) > 0 {
		t.Error(errs)
	}
	slices.SortFunc(got, func(x, y Message) int { return int(dnsqrTypeOf(t, x)) - int(dnsqrTypeOf(t, y)) })
	checkMessages(t, payloads, got)
	if a.unpack.fragments.bytes != 0 {
		t.Errorf("%d bytes are still held", a.unpack.fragments.bytes)
	}
}

// dnsqrTypeOf is the query type, by which payloadsOf numbers its records.
func dnsqrTypeOf(t *testing.T, m Message) uint32 {
	q, err := DecodeDNSQR(m.Data)
	if err != nil {
		t.Fatal(err)
	}
	return *q.QType
}

func TestFragmentsOfTwoSendersDoNotMix(t *testing.T) {
	other := netip.MustParseAddrPort("[2001:db8::9]:9")
	p := payloadsOf(t, 20)
	mine, theirs := cut(sealed(p[:10], 1, 0), MinSize, 7), cut(sealed(p[10:], 2, 0), MinSize, 7)
	var a Assembler
	var fromMe, fromThem []Message
	for i := range mine {
		got, _ := feed(&a, mine[i], noon, sender)
		fromMe = append(fromMe, got...)
		got, _ = feed(&a, theirs[i], noon, other)
		fromThem = append(fromThem, got...)
	}
	checkMessages(t, p[:10], fromMe)
	checkMessages(t, p[10:], fromThem)
}

func TestFragmentsExpireAfterThirtySeconds(t *testing.T) {
	p := payloadsOf(t, 10)
	for _, tc := range []struct {
		after time.Duration
		whole bool
	}{{30 * time.Second, true}, {30*time.Second + 1, false}} {
		var a Assembler
		fragments := cut(sealed(p, seqID, 0), MinSize, 7)
		feed(&a, fragments[0], noon, sender)
		var got []Message
		var errs []error
		for _, f := range fragments[1:] {
			m, e := feed(&a, f, noon.Add(tc.after), sender)
			got, errs = append(got, m...), append(errs, e...)
		}
		if tc.whole {
			checkMessages(t, p, got)
			continue
		}
		if len(got) > 0 || len(errs) != 1 || !errors.Is(errs[0], errIncomplete) {
			t.Errorf("after %v: %d messages, errors %v", tc.after, len(got), errs)
		}
	}
}

// The C writer announces a last fragment that it never sends if the body is an exact
// multiple of the fragment size; go-nmsg sends it empty.
func TestAnnouncedButEmptyLastFragment(t *testing.T) {
	p := payloadsOf(t, 10)
	body := sealed(p, seqID, 0)[headerLen:]
	half := len(body) / 2
	fragments := [][]byte{}
	for i, data := range [][]byte{body[:half], body[half:], nil} {
		f := fragment{flags: flagFragment, id: 4, current: uint32(i), last: 2, data: data, crc: wireCRC(checksum(body))}
		fragments = append(fragments, f.append(nil))
	}
	for name, order := range map[string][]int{
		"never sent": {0, 1}, "never sent, out of order": {1, 0},
		"sent": {0, 1, 2}, "sent first": {2, 1, 0}, "sent in the middle": {1, 2, 0},
	} {
		var a Assembler
		var sent [][]byte
		for _, i := range order {
			sent = append(sent, fragments[i])
		}
		got, errs := assembled(&a, sent)
		if len(errs) > 0 {
			t.Errorf("%s: %v", name, errs)
		}
		checkMessages(t, p, got)
		if lost := a.unpack.fragments.bytes; lost != 0 {
			t.Errorf("%s: %d bytes still held", name, lost)
		}
	}
}

func TestDamagedFragmentDoesNotDamageOthers(t *testing.T) {
	p := payloadsOf(t, 10)
	fragments := cut(sealed(p, seqID, 0), MinSize, 7)
	bad := slices.Clone(fragments[1])
	bad[len(bad)-1] ^= 1 // the CRC: the fragment belongs to a set of its own
	var a Assembler
	got, errs := assembled(&a, append([][]byte{bad}, fragments...))
	if len(errs) > 0 {
		t.Error(errs)
	}
	checkMessages(t, p, got)

	flipped := slices.Clone(fragments)
	flipped[1] = slices.Clone(fragments[1])
	flipped[1][60] ^= 1 // the data
	got, errs = assembled(new(Assembler), flipped)
	if len(got) > 0 || len(errs) != 1 || !errors.Is(errs[0], errFragmentCRC) {
		t.Errorf("%d messages, errors %v, want one about the CRC", len(got), errs)
	}
}

func TestMemoryForFragmentsIsLimited(t *testing.T) {
	for _, tc := range []struct{ size, sets int }{{0, 2 * maxSets}, {60_000, 2 * maxSetsBytes / 60_000}} {
		var a Assembler
		data := make([]byte, tc.size)
		var lost int
		for i := range uint32(tc.sets) {
			f := fragment{flags: flagFragment, id: i, last: 1<<32 - 1, data: data, crc: 1}
			_, errs := feed(&a, f.append(nil), noon, sender)
			lost += len(errs)
			if r := &a.unpack.fragments; len(r.sets) > maxSets || r.bytes > maxSetsBytes {
				t.Fatalf("%d sets, %d bytes are held", len(r.sets), r.bytes)
			}
		}
		if r := &a.unpack.fragments; lost+len(r.sets) != tc.sets || lost == 0 || len(r.sets) != len(r.order) {
			t.Errorf("%d sets reported lost, %d held of %d", lost, len(r.sets), tc.sets)
		}
	}
}

func TestAddDropsTheRestOfTheDatagramBefore(t *testing.T) {
	var a Assembler
	a.Add(sealed(payloadsOf(t, 3), seqID, 0), noon, sender)
	if _, err := a.Next(); err != nil {
		t.Fatal(err)
	}
	if got, errs := feed(&a, []byte("garbage"), noon, sender); len(got) > 0 || len(errs) != 1 {
		t.Errorf("%d messages, errors %v, want none and one", len(got), errs)
	}
}

func TestOneContainerOfFragmentsIsBounded(t *testing.T) {
	var a Assembler
	data := make([]byte, MaxSize)
	for i := range uint32(40) {
		f := fragment{flags: flagFragment, id: 1, current: i, last: 100, data: data, crc: 1}
		_, errs := feed(&a, f.append(nil), noon, sender)
		if over := int(i+1)*MaxSize > maxBody; len(errs) > 0 != (i == 16) || a.unpack.fragments.bytes > 0 == over {
			t.Fatalf("fragment %d: errors %v, %d bytes held", i, errs, a.unpack.fragments.bytes)
		}
	}
}

func TestBadDatagramsAreErrorsAndTheNextIsRead(t *testing.T) {
	p := payloadsOf(t, 2)
	good := sealed(p, seqID, 0)
	f := fragment{flags: flagFragment, id: 1, current: 5, last: 4, data: []byte{1}}
	for _, tc := range []struct {
		name     string
		datagram []byte
		want     string
		payloads []Payload
	}{
		{"empty", nil, "no NMSG header", nil},
		{"garbage", []byte("GET / HTTP/1.1\r\n\r\n"), "no NMSG header", nil},
		{"cut", good[:len(good)-1], "ends after", nil},
		{"header only", good[:headerLen], "ends after", nil},
		{"bytes after the container", slices.Concat(good, []byte("xyz")), "3 bytes after the container", p},
		{"fragment beyond the last", f.append(nil), "beyond the last", nil},
	} {
		var a Assembler
		got, errs := feed(&a, tc.datagram, noon, sender)
		if len(errs) != 1 || !strings.Contains(errs[0].Error(), tc.want) {
			t.Errorf("%s: errors %v, want %q", tc.name, errs, tc.want)
		}
		checkMessages(t, tc.payloads, got)
		got, errs = feed(&a, good, noon, sender)
		if len(errs) > 0 {
			t.Errorf("after %s: %v", tc.name, errs)
		}
		checkMessages(t, p, got)
	}
}

func TestAssemblerReportsGaps(t *testing.T) {
	var a Assembler
	var gaps []Gap
	a.OnGap(func(g Gap) { gaps = append(gaps, g) })
	p := payloadsOf(t, 1)
	assembled(&a, [][]byte{sealed(p, 1, 4), sealed(p, 1, 6), sealed(p, 1, 5), sealed(p, 2, 0)})
	if len(gaps) != 1 || gaps[0] != (Gap{SequenceID: 1, Expected: 5, Got: 6}) {
		t.Errorf("gaps %+v", gaps)
	}
}
