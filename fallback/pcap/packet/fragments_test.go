package packet

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/dnstap-pdns/dnstap-pdns/transform"
)

// bigAnswer returns a response that is too long for one packet.
func bigAnswer(t testing.TB, length int) []byte {
	wire := answerWire(t, 9)
	for i := len(wire); i < length; i++ {
		wire = append(wire, byte(i)) // the dissector reads no further than the flags
	}
	return wire
}

// fragmentsOf cuts an IP packet into fragments with size octets of payload each.
func fragmentsOf(b []byte, id uint32, size int) [][]byte {
	header := ipv4Len
	if b[0]>>4 == 6 {
		header = ipv6Len
	}
	var all [][]byte
	payload := b[header:]
	for from := 0; from < len(payload); from += size {
		to := min(from+size, len(payload))
		all = append(all, fragmentOf(b, id, from, payload[from:to], to < len(payload)))
	}
	return all
}

// fragmentOf returns one fragment of an IP packet.
func fragmentOf(b []byte, id uint32, offset int, payload []byte, more bool) []byte {
	if b[0]>>4 == 4 {
		out := append(slices.Clone(b[:ipv4Len]), payload...)
		flags := uint16(offset / 8)
		if more {
			flags |= moreFragments
		}
		binary.BigEndian.PutUint16(out[2:], uint16(len(out)))
		binary.BigEndian.PutUint16(out[4:], uint16(id))
		binary.BigEndian.PutUint16(out[6:], flags)
		return out
	}
	out := append(slices.Clone(b[:ipv6Len]), b[6], 0, 0, 0)
	out = binary.BigEndian.AppendUint32(out, id)
	out[6] = protoFragment
	flags := uint16(offset)
	if more {
		flags |= 1
	}
	binary.BigEndian.PutUint16(out[ipv6Len+2:], flags)
	out = append(out, payload...)
	binary.BigEndian.PutUint16(out[4:], uint16(len(out)-ipv6Len))
	return out
}

func bothFamilies() []flow {
	return []flow{queryFlow(resolver4, server4).back(), queryFlow(resolver6, server6).back()}
}

// checkNothingHeld checks that no fragment is held after Finish.
func checkNothingHeld(t *testing.T, d *Dissector) {
	t.Helper()
	if f := d.fragments; f.bytes != 0 || len(f.held) != 0 || f.waiting != (assemblyQueue{}) || f.done != (assemblyQueue{}) {
		t.Errorf("%d bytes, %d datagrams held, %d waiting and %d whole; want none", f.bytes, len(f.held), f.waiting.length, f.done.length)
	}
}

func TestFragmentsInAnyOrderMakeTheDatagram(t *testing.T) {
	for _, f := range bothFamilies() {
		for _, length := range []int{100, 1500, 6000, 60000} {
			wire := bigAnswer(t, length)
			whole := udpPacket(t, f, wire)
			d := New(testConfig)
			for seed := range uint64(20) {
				pieces := fragmentsOf(whole, uint32(seed), max(64, length/40&^7))
				rand.New(rand.NewPCG(1, seed)).Shuffle(len(pieces), func(i, j int) { pieces[i], pieces[j] = pieces[j], pieces[i] })
				repeated := append(slices.Clone(pieces[:len(pieces)-1]), pieces...) // all but one come twice
				check(t, dissect(d, repeated...), answer(f, transform.UDP, wire))
				if t.Failed() {
					t.Fatalf("%v, %d bytes, seed %d", f.src, length, seed)
				}
			}
			s := d.Stats().Fragments
			if s.Assembled != 20 || s.Overlapping+s.Expired+s.Evicted+s.Malformed != 0 {
				t.Errorf("%v, %d bytes: %+v", f.src, length, s)
			}
			d.Finish(&recorder{})
			checkNothingHeld(t, d)
		}
	}
}

func TestFragmentsOfSeveralDatagramsDoNotMix(t *testing.T) {
	for _, f := range bothFamilies() {
		one, other := bigAnswer(t, 3000), bigAnswer(t, 3000)
		other[2000] ^= 0xff
		a, b := fragmentsOf(udpPacket(t, f, one), 1, 1000), fragmentsOf(udpPacket(t, f, other), 2, 1000)
		var mixed [][]byte
		for i := range a {
			mixed = append(mixed, a[i], b[i])
		}
		check(t, dissect(New(testConfig), mixed...), answer(f, transform.UDP, one), answer(f, transform.UDP, other))
	}
}

