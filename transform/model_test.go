package transform

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/miekg/dns"
)

// A model is a slow and simple implementation of Pairers: one slice of queries of all lanes, in
// order of arrival.
type model struct {
	max     int
	each    int // limit of one lane
	timeout Time
	wanted  bool // unanswered queries make records
	lanes   []*modelLane
	waiting []*modelQuery
	crowded int // queries evicted because of maxSameKey
	copies  int // packets that were repeated after the answer
	early   int // queries closed by a response that arrived before them
}

type modelLane struct {
	counts Counts
	set    bool
	now    Time
	passed Time
	far    []Time        // times in the current run of messages far away
	recent []*modelQuery // queries that arrived since that run began

	early       []*modelEarly // responses without a query, in the order in which they are settled
	recentEarly []*modelEarly // of early, as recent
	arrivals    int           // of early responses

	answered map[uint64][]modelAnswer                           // by cell, oldest first
	cell     func(m *Message, id uint16, q dns.Question) uint64 // returns the cell, which has the two newest
}

// A modelAnswer is an answered query and its response.
type modelAnswer struct {
	query, response string
	at              Time
}

func (l *modelLane) note(q *modelQuery, m *Message) {
	place := l.cell(m, q.dns.Id, q.question())
	l.answered[place] = append(l.answered[place], modelAnswer{describe(q.m, q.dns.Id, q.question()), string(m.Wire), m.ResponseTime})
}

// recall returns the response to a query within two seconds of the message, by the times of
// both.
func (l *modelLane) recall(m *Message, id uint16, q dns.Question) (response string, ok bool) {
	all := l.answered[l.cell(m, id, q)]
	for _, a := range slices.Backward(all[max(0, len(all)-2):]) {
		if a.query == describe(m, id, q) && uint64(max(m.time(), a.at))-uint64(min(m.time(), a.at)) <= uint64(2*second) {
			return a.response, true
		}
	}
	return "", false
}

func describe(m *Message, id uint16, q dns.Question) string {
	return fmt.Sprint(unmapped(m.Server), m.Resolver, m.Transport, id, strings.ToLower(q.String()))
}

type modelQuery struct {
	lane *modelLane
	m    *Message
	dns  dns.Msg
	at   Time // of the lane's clock
	cost int
}

// A modelEarly is a response that waits for its query.
type modelEarly struct {
	m         *Message
	dns       dns.Msg
	arrival   int  // among the early responses of the lane
	at        Time // of the lane's clock
	cost      int
	contested bool
}

// asks reports whether the response is to this question of a packet.
func (e *modelEarly) asks(m *Message, id uint16, q dns.Question) bool {
	return e.dns.Id == id && e.m.Server.Addr().Unmap() == m.Server.Addr().Unmap() && e.m.Server.Port() == m.Server.Port() &&
		e.m.Resolver == m.Resolver && e.m.Transport == m.Transport &&
		e.dns.Question[0].Qtype == q.Qtype && strings.EqualFold(e.dns.Question[0].Name, q.Name)
}

func (q *modelQuery) question() dns.Question { return q.dns.Question[0] }

func (mo *model) held() (n int) {
	for _, q := range mo.waiting {
		n += q.cost
	}
	for _, l := range mo.lanes {
		n += l.earlyCost()
	}
	return n
}

func (l *modelLane) earlyCost() (n int) {
	for _, e := range l.early {
		n += e.cost
	}
	return n
}

func (mo *model) heldBy(l *modelLane) (queries []*modelQuery) {
	for _, q := range mo.waiting {
		if q.lane == l {
			queries = append(queries, q)
		}
	}
	return queries
}

func (mo *model) costOf(l *modelLane) (n int) {
	for _, q := range mo.heldBy(l) {
		n += q.cost
	}
	return n + l.earlyCost()
}

// evict ends the oldest early response, else the oldest query, and reports whether there was one.
func (mo *model) evict(l *modelLane) bool {
	own := mo.heldBy(l)
	switch {
	case len(l.early) > 0:
		l.dropEarly(l.early[0])
	case len(own) > 0:
		mo.drop(own[0], PairingFull)
	default:
		return false
	}
	return true
}

func (l *modelLane) dropEarly(e *modelEarly) {
	l.take(e)
	l.counts.Dropped[PairingFull]++
}

// take takes a response out of the early ones.
func (l *modelLane) take(e *modelEarly) {
	l.early = slices.DeleteFunc(l.early, func(o *modelEarly) bool { return o == e })
}

func (mo *model) drop(q *modelQuery, r Reason) {
	mo.waiting = slices.DeleteFunc(mo.waiting, func(o *modelQuery) bool { return o == q })
	if r == Kept {
		q.lane.counts.Records++
	} else {
		q.lane.counts.Dropped[r]++
	}
}

