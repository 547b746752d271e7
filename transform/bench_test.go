package transform

import (
	"encoding/binary"
	"net/netip"
	"testing"
	"time"

	"github.com/dnstap-pdns/dnstap-pdns/transform/dnswire"
	"github.com/dnstap-pdns/dnstap-pdns/transform/dnswire/wiretest"
)

// aStream returns the outward messages of a capture, half of them queries and half responses,
// which can be taken repeatedly.
func aStream(tb testing.TB) []*Message {
	var stream []*Message
	var waiting []*Message
	for _, m := range loadCapture(tb, "unbound") {
		switch m.Role {
		case ResolverQuery:
			waiting = append(waiting, m)
		case ResolverResponse:
			for i, q := range waiting {
				if q.Server.Addr() == m.Server.Addr() && string(q.Wire[:2]) == string(m.Wire[:2]) {
					stream = append(stream, q, m)
					waiting = append(waiting[:i], waiting[i+1:]...)
					break
				}
			}
		}
	}
	if len(stream) < 200 {
		tb.Fatalf("%d messages", len(stream))
	}
	return stream
}

// TestTakeDoesNotAllocate measures a lane that has its memory already.
func TestTakeDoesNotAllocate(t *testing.T) {
	stream := aStream(t)
	policy := testPolicy(t, func(c *Config) { c.LocalNames = []string{"univ.example"} })
	p := NewPairer(NewBudget(131072))
	emit := func(*Record) {}
	round := func() {
		for _, m := range stream {
			p.Take(m, policy, emit)
		}
	}
	round()
	if n := testing.AllocsPerRun(10, round); n != 0 {
		t.Errorf("%v allocations for %d messages", n, len(stream))
	}
	if c := p.Counts(); c.Records < c.Paired/2 || c.Held != 0 {
		t.Errorf("not what a resolver sends: %+v", c)
	}
}

// BenchmarkTake takes a resolver's messages, half of them queries.
func BenchmarkTake(b *testing.B) {
	stream := aStream(b)
	policy := testPolicy(b, func(c *Config) { c.LocalNames = []string{"univ.example"} })
	p := NewPairer(NewBudget(131072))
	emit := func(*Record) {}
	b.ReportAllocs()
	i := 0
	for b.Loop() {
		p.Take(stream[i], policy, emit)
		if i++; i == len(stream) {
			i = 0
		}
	}
}

// asPackets turns a stream into packets: each query and its response have a port of their
// own.
func asPackets(stream []*Message) []*Message {
	var packets []*Message
	for i, m := range stream {
		c := *m
		q := stream[i&^1]
		c.Packet, c.Zone, c.Transport, c.Server = true, nil, q.Transport, q.Server
		c.Resolver = netip.AddrPortFrom(ownAddr4, 1024+uint16(i/2))
		if c.Role.response() {
			c.QueryTime = NoTime
		}
		packets = append(packets, &c)
	}
	return packets
}

// later adds a duration to the times of a stream.
func later(stream []*Message, by Time) {
	for _, m := range stream {
		if m.QueryTime != NoTime {
			m.QueryTime += by
		}
		if m.ResponseTime != NoTime {
			m.ResponseTime += by
		}
	}
}

// BenchmarkTakePackets is BenchmarkTake with packets.
func BenchmarkTakePackets(b *testing.B) {
	stream := asPackets(aStream(b))
	policy := testPolicy(b, func(c *Config) { c.LocalNames = []string{"univ.example"} })
	p := NewPairer(NewBudget(131072))
	emit := func(*Record) {}
	b.ReportAllocs()
	i := 0
	for b.Loop() {
		p.Take(stream[i], policy, emit)
		if i++; i == len(stream) {
			i = 0
			later(stream, 5*second) // else they would be copies
		}
	}
	if c := p.Counts(); c.Dropped[Duplicate]+c.Dropped[Unsolicited] > 0 {
		b.Errorf("not what a resolver sends: %+v", c)
	}
}

// BenchmarkTakeAfterHandovers is BenchmarkTake with the largest number of captures known, all
// of them ended.
func BenchmarkTakeAfterHandovers(b *testing.B) {
	stream := aStream(b)
	policy := testPolicy(b, func(c *Config) { c.LocalNames = []string{"univ.example"} })
	p := NewPairer(NewBudget(131072))
	var h *Handover
	for i := range Time(maxSpans) {
		h = h.With(Span{On: stream[0].QueryTime - (2*i+3)*3600*second, Off: stream[0].QueryTime - (2*i+2)*3600*second})
	}
	p.HandOver(h)
	emit := func(*Record) {}
	b.ReportAllocs()
	i := 0
	for b.Loop() {
		p.Take(stream[i], policy, emit)
		if i++; i == len(stream) {
			i = 0
		}
	}
}

// BenchmarkKeyLog measures noting a record in a full ring.
func BenchmarkKeyLog(b *testing.B) {
	k := NewKeyLog(epoch)
	name := wiretest.Name("www.shop.example")
	b.ReportAllocs()
	now := epoch
	for b.Loop() {
		now += Time(100 * time.Microsecond)
		k.add(transactionKey(someServer.Addr(), uint16(now), 1, name), now, now)
	}
}

// BenchmarkPair measures the table alone: insert, find and remove a query, with ten thousand
// others pending.
func BenchmarkPair(b *testing.B) {
	q, r := aQuery().message(), aResponse().message()
	t := newTable(&share{budget: NewBudget(131072)})
	var w dnswire.Walker
	ask := func(n uint16) {
		binary.BigEndian.PutUint16(q.Wire, n)
		w.Walk(q.Wire)
	}
	for n := range uint16(10000) {
		ask(n)
		k := keyOf(q, n)
		t.insert(k, q, &w, 0)
	}
	ask(20000)
	b.ReportAllocs()
	for b.Loop() {
		k := keyOf(q, 20000)
		t.countSameKey(k)
		t.insert(k, q, &w, 0)
		k = keyOf(r, 20000)
		found, _ := t.find(k, r, &w)
		t.remove(found)
	}
}

// BenchmarkFullTable takes queries without responses, each of which evicts another.
func BenchmarkFullTable(b *testing.B) {
	policy := testPolicy(b)
	p := NewPairer(NewBudget(131072))
	a := newAsking("www.shop.example.")
	for n := range 131072 {
		p.Take(a.query(n), policy, nil)
	}
	b.ReportAllocs()
	n := 0
	for b.Loop() {
		p.Take(a.query(n), policy, nil)
		n++
	}
}
