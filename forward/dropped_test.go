package forward

import (
	"testing"

	"pgregory.net/rapid"
)

// A dropsModel is a queue with one sender after another, and what was done with its units.
type dropsModel struct {
	*rapid.T
	tb     testing.TB
	queue  *queue
	sender *sender

	pushed, sent Dropped
	said         Dropped // in batches whose first unit was sent
}

func (m *dropsModel) push() {
	b := sealedBatch(m.tb, m.queue, 0, 1, rapid.SampledFrom([]int{100, 9000, 30000}).Draw(m.T, "size"))
	m.pushed.addBatch(b)
	push(m.queue, b)
}

// send sends or loses one unit of the oldest batch that the sender has, after a pop if it has none.
func (m *dropsModel) send(loses bool) {
	s := m.sender
	if len(s.batches) == s.sent {
		if m.queue.pop(s); len(s.batches) == 0 {
			return
		}
	}
	b, r := s.batches[s.sent], Result{}
	if loses {
		r.Lose(b, 0, Failed)
	} else {
		r.Deliver(b, 0, len(b.Bytes(0)))
		m.sent.add(Dropped{1, uint64(len(b.Bytes(0)))})
		m.said.add(b.Dropped)
	}
	m.queue.count(s, &r)
	if b.cut(1); len(b.Units) == 0 {
		s.sent++
	}
}

// replace makes another sender continue with the batches of this one, or with those in the queue.
func (m *dropsModel) replace(yields bool) {
	m.sender.yields = yields
	m.queue.endSender(m.sender, !yields)
	m.queue.reopen()
	m.sender = &sender{queue: m.queue}
	m.queue.current = m.sender
}

// waiting returns what is in the queue and what the sender has, and what these batches say.
func (m *dropsModel) waiting() (units, said Dropped) {
	note := func(b *Batch) {
		units.add(Dropped{uint64(len(b.Units)), uint64(len(b.Buf))})
		said.add(b.Dropped)
	}
	for b := m.queue.first; b != nil; b = b.next {
		note(b)
	}
	for _, b := range m.sender.batches[m.sender.sent:] {
		note(b)
	}
	return units, said
}

// TestEveryDroppedUnitIsSaidOnce: what batches say, and what the next one will say, is what was
// neither sent nor waits.
func TestEveryDroppedUnitIsSaidOnce(t *testing.T) {
	var all Dropped
	rapid.Check(t, func(rt *rapid.T) {
		q := newQueue(Live, 100<<10)
		m := &dropsModel{T: rt, tb: t, queue: q, sender: &sender{queue: q}}
		q.current = m.sender
		for range rapid.IntRange(1, 100).Draw(rt, "steps") {
			switch step := rapid.SampledFrom([]string{"push", "push", "push", "send", "send", "lose", "yield", "fail"}).Draw(rt, "step"); step {
			case "push":
				m.push()
			case "send", "lose":
				m.send(step == "lose")
			case "yield", "fail":
				m.replace(step == "yield")
			}
			units, said := m.waiting()
			got := m.said
			got.add(said)
			got.add(q.dropped)
			want := Dropped{m.pushed.Units - m.sent.Units - units.Units, m.pushed.Bytes - m.sent.Bytes - units.Bytes}
			if got != want {
				rt.Fatalf("%+v were dropped, the batches say %+v", want, got)
			}
		}
		all.add(m.said)
	})
	if all.Units == 0 {
		t.Error("nothing was dropped: the test proves nothing")
	}
}

// TestARetrySaysTheSame: a batch that a sender put back says what it said before, and the next one
// says what was dropped meanwhile.
func TestARetrySaysTheSame(t *testing.T) {
	q := newQueue(Live, 64<<10)
	s := &sender{queue: q, yields: true}
	push(q, sealedBatch(t, q, 0, 1, 40000))
	push(q, sealedBatch(t, q, 1, 1, 40000)) // drops the first one
	q.pop(s)
	said := s.batches[0].Dropped
	if said.Units != 1 || said.Bytes < 40000 {
		t.Errorf("the first batch says %+v", said)
	}
	q.count(s, &Result{dropped: Dropped{2, 200}})
	q.endSender(s, false)
	next := &taker{queue: q}
	if got := next.pop()[0].Dropped; got != said {
		t.Errorf("it says %+v after %+v", got, said)
	}
	push(q, sealedBatch(t, q, 2, 1, 100))
	if got := next.pop()[0].Dropped; got != (Dropped{2, 200}) {
		t.Errorf("the next batch says %+v", got)
	}
}