func (mo *model) tick(l *modelLane, t Time) {
	defer func() {
		for len(l.early) > 0 && l.passed-l.early[0].at >= 2*second {
			mo.settle(l, l.early[0])
		}
		for _, q := range mo.heldBy(l) {
			if l.passed-q.at < mo.timeout {
				continue
			}
			r := judgeModel(&q.dns, nil, q.m)
			if r == Kept && !mo.wanted {
				r = Unanswered
			}
			mo.drop(q, r)
		}
	}()
	near := func(a, b Time) bool { return time.Duration(a-b).Abs() <= time.Minute }
	switch {
	case t == NoTime:
		return
	case !l.set:
		l.set, l.now = true, t
	case near(t, l.now):
		l.far = nil
		l.passed += max(0, t-l.now)
		l.now = max(t, l.now)
	default:
		if len(l.far) > 0 {
			last := slices.Max(l.far)
			if !near(t, last) && (t < last || time.Duration(t-last) > time.Hour) {
				l.far = nil
			}
		}
		if len(l.far) == 0 {
			l.recent, l.recentEarly = nil, nil
		}
		l.far = append(l.far, t)
		if len(l.far) < 16 {
			return
		}
		l.passed += min(max(0, slices.Max(l.far)-l.now), 48*3600*second)
		l.now = slices.Max(l.far)
		l.far = nil
		for _, q := range l.recent {
			q.at = l.passed
		}
		for _, e := range l.recentEarly {
			e.at = l.passed
		}
	}
}

// judgeModel judges without names, and of addresses only private ones.
func judgeModel(query, response *dns.Msg, m *Message) Reason {
	switch {
	case query != nil && query.RecursionDesired, response != nil && response.RecursionDesired:
		return Forwarded
	case m.Server.Addr().Unmap().IsPrivate():
		return LocalServer
	case response != nil && len(response.Question) != 1:
		return NotLookup
	case response != nil && response.Truncated:
		return Truncated
	}
	return Kept
}

func sameServer(q *modelQuery, m *Message, id uint16) bool {
	return q.m.Server.Addr().Unmap() == m.Server.Addr().Unmap() && q.dns.Id == id
}

func sameTuple(q *modelQuery, m *Message) bool {
	return !m.Packet || q.m.Server.Port() == m.Server.Port() && q.m.Resolver == m.Resolver && q.m.Transport == m.Transport
}

// match finds the query that a response to this question closes, or that a query repeats.
func (mo *model) match(l *modelLane, m *Message, id uint16, question *dns.Question) (q *modelQuery, other bool) {
	var candidates []*modelQuery
	for _, q := range mo.heldBy(l) {
		if sameServer(q, m, id) && sameTuple(q, m) {
			candidates = append(candidates, q)
		}
	}
	if question == nil {
		if len(candidates) == 1 {
			return candidates[0], false
		}
		return nil, false
	}
	other = len(candidates) > 0
	var folded *modelQuery
	for _, q := range candidates {
		switch asks := q.question(); {
		case asks == *question:
			return q, other
		case folded == nil && asks.Qtype == question.Qtype && strings.EqualFold(asks.Name, question.Name):
			folded = q
		}
	}
	return folded, other
}

func (mo *model) takeQuery(l *modelLane, d *sketch) Reason {
	m := d.message()
	l.counts.Read++
	mo.tick(l, m.QueryTime)
	if m.Packet {
		q, _ := mo.match(l, m, d.dns.Id, &d.dns.Question[0])
		_, answered := l.recall(m, d.dns.Id, d.dns.Question[0])
		if answered {
			mo.copies++
		}
		if answered || q != nil && q.question() == d.dns.Question[0] {
			r := judgeModel(&d.dns, nil, m)
			if r == Kept {
				r = Duplicate
			}
			l.counts.Dropped[r]++
			return r
		}
	}
	q := &modelQuery{lane: l, m: m, dns: d.dns, at: l.passed, cost: 1}
	if len(mustPackName(d.dns.Question[0].Name))+len(m.Zone) > inlineText {
		q.cost += slotCost
	}
	var crowd []*modelQuery
	for _, o := range mo.heldBy(l) {
		if sameServer(o, m, d.dns.Id) {
			crowd = append(crowd, o)
		}
	}
	if len(crowd) >= maxSameKey {
		mo.crowded++
		mo.drop(crowd[0], PairingFull)
	}
	for mo.held()+q.cost > mo.max || mo.costOf(l)+q.cost > mo.each {
		if !mo.evict(l) {
			l.counts.Dropped[PairingFull]++
			return PairingFull
		}
	}
	mo.waiting = append(mo.waiting, q)
	l.recent = append(l.recent, q)
	newestFirst := slices.SortedFunc(slices.Values(l.early), func(a, b *modelEarly) int { return b.arrival - a.arrival })
	for _, e := range newestFirst {
		if e.asks(m, d.dns.Id, q.question()) {
			l.take(e)
			l.wait(e)
		}
	}
	return Kept
}