func TestFragmentsThatContradictEachOtherAreDropped(t *testing.T) {
	for _, f := range bothFamilies() {
		whole := udpPacket(t, f, bigAnswer(t, 3000))
		payload := whole[len(whole)-3000-udpLen:]
		piece := func(from, to int, more bool) []byte { return fragmentOf(whole, 7, from, payload[from:to], more) }
		forged := func(b []byte) []byte {
			b = slices.Clone(b)
			b[len(b)-1] ^= 1
			return b
		}
		first, second, last := piece(0, 1000, true), piece(1000, 2000, true), piece(2000, 3008, false)
		for _, c := range []struct {
			name   string
			pieces [][]byte
		}{
			{"reaches into the next", [][]byte{first, piece(992, 2000, true), second, last}},
			{"reaches into the one before", [][]byte{second, piece(0, 1008, true), first, last}},
			{"encloses another", [][]byte{second, piece(800, 2400, true), first, last}},
			{"is within another", [][]byte{second, piece(1200, 1600, true), first, last}},
			{"the same place, other octets", [][]byte{first, forged(first), second, last}},
			{"two ends", [][]byte{last, piece(1000, 2000, false), first, second}},
			{"beyond the end", [][]byte{piece(1000, 2000, false), last, first}},
			{"an end before what is there", [][]byte{last, piece(1000, 1600, false), first}},
		} {
			d := New(testConfig)
			if got := dissect(d, c.pieces...); len(got.Messages)+len(got.Dropped) != 0 {
				t.Errorf("%v, %s: messages %d, dropped %v; want nothing", f.src, c.name, len(got.Messages), got.Dropped)
			}
			if s := d.Stats().Fragments; s.Overlapping != 1 || s.Assembled != 0 {
				t.Errorf("%v, %s: %+v; want one datagram overlapping", f.src, c.name, s)
			}
		}
	}
}

func TestFragmentsOfImpossibleSizes(t *testing.T) {
	for _, f := range bothFamilies() {
		whole := udpPacket(t, f, bigAnswer(t, 3000))
		payload := whole[len(whole)-3000-udpLen:]
		for _, c := range []struct {
			name string
			b    []byte
		}{
			{"empty", fragmentOf(whole, 7, 8, nil, true)},
			{"no multiple of 8 in the middle", fragmentOf(whole, 7, 8, payload[8:21], true)},
			{"beyond 65535", fragmentOf(whole, 7, 65528, payload[:16], false)},
		} {
			d := New(testConfig)
			got := dissect(d, c.b)
			if s := d.Stats().Fragments; s.Malformed != 1 || len(got.Messages) != 0 || len(d.fragments.held) != 0 {
				t.Errorf("%v, %s: %+v, messages %d", f.src, c.name, s, len(got.Messages))
			}
		}
	}
}

func TestFragmentsExpireByPacketTime(t *testing.T) {
	f := queryFlow(resolver4, server4).back()
	wire := bigAnswer(t, 3000)
	pieces := fragmentsOf(udpPacket(t, f, wire), 7, 1000)
	for _, c := range []struct {
		pause time.Duration
		want  uint64
	}{{29 * time.Second, 1}, {30 * time.Second, 0}} {
		d, got := New(testConfig), &recorder{}
		for i, p := range pieces {
			time := at + transform.Time(i/2)*transform.Time(c.pause) // before the last
			d.Frame(raw, &CapturedPacket{Data: p, Length: len(p), Time: time}, got)
		}
		if n := uint64(len(got.Messages)); n != c.want || d.Stats().Fragments.Expired != 1-c.want {
			t.Errorf("after %v: %d messages, %+v", c.pause, n, d.Stats().Fragments)
		}
	}
}

