package stream

import (
	"bytes"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/dnstap-pdns/dnstap-pdns/transform"
	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// embedded returns a message, with its length, that is text in other messages.
func embedded(tb testing.TB) []byte { return framed(answer(tb, 7777, 20, "garbage")) }

// drawStream draws messages, some of which have a message as TXT data, and cuts them into
// segments at random octets.
func drawStream(t *rapid.T, tb testing.TB, isn uint32) (messages [][]byte, segments []Segment) {
	inner := escaped(string(embedded(tb)))
	for i := range rapid.IntRange(1, 12).Draw(t, "messages") {
		text := ""
		if rapid.Bool().Draw(t, "embeds") {
			text = inner
		}
		size := rapid.SampledFrom([]int{0, 10, 200, 1200, 5000, 30000}).Draw(t, "size")
		messages = append(messages, answer(tb, uint16(i+1), size, text))
	}
	data := framed(messages...)
	most := rapid.SampledFrom([]int{3, 40, 536, 1460, 9000, 65000}).Draw(t, "most")
	most = max(most, len(data)/200)
	r := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "cuts"), 0))
	for at := 0; at < len(data); {
		n := min(1+r.IntN(most), len(data)-at)
		if bytes.HasSuffix(data[:at+n], embedded(tb)) {
			n++ // else the embedded message could not be recognised
		}
		segments = append(segments, part(isn+1+uint32(at), data[at:at+n]))
		at += n
	}
	return messages, segments
}

// escaped returns s in the escaped form that miekg/dns expects in TXT.
func escaped(s string) string {
	var b strings.Builder
	for i := range len(s) {
		b.WriteByte('\\')
		for _, d := range []byte{100, 10, 1} {
			b.WriteByte('0' + s[i]/d%10)
		}
	}
	return b.String()
}

// shuffled moves segments by a few places, repeats some, and extends some to begin earlier,
// as retransmissions do.
func shuffled(t *rapid.T, segments []Segment) []Segment {
	r := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 1))
	window := rapid.IntRange(1, 20).Draw(t, "window")
	var out []Segment
	for i, s := range segments {
		switch r.IntN(6) {
		case 0:
			out = append(out, s)
		case 1:
			if i > 0 {
				before := segments[i-1]
				s.Payload = append(append([]byte{}, before.Payload...), s.Payload...)
				s.Seq = before.Seq
				n := r.IntN(len(before.Payload))
				s.Seq, s.Payload = s.Seq+uint32(n), s.Payload[n:]
			}
		}
		out = append(out, s)
	}
	place := make([]int, len(out))
	order := make([]int, len(out))
	for i := range out {
		order[i], place[i] = i, i+r.IntN(window)
	}
	slices.SortStableFunc(order, func(a, b int) int { return place[a] - place[b] })
	moved := make([]Segment, 0, len(out))
	for _, i := range order {
		moved = append(moved, out[i])
	}
	return moved
}

func TestAnyOrderGivesTheSameMessages(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		isn := rapid.Uint32().Draw(rt, "isn")
		messages, segments := drawStream(rt, t, isn)
		table, got := New(Limits{StreamBytes: 4 << 20}), new(recordingSink)
		takeAll(rt, table, got, syn(isn))
		takeAll(rt, table, got, shuffled(rt, segments)...)
		table.Finish(got)
		if diff := cmp.Diff(texts(messages...), got.messages); diff != "" || got.broken != 0 {
			rt.Fatalf("%d broken, messages (-want +got):\n%s", got.broken, diff)
		}
	})
}

// TestLossMakesNoMessages: lost segments may lose messages but never create one. Each message
// is delivered at most once and in order.
func TestLossMakesNoMessages(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		isn := rapid.Uint32().Draw(rt, "isn")
		messages, segments := drawStream(rt, t, isn)
		data := framed(messages...)
		table, got := New(Limits{}), new(recordingSink)
		if rapid.Bool().Draw(rt, "opened") {
			takeAll(rt, table, got, syn(isn))
		}
		r := rand.New(rand.NewPCG(rapid.Uint64().Draw(rt, "seed"), 2))
		rate := rapid.IntRange(2, 30).Draw(rt, "rate")
		for i, s := range shuffled(rt, segments) {
			switch r.IntN(rate) {
			case 0:
				continue
			case 1:
				c := cut(s, r.IntN(len(s.Payload)+1))
				if end := int(c.Seq-isn-1) + len(c.Payload); !bytes.HasSuffix(data[:end], embedded(t)) {
					s = c
				}
			}
			takeAll(rt, table, got, after(s, second/4*transform.Time(i)))
		}
		table.Finish(got)
		check(rt, table)
		rest := texts(messages...)
		for _, m := range got.messages {
			for len(rest) > 0 && rest[0] != m {
				rest = rest[1:]
			}
			if len(rest) == 0 {
				rt.Fatalf("a message that was not sent, or not then: %q", m)
			}
			rest = rest[1:]
		}
		// An embedded message that is cut counts as a message while it is tentative.
		if lost := len(messages) - len(got.messages); got.broken > lost && !bytes.Contains(data, embedded(t)) {
			rt.Fatalf("broken: got %d, want at most the %d lost", got.broken, lost)
		}
	})
}
