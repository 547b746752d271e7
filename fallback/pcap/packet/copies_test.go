package packet

import (
	"encoding/binary"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/dnstap-pdns/dnstap-pdns/transform"
)

// passing is packets that come at one time.
type passing struct {
	after   time.Duration // since the first
	packets [][]byte
}

func dissectPassing(d *Dissector, all ...passing) *seen {
	got := &seen{}
	for _, c := range all {
		for _, p := range c.packets {
			d.Frame(raw, &Captured{Data: p, Length: len(p), Time: at + transform.Time(c.after)}, got)
		}
	}
	return got
}

// checkWires compares messages by their octets alone.
func checkWires(t *testing.T, got *seen, want ...[]byte) {
	t.Helper()
	var wires [][]byte
	for _, m := range got.Messages {
		wires = append(wires, m.Wire)
	}
	if diff := cmp.Diff(want, wires); diff != "" || len(got.Dropped) > 0 {
		t.Errorf("dropped %v, messages (-want +got):\n%s", got.Dropped, diff)
	}
}

// twice is each packet and its copy behind it.
func twice(packets [][]byte) (all [][]byte) {
	for _, p := range packets {
		all = append(all, p, p)
	}
	return all
}

// A copy of a fragment that waited would be taken for a part of the next datagram with
// that ID.
func TestCopiesOfFragmentsMakeNothingNew(t *testing.T) {
	for _, f := range bothFamilies() {
		first, second := bigAnswer(t, 3000), bigAnswer(t, 3000)
		for i := 40; i < len(second); i++ {
			second[i] ^= 0xff
		}
		pieces := func(wire []byte, size int) [][]byte { return fragmentsOf(udpPacket(t, f, wire), 7, size) }
		smaller := pieces(first, 496) // by a router on the way
		for _, c := range []struct {
			name     string
			copies   []passing
			repeated uint64
		}{
			{"each twice", []passing{{0, twice(pieces(first, 1000))}, {10 * time.Second, twice(pieces(second, 1000))}}, 8},
			{"all twice", []passing{{0, pieces(first, 1000)}, {time.Second, pieces(first, 1000)}, {10 * time.Second, pieces(second, 1000)}}, 4},
			{"smaller ones", []passing{{0, pieces(first, 1000)}, {0, smaller}, {10 * time.Second, pieces(second, 1000)}}, uint64(len(smaller))},
			{"the ID at once again", []passing{{0, twice(pieces(first, 1000))}, {0, twice(pieces(second, 1000))}}, 8},
		} {
			d := New(testConfig)
			checkWires(t, dissectPassing(d, c.copies...), first, second)
			d.Finish(&seen{})
			s := d.Stats()
			if want := (FragmentStats{Seen: s.Fragments.Seen, Repeated: c.repeated, Assembled: 2}); s.Fragments != want || s.BadChecksum != 0 {
				t.Errorf("%v, %s: %+v, %d bad checksums; want %+v, none", f.src, c.name, s.Fragments, s.BadChecksum, want)
			}
		}
	}
}

func TestWhatWasWholeIsForgotten(t *testing.T) {
	f, wire := asking(resolver4, server4).back(), bigAnswer(t, 3000)
	whole := udpPacket(t, f, wire)
	d := New(testConfig)
	for id := range uint32(2 * maxWhole) {
		dissect(d, fragmentsOf(whole, id, 1000)...)
	}
	if n := d.fragments.done.length; n != maxWhole {
		t.Errorf("%d datagrams are known, want %d", n, maxWhole)
	}
	wide := fragmentsOf(whole, 2*maxWhole, 1000)
	for _, c := range []struct {
		after time.Duration
		want  int
	}{{2*time.Second - 1, maxWhole}, {2 * time.Second, 0}} {
		dissectPassing(d, passing{c.after, wide[:1]})
		if n := d.fragments.done.length; n != c.want {
			t.Errorf("after %v %d datagrams are known, want %d", c.after, n, c.want)
		}
	}
}