func TestFragmentsExpireWhenTheClockWasSetBack(t *testing.T) {
	f, wire := queryFlow(resolver4, server4).back(), bigAnswer(t, 2000)
	b := udpPacket(t, f, wire)
	early, late := fragmentsOf(b, 7, 1400), fragmentsOf(b, 8, 1400)
	d, got := New(testConfig), &recorder{}
	for _, step := range []struct {
		piece []byte
		at    time.Duration
	}{
		{early[0], time.Hour}, // and the clock goes back
		{late[0], 0},
		{late[1], 2 * time.Minute},
	} {
		d.Frame(raw, &CapturedPacket{Data: step.piece, Length: len(step.piece), Time: at + transform.Time(step.at)}, got)
	}
	if s := d.Stats().Fragments; len(got.Messages) != 0 || s.Expired != 2 {
		t.Errorf("messages %d, %d expired, want none and 2", len(got.Messages), s.Expired)
	}
}

func TestFragmentBombsStayWithinBounds(t *testing.T) {
	f := queryFlow(resolver4, server4).back()
	whole := udpPacket(t, f, bigAnswer(t, 60000))
	payload := whole[ipv4Len:]
	r := rand.New(rand.NewPCG(1, 2))
	d := New(testConfig)
	got := &recorder{}
	for i := range 20_000 {
		from := r.IntN(len(payload)/8-200) * 8
		p := fragmentOf(whole, uint32(i), from, payload[from:from+8*(1+r.IntN(180))], true)
		p[15] = byte(i >> 16) // the sources differ too
		d.Frame(raw, &CapturedPacket{Data: p, Length: len(p), Time: at}, got)
		if d.fragments.bytes > maxFragmentBytes || len(d.fragments.held) > maxDatagrams {
			t.Fatalf("%d bytes, %d datagrams are held", d.fragments.bytes, len(d.fragments.held))
		}
	}
	for i := range 10_000 { // all of one datagram, in the smallest pieces
		p := fragmentOf(whole, 1, (i%8000)*8, payload[:8], true)
		d.Frame(raw, &CapturedPacket{Data: p, Length: len(p), Time: at}, got)
	}
	wire := bigAnswer(t, 3000) // a valid datagram is still complete
	good := dissect(d, fragmentsOf(udpPacket(t, f, wire), 77, 1000)...)
	check(t, good, answer(f, transform.UDP, wire))
	d.Finish(got)
	checkNothingHeld(t, d)
	if len(got.Messages) != 0 {
		t.Errorf("%d messages", len(got.Messages))
	}
}

func TestFragmentsOfOtherHostsAreNotKept(t *testing.T) {
	for _, f := range []flow{queryFlow(client4, server4), queryFlow(client4, server4).back()} {
		d := New(testConfig)
		got := dissect(d, fragmentsOf(udpPacket(t, f, bigAnswer(t, 3000)), 7, 1000)...)
		if s := d.Stats(); s.Other != 4 || s.Fragments.Seen != 0 || len(got.Messages) != 0 {
			t.Errorf("%+v, messages %d", s, len(got.Messages))
		}
	}
}

func TestCutFragmentsNeverMakeAMessage(t *testing.T) {
	f := queryFlow(resolver4, server4).back()
	d, got := New(testConfig), &recorder{}
	for _, p := range fragmentsOf(udpPacket(t, f, bigAnswer(t, 3000)), 7, 1000) {
		d.Frame(raw, &CapturedPacket{Data: p[:len(p)-1], Length: len(p), Time: at}, got)
	}
	if s := d.Stats(); s.Cut != 4 || s.Fragments.Malformed != 4 || len(got.Messages) != 0 {
		t.Errorf("%+v, messages %d", s, len(got.Messages))
	}
}

func BenchmarkFragments(b *testing.B) {
	for _, n := range []int{2, 5, 40} {
		b.Run(fmt.Sprint(n, " a datagram"), func(b *testing.B) {
			f := queryFlow(resolver4, server4).back()
			length := n*1480 - udpLen
			pieces := fragmentsOf(udpPacket(b, f, bigAnswer(b, length)), 7, 1480)
			d := New(testConfig)
			var sink countingSink
			id := uint16(0)
			b.ReportAllocs()
			b.SetBytes(int64(length))
			for b.Loop() {
				id++
				for _, p := range pieces {
					binary.BigEndian.PutUint16(p[4:], id)
					d.Frame(raw, &CapturedPacket{Data: p, Length: len(p), Time: at}, &sink)
				}
			}
			if sink.taken != b.N {
				b.Fatalf("%d messages, want %d", sink.taken, b.N)
			}
		})
	}
}
