package transform

import (
	"bytes"
	"runtime"
	"slices"
	"testing"

	"github.com/miekg/dns"

	"github.com/dnstap-pdns/dnstap-pdns/transform/dnswire"
	"github.com/dnstap-pdns/dnstap-pdns/transform/dnswire/wiretest"
)

// ofLength returns responses of length octets that take the most memory: by records,
// by names, by text, and by names in a message that is rebuilt.
func ofLength(length int) [][]byte {
	records := wiretest.New("q", 65280)
	for len(records.Wire)+11 <= length {
		records.With(dnswire.Answer, "", 65280, nil)
	}
	filled := func(d *wiretest.Message, section int, typ uint16, rdata []byte, pattern string) []byte {
		room := length - len(d.Wire) - 11 - len(rdata)
		return d.With(section, "", typ, append(rdata, bytes.Repeat([]byte(pattern), room/len(pattern))...)).Wire
	}
	hip := make([]byte, 4) // no identity and no key: names follow
	return [][]byte{
		records.Wire,
		filled(wiretest.New("q", dns.TypeHIP), dnswire.Answer, dns.TypeHIP, hip, "\x01a\x00"),
		filled(wiretest.New("q", dns.TypeTXT), dnswire.Answer, dns.TypeTXT, nil, "\x03abc"),
		filled(wiretest.New("q", dns.TypeHIP).With(dnswire.Additional, "", dns.TypeOPT, nil), dnswire.Additional, dns.TypeHIP, hip, "\x01a\x00"),
	}
}

func liveHeap() int {
	var m runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&m)
	return int(m.HeapAlloc)
}

// TestALaneKeepsLittleMemory whatever messages it has taken, and none of the messages.
func TestALaneKeepsLittleMemory(t *testing.T) {
	const (
		lanes       = 16
		least, most = 32 << 10, 64 << 10
	)
	policy, budget := scrubPolicy(t), NewBudget(8)
	emit := func(*Record) {}
	messages := slices.Concat(ofLength(smallMessage), ofLength(dnswire.MaxMessage))
	use := func(p *Pairer) *Pairer {
		for _, wire := range messages {
			if reason := p.Take(asResponse(bytes.Clone(wire)), policy, emit); reason != Kept {
				t.Fatalf("a response of %d octets, %x...: %v", len(wire), wire[:40], reason)
			}
		}
		return p
	}
	use(NewPairer(budget)) // which leaves a scratch to borrow
	before := liveHeap()
	var all []*Pairer
	for range lanes {
		all = append(all, use(NewPairer(budget)))
	}
	each := (liveHeap() - before) / lanes
	t.Logf("%d bytes in each lane", each)
	if each < least || each > most {
		t.Errorf("each of %d lanes keeps %d bytes, want %d to %d", lanes, each, least, most)
	}
	runtime.KeepAlive(budget)
	runtime.KeepAlive(all)
	runtime.KeepAlive(messages)
}

// TestLongMessagesDoNotAllocate once the budget has a scratch to lend.
func TestLongMessagesDoNotAllocate(t *testing.T) {
	policy, p := scrubPolicy(t), NewPairer(NewBudget(8))
	var messages []*Message
	for _, length := range []int{512, smallMessage, smallMessage + 1, dnswire.MaxMessage} {
		for _, wire := range ofLength(length) {
			messages = append(messages, asResponse(wire))
		}
	}
	kept, rebuilt := 0, 0
	emit := func(*Record) {
		kept++
		if p.rewriter.rebuilt {
			rebuilt++
		}
	}
	round := func() {
		for _, m := range messages {
			p.Take(m, policy, emit)
		}
	}
	const rounds = 5
	round()
	if n := testing.AllocsPerRun(rounds, round); n != 0 {
		t.Errorf("%v allocations for %d messages", n, len(messages))
	}
	if all := (rounds + 2) * len(messages); kept != all || rebuilt != all/4 {
		t.Errorf("%d records of %d messages, %d rebuilt, want a quarter", kept, all, rebuilt)
	}
}

func TestABudgetKeepsFewScratches(t *testing.T) {
	b := NewBudget(8)
	lent := map[*scratch]bool{}
	for range maxScratches + 2 {
		lent[b.lend()] = true
	}
	for s := range lent {
		b.takeBack(s)
	}
	again := 0
	for range len(lent) {
		if lent[b.lend()] {
			again++
		}
	}
	if len(lent) != maxScratches+2 || again != maxScratches {
		t.Errorf("%d scratches were lent at once, %d kept, want %d and %d", len(lent), again, maxScratches+2, maxScratches)
	}
}

// TestABudgetKeepsNothingOfALane that has borrowed from it.
func TestABudgetKeepsNothingOfALane(t *testing.T) {
	policy, b := scrubPolicy(t), NewBudget(8)
	p := NewPairer(b)
	for i, wire := range ofLength(dnswire.MaxMessage) {
		p.Take(asResponse(wire), policy, func(*Record) {})
		s := b.lend()
		if cap(s.walker.Records) == 0 {
			t.Fatal("the lane has not borrowed the scratch")
		}
		if s.walker.Msg != nil || s.searcher.policy != nil || s.searcher.known != nil {
			t.Errorf("message %d: the scratch holds what the lane used", i)
		}
		b.takeBack(s)
	}
}
