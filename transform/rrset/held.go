package rrset

import (
	"container/list"
	"net/netip"
	"slices"

	"github.com/dnstap-pdns/dnstap-pdns/transform"
)

const (
	// maxPerServer bounds the held responses of a server, which are tried again one by one.
	maxPerServer = 64
	// minHeld is the number of responses for which there is always room. Longer ones are not held, so
	// that one server cannot use more than a quarter of the room.
	minHeld  = 4 * maxPerServer
	heldSize = 320 // octets that a held response uses in addition to its message, about
)

// held are the responses that could not be verified yet, in bounded memory.
type held struct {
	wait     transform.Time
	limit    int // octets
	octets   int
	rrsets   uint64
	order    list.List // of *heldResponse, the oldest first
	byServer map[netip.Addr][]*heldResponse
}

// A heldResponse is a copy of a response. Its zone is not known.
type heldResponse struct {
	server netip.Addr
	time   transform.Time
	source uint32
	paired bool
	qtype  uint16
	name   []byte // query name, a part of copied
	wire   []byte // the message, a part of copied
	rrsets uint64
	since  transform.Time // elapsed time of the clock
	at     *list.Element
}

func newHeld(c Config) held {
	return held{wait: transform.Time(c.Wait), limit: c.MaxHeld, byServer: map[netip.Addr][]*heldResponse{}}
}

func (h *heldResponse) size() int { return heldSize + len(h.name) + len(h.wire) }

// add holds a response, unless it is too long. It gives up the oldest ones that leave no room.
func (q *held) add(x *subject, wire []byte, elapsed transform.Time, counts *Counts) {
	h := &heldResponse{
		server: x.server, time: x.time, source: x.source, paired: x.paired, qtype: x.Type, rrsets: uint64(x.Len()), since: elapsed,
	}
	if heldSize+len(x.Name)+len(wire) > q.limit/minHeld {
		counts.By[HeldFull] += h.rrsets
		return
	}
	copied := slices.Concat(x.Name, wire)
	h.name, h.wire = copied[:len(x.Name):len(x.Name)], copied[len(x.Name):]
	if of := q.byServer[h.server]; len(of) == maxPerServer {
		q.drop(of[0], HeldFull, counts)
	}
	for q.octets+h.size() > q.limit { // there is room for minHeld of them
		q.drop(q.oldest(), HeldFull, counts)
	}
	h.at = q.order.PushBack(h)
	q.byServer[h.server] = append(q.byServer[h.server], h)
	q.octets += h.size()
	q.rrsets += h.rrsets
}

// oldest returns the response that is held for the longest time; nil if none is held.
func (q *held) oldest() *heldResponse {
	if first := q.order.Front(); first != nil {
		return first.Value.(*heldResponse)
	}
	return nil
}

// has reports whether responses of a server are held.
func (q *held) has(server netip.Addr) bool { return len(q.byServer[server]) > 0 }

// of returns the held responses of a server, which may be removed meanwhile.
func (q *held) of(server netip.Addr) []*heldResponse { return slices.Clone(q.byServer[server]) }

func (q *held) remove(h *heldResponse) {
	q.order.Remove(h.at)
	q.octets -= h.size()
	q.rrsets -= h.rrsets
	rest := q.byServer[h.server]
	i := slices.Index(rest, h)
	if rest = slices.Delete(rest, i, i+1); len(rest) == 0 {
		delete(q.byServer, h.server)
		return
	}
	q.byServer[h.server] = rest
}

func (q *held) drop(h *heldResponse, o Outcome, counts *Counts) {
	q.remove(h)
	counts.By[o] += h.rrsets
}