// What was whole takes no room from what is not yet.
func TestWhatWaitsStaysBesideWhatWasWhole(t *testing.T) {
	f, wire := asking(resolver4, server4).back(), bigAnswer(t, 3000)
	whole := udpPacket(t, f, wire)
	d := New(testConfig)
	const waiting = maxDatagrams - 1
	for id := range uint32(waiting) {
		dissect(d, fragmentOf(whole, id, 0, whole[ipv4Len:ipv4Len+8], true))
	}
	for id := range uint32(2 * maxWhole) {
		check(t, dissect(d, fragmentsOf(whole, waiting+id, 1000)...), answer(f, transform.UDP, wire))
	}
	if s := d.Stats().Fragments; s.Evicted != 0 || d.fragments.waiting.length != waiting {
		t.Errorf("%d evicted, %d waiting, want none and %d", s.Evicted, d.fragments.waiting.length, waiting)
	}
}

// Who guesses an ID may send a fragment ahead of those of an answer, whose checksum is
// then wrong.
func TestForgedFragmentsMakeNoMessage(t *testing.T) {
	for _, f := range bothFamilies() {
		for _, config := range []Config{testConfig, decapsulating()} {
			whole := udpPacket(t, f, bigAnswer(t, 3000))
			genuine := fragmentsOf(whole, 7, 1000)
			forged := slices.Clone(genuine[3])
			forged[len(forged)-1] ^= 1
			d := New(config)
			got := dissect(d, append([][]byte{forged}, genuine...)...)
			if s := d.Stats(); len(got.Messages) != 0 || !cmp.Equal(got.Dropped, []transform.Reason{transform.Malformed}) || s.BadChecksum != 1 {
				t.Errorf("%v: messages %d, dropped %v, %d bad checksums; want one malformed", f.src, len(got.Messages), got.Dropped, s.BadChecksum)
			}
		}
	}
}

func TestForgedFragmentsMakeNoTunnel(t *testing.T) {
	b := inVXLAN(t, udpFrame(t, asking(resolver4, server4), questionWire(t, 1)))
	b[len(b)-1] ^= 1
	d := New(decapsulating())
	got := dissect(d, fragmentsOf(b, 7, 64)...)
	if s := d.Stats(); len(got.Messages) != 0 || !cmp.Equal(got.Dropped, []transform.Reason{transform.Malformed}) || s.BadChecksum != 1 || s.Tunnelled != 0 {
		t.Errorf("messages %d, dropped %v, %+v; want one malformed", len(got.Messages), got.Dropped, s)
	}
}

func TestFragmentsWithoutAChecksumMakeAMessage(t *testing.T) {
	for _, f := range bothFamilies() {
		wire := bigAnswer(t, 3000)
		whole := udpPacket(t, f, wire)
		binary.BigEndian.PutUint16(whole[len(whole)-len(wire)-2:], 0)
		check(t, dissect(New(testConfig), fragmentsOf(whole, 7, 1000)...), answer(f, transform.UDP, wire))
	}
}

// The room of what was whole is taken again, after pauses too.
func TestFragmentsDoNotAlloc(t *testing.T) {
	f := asking(resolver4, server4).back()
	pieces := twice(fragmentsOf(udpPacket(t, f, bigAnswer(t, 4000)), 7, 1480))
	d := New(testConfig)
	var sink discard
	id, now := uint16(0), at
	if n := testing.AllocsPerRun(20, func() {
		for range 2 * maxWhole {
			id++
			for _, p := range pieces {
				binary.BigEndian.PutUint16(p[4:], id)
				d.Frame(raw, &Captured{Data: p, Length: len(p), Time: now}, &sink)
			}
		}
		now += wholeTime
	}); n != 0 {
		t.Errorf("%v allocations for %d fragments", n, 2*maxWhole*len(pieces))
	}
	if sink.taken != 21*2*maxWhole { // AllocsPerRun warms up
		t.Errorf("%d messages, want %d", sink.taken, 21*2*maxWhole)
	}
}