// wait appends a response to the early ones.
func (l *modelLane) wait(e *modelEarly) {
	e.at = l.passed
	l.early = append(l.early, e)
	l.recentEarly = append(l.recentEarly, e)
}

func (mo *model) takeResponse(l *modelLane, d *sketch, broken bool) Reason {
	m := d.message()
	l.counts.Read++
	mo.tick(l, m.ResponseTime)
	var question *dns.Question
	if len(d.dns.Question) == 1 {
		question = &d.dns.Question[0]
	}
	q, other := mo.match(l, m, d.dns.Id, question)
	r := mo.judge(l, m, &d.dns, q, other, broken)
	if m.Packet && q == nil && !other && (r == Unsolicited || r == Truncated) {
		if _, answered := l.recall(m, d.dns.Id, *question); !answered {
			r = mo.hold(l, m, &d.dns, r)
			if r == Kept {
				return r
			}
		}
	}
	return l.count(r)
}

func (l *modelLane) count(r Reason) Reason {
	if r == Kept {
		l.counts.Records++
	} else {
		l.counts.Dropped[r]++
	}
	return r
}

// judge closes the query, if there is one, and judges the response.
func (mo *model) judge(l *modelLane, m *Message, response *dns.Msg, q *modelQuery, other, broken bool) Reason {
	var query *dns.Msg
	if q != nil {
		l.counts.Paired++
		query = &q.dns
		if m.Packet {
			l.note(q, m)
		}
		mo.waiting = slices.DeleteFunc(mo.waiting, func(o *modelQuery) bool { return o == q })
	}
	r := judgeModel(query, response, m)
	switch {
	case broken:
		return Malformed
	case r != Kept || q != nil:
		return r
	case other:
		return Mismatched
	case m.Packet && mo.repeats(l, m, response):
		return Duplicate
	case m.Packet:
		return Unsolicited
	}
	return Kept
}

// repeats reports whether a response is a copy of the answer.
func (mo *model) repeats(l *modelLane, m *Message, response *dns.Msg) bool {
	first, answered := l.recall(m, response.Id, response.Question[0])
	if answered && first == string(m.Wire) {
		mo.copies++
		return true
	}
	return false
}

// hold keeps a response that may be early, and returns Kept or why it cannot.
func (mo *model) hold(l *modelLane, m *Message, response *dns.Msg, why Reason) Reason {
	e := &modelEarly{m: m, dns: *response, cost: 1 + pieceCost(len(m.Wire))}
	if len(mustPackName(response.Question[0].Name)) > inlineText {
		e.cost += slotCost
	}
	var rivals, crowd []*modelEarly
	for _, o := range l.early {
		if o.asks(m, response.Id, response.Question[0]) {
			rivals = append(rivals, o)
		}
		if o.dns.Id == response.Id && o.m.Server.Addr().Unmap() == m.Server.Addr().Unmap() {
			crowd = append(crowd, o)
		}
	}
	for _, o := range rivals {
		if string(o.m.Wire) != string(m.Wire) {
			continue
		}
		if why == Unsolicited {
			return Duplicate
		}
		return why
	}
	e.contested = len(rivals) > 0
	for _, o := range rivals {
		o.contested = true
	}
	if len(crowd) >= maxSameKey {
		l.dropEarly(crowd[0])
	}
	most := 1 + slotCost + pieceCost(len(m.Wire)) // as if the name were long
	for l.earlyCost()+most > mo.max/earlyShare || mo.held()+e.cost > mo.max || mo.costOf(l)+e.cost > mo.each {
		if len(l.early) == 0 {
			return PairingFull
		}
		l.dropEarly(l.early[0])
	}
	l.arrivals++
	e.arrival = l.arrivals
	l.wait(e)
	return Kept
}

// settle lets an early response close its query.
func (mo *model) settle(l *modelLane, e *modelEarly) {
	l.take(e)
	var q *modelQuery
	if !e.contested {
		q, _ = mo.match(l, e.m, e.dns.Id, &e.dns.Question[0])
	}
	if q != nil {
		mo.early++
	}
	l.count(mo.judge(l, e.m, &e.dns, q, false, false))
}

func (mo *model) shrink(l *modelLane, n int) {
	for mo.costOf(l) > n && mo.evict(l) {
	}
}

func (mo *model) finish(l *modelLane) {
	for len(l.early) > 0 {
		mo.settle(l, l.early[0])
	}
	for _, q := range mo.heldBy(l) {
		mo.drop(q, Unfinished)
	}
}
