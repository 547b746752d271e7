package packet

import (
	"encoding/binary"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/dnstap-pdns/dnstap-pdns/transform"
)

// timedPackets are packets that come at the same time.
type timedPackets struct {
	after   time.Duration // since the first
	packets [][]byte
}

func dissectTimed(d *Dissector, all ...timedPackets) *recorder {
	got := &recorder{}
	for _, c := range all {
		for _, p := range c.packets {
			d.Frame(raw, &CapturedPacket{Data: p, Length: len(p), Time: at + transform.Time(c.after)}, got)
		}
	}
	return got
}

// checkWires compares messages by their octets alone.
func checkWires(t *testing.T, got *recorder, want ...[]byte) {
	t.Helper()
	var wires [][]byte
	for _, m := range got.Messages {
		wires = append(wires, m.Wire)
	}
	if diff := cmp.Diff(want, wires); diff != "" || len(got.Dropped) > 0 {
		t.Errorf("dropped %v, messages (-want +got):\n%s", got.Dropped, diff)
	}
}

// duplicated returns each packet followed by its copy.
func duplicated(packets [][]byte) (all [][]byte) {
	for _, p := range packets {
		all = append(all, p, p)
	}
	return all
}

// TestCopiesOfFragmentsMakeNoDatagram: a copy of a fragment that is kept would become a part
// of the next datagram with the same ID.
func TestCopiesOfFragmentsMakeNoDatagram(t *testing.T) {
	for _, f := range bothFamilies() {
		first, second := bigAnswer(t, 3000), bigAnswer(t, 3000)
		for i := 40; i < len(second); i++ {
			second[i] ^= 0xff
		}
		pieces := func(wire []byte, size int) [][]byte { return fragmentsOf(udpPacket(t, f, wire), 7, size) }
		smaller := pieces(first, 496) // by a router on the way
		for _, c := range []struct {
			name     string
			copies   []timedPackets
			repeated uint64
		}{
			{"each twice", []timedPackets{{0, duplicated(pieces(first, 1000))}, {10 * time.Second, duplicated(pieces(second, 1000))}}, 8},
			{"all twice", []timedPackets{{0, pieces(first, 1000)}, {time.Second, pieces(first, 1000)}, {10 * time.Second, pieces(second, 1000)}}, 4},
			{"smaller ones", []timedPackets{{0, pieces(first, 1000)}, {0, smaller}, {10 * time.Second, pieces(second, 1000)}}, uint64(len(smaller))},
			{"the ID at once again", []timedPackets{{0, duplicated(pieces(first, 1000))}, {0, duplicated(pieces(second, 1000))}}, 8},
		} {
			d := New(testConfig)
			checkWires(t, dissectTimed(d, c.copies...), first, second)
			d.Finish(&recorder{})
			s := d.Stats()
			if want := (FragmentStats{Seen: s.Fragments.Seen, Repeated: c.repeated, Assembled: 2}); s.Fragments != want || s.BadChecksum != 0 {
				t.Errorf("%v, %s: %+v, %d bad checksums; want %+v, none", f.src, c.name, s.Fragments, s.BadChecksum, want)
			}
		}
	}
}

func TestCompleteDatagramsExpire(t *testing.T) {
	f, wire := queryFlow(resolver4, server4).back(), bigAnswer(t, 3000)
	whole := udpPacket(t, f, wire)
	d := New(testConfig)
	for id := range uint32(2 * maxDone) {
		dissect(d, fragmentsOf(whole, id, 1000)...)
	}
	if n := d.fragments.done.length; n != maxDone {
		t.Errorf("%d datagrams are kept, want %d", n, maxDone)
	}
	wide := fragmentsOf(whole, 2*maxDone, 1000)
	for _, c := range []struct {
		after time.Duration
		want  int
	}{{2*time.Second - 1, maxDone}, {2 * time.Second, 0}} {
		dissectTimed(d, timedPackets{c.after, wide[:1]})
		if n := d.fragments.done.length; n != c.want {
			t.Errorf("after %v %d datagrams are kept, want %d", c.after, n, c.want)
		}
	}
}

// TestCompleteDatagramsEvictNoIncompleteOnes: complete datagrams are evicted before incomplete
// ones.
func TestCompleteDatagramsEvictNoIncompleteOnes(t *testing.T) {
	f, wire := queryFlow(resolver4, server4).back(), bigAnswer(t, 3000)
	whole := udpPacket(t, f, wire)
	d := New(testConfig)
	const waiting = maxDatagrams - 1
	for id := range uint32(waiting) {
		dissect(d, fragmentOf(whole, id, 0, whole[ipv4Len:ipv4Len+8], true))
	}
	for id := range uint32(2 * maxDone) {
		check(t, dissect(d, fragmentsOf(whole, waiting+id, 1000)...), answer(f, transform.UDP, wire))
	}
	if s := d.Stats().Fragments; s.Evicted != 0 || d.fragments.waiting.length != waiting {
		t.Errorf("%d evicted, %d waiting, want none and %d", s.Evicted, d.fragments.waiting.length, waiting)
	}
}

// TestForgedFragmentsMakeNoMessage: a host that guesses an ID may send a fragment before those
// of an answer. The checksum is then wrong.
func TestForgedFragmentsMakeNoMessage(t *testing.T) {
	for _, f := range bothFamilies() {
		for _, config := range []Config{testConfig, decapsulatingConfig()} {
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
	b := inVXLAN(t, udpFrame(t, queryFlow(resolver4, server4), questionWire(t, 1)))
	b[len(b)-1] ^= 1
	d := New(decapsulatingConfig())
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

// TestFragmentsDoNotAlloc: buffers of complete datagrams are reused, also after pauses.
func TestFragmentsDoNotAlloc(t *testing.T) {
	f := queryFlow(resolver4, server4).back()
	pieces := duplicated(fragmentsOf(udpPacket(t, f, bigAnswer(t, 4000)), 7, 1480))
	d := New(testConfig)
	var sink countingSink
	id, now := uint16(0), at
	if n := testing.AllocsPerRun(20, func() {
		for range 2 * maxDone {
			id++
			for _, p := range pieces {
				binary.BigEndian.PutUint16(p[4:], id)
				d.Frame(raw, &CapturedPacket{Data: p, Length: len(p), Time: now}, &sink)
			}
		}
		now += doneTime
	}); n != 0 {
		t.Errorf("%v allocations for %d fragments", n, 2*maxDone*len(pieces))
	}
	if sink.taken != 21*2*maxDone { // AllocsPerRun warms up
		t.Errorf("%d messages, want %d", sink.taken, 21*2*maxDone)
	}
}
