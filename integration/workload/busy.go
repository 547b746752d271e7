package workload

import (
	"cmp"
	"math/rand/v2"
	"net"
	"slices"
	"time"

	dnstap "github.com/dnstap/golang-dnstap"
	"google.golang.org/protobuf/proto"
)

// LocalName is the local name of the load of a busy resolver: a sensor that gets the load has it
// in scrub.local_names.
const LocalName = "univ.example"

// The load of a busy resolver.
const (
	busyTimeout  = 60 * time.Second // of the sensor's pairing table
	busyServers  = 2000
	meanDelay    = 40 * time.Millisecond // of responses, which are distributed exponentially
	longestDelay = 2 * time.Second

	unanswered  = 100  // one query of this number has no response
	shareSubnet = 0.05 // of transactions that have a client subnet
	shareLocal  = 0.02
)

// BusyRate is the number of frames a second at a busy resolver.
const BusyRate = 100_000

// Pending returns the number of queries with which the load of a resolver with a rate of frames a second
// begins: those of the minute before that were not answered.
func Pending(rate int) int {
	return int(busyTimeout/interval(rate)) / unanswered
}

// interval is the time between two queries at a rate of frames a second.
func interval(rate int) time.Duration { return 2 * time.Second / time.Duration(rate) }

// Busy is the load of a busy resolver, or of one that has fewer frames a second of message time. Of its
// transactions 1 % are unanswered, 5 % have a client subnet, 2 % have a local name. They go to 2,000
// servers, and have the names and sizes of the captures. The load begins with the queries of the minute before
// that were not answered: at 100,000 frames a second 30,000 queries are pending.
type Busy struct {
	variants variants
	events   []event
}

// An event is a query or a response.
type event struct {
	at          time.Duration
	transaction uint64
	response    bool
}

// A transaction is what a number of a transaction stands for in every load.
type transaction struct {
	pair     Pair
	delay    time.Duration // of the response; 0: unanswered
	server   int
	id, port uint16
	name     uint64 // selects the letters of the first label
}

// NewBusy returns a load of frames from pairs, with a rate of frames a second. It is the same for the same
// pairs.
func NewBusy(pairs []Pair, frames, rate int) (*Busy, error) {
	v, err := newVariants(pairs)
	if err != nil {
		return nil, err
	}
	l := &Busy{variants: v}
	pending, between := Pending(rate), interval(rate)
	for i := range pending {
		l.events = append(l.events, event{at: time.Duration(i) * unanswered * between, transaction: uint64(i)})
	}
	for i := 0; len(l.events) < frames; i++ {
		at, n := busyTimeout+time.Duration(i)*between, uint64(pending+i)
		l.events = append(l.events, event{at: at, transaction: n})
		if delay := l.transaction(n).delay; delay > 0 {
			l.events = append(l.events, event{at: at + delay, transaction: n, response: true})
		}
	}
	slices.SortStableFunc(l.events, func(a, b event) int { return cmp.Compare(a.at, b.at) })
	return l, nil
}

// transaction returns the transaction with a number.
func (l *Busy) transaction(n uint64) transaction {
	r := rand.New(rand.NewPCG(n, 1))
	t := transaction{server: r.IntN(busyServers), id: uint16(r.Uint32()), port: uint16(1024 + r.IntN(64_000)), name: r.Uint64()}
	i := r.IntN(len(l.variants.plain))
	switch kind := r.Float64(); {
	case kind < shareSubnet:
		t.pair = l.variants.subnet[i]
	case kind < shareSubnet+shareLocal:
		t.pair = l.variants.local[i]
	default:
		t.pair = l.variants.plain[i]
	}
	if r.Float64() >= 1./unanswered {
		t.delay = min(time.Millisecond+time.Duration(r.ExpFloat64()*float64(meanDelay)), longestDelay)
	}
	return t
}

// Frames passes the frames of the load to emit, in order of their times.
func (l *Busy) Frames(emit func(*dnstap.Dnstap) error) error {
	return l.each(func(f frame) error { return emit(f.Dnstap) })
}

// FramesWithClients is Frames with twice as many frames of Clients in addition.
func (l *Busy) FramesWithClients(emit func(*dnstap.Dnstap) error) error {
	return l.each(func(f frame) error {
		if err := emit(f.Dnstap); err != nil {
			return err
		}
		return emitClients(f, emit)
	})
}

// Clients passes two frames, CLIENT_QUERY and CLIENT_RESPONSE, for each frame of the load to emit.
func (l *Busy) Clients(emit func(*dnstap.Dnstap) error) error {
	return l.each(func(f frame) error { return emitClients(f, emit) })
}

func emitClients(f frame, emit func(*dnstap.Dnstap) error) error {
	if err := emit(clientFrame(f.Dnstap, f.pair.Query, dnstap.Message_CLIENT_QUERY)); err != nil {
		return err
	}
	return emit(clientFrame(f.Dnstap, f.pair.Response, dnstap.Message_CLIENT_RESPONSE))
}

// A frame is a frame of the load with its transaction.
type frame struct {
	*dnstap.Dnstap
	transaction
	at time.Duration
}

func (l *Busy) each(emit func(frame) error) error {
	for _, e := range l.events {
		t := l.transaction(e.transaction)
		of := t.pair.Query
		if e.response {
			of = t.pair.Response
		}
		d := proto.Clone(of).(*dnstap.Dnstap)
		setTimes(d.Message, e, t.delay)
		setServer(d.Message, t.server)
		setVariant(d.Message.QueryMessage, t.id, t.name)
		setVariant(d.Message.ResponseMessage, t.id, t.name)
		if err := emit(frame{d, t, e.at}); err != nil {
			return err
		}
	}
	return nil
}

// setTimes sets the times that the message states already.
func setTimes(m *dnstap.Message, e event, delay time.Duration) {
	start := loadStart.Add(e.at)
	if e.response {
		m.ResponseTimeSec, m.ResponseTimeNsec = instant(start)
		start = start.Add(-delay)
	}
	if m.QueryTimeSec != nil {
		m.QueryTimeSec, m.QueryTimeNsec = instant(start)
	}
}

// setServer sets the address of the server with a number, in the family of the message (RFC 2544,
// RFC 5180).
func setServer(m *dnstap.Message, n int) {
	if len(m.ResponseAddress) == net.IPv4len {
		m.ResponseAddress = []byte{198, 18, byte(n >> 8), byte(n)}
		return
	}
	m.ResponseAddress = net.ParseIP("2001:2::")
	m.ResponseAddress[14], m.ResponseAddress[15] = byte(n>>8), byte(n)
}

// clientFrame returns a frame of a client with the message of another frame, at the time of d.
func clientFrame(d, of *dnstap.Dnstap, kind dnstap.Message_Type) *dnstap.Dnstap {
	c := proto.Clone(of).(*dnstap.Dnstap)
	m := c.Message
	m.Type = &kind
	m.QueryAddress, m.QueryPort = []byte{198, 51, 100, 7}, proto.Uint32(40_000)
	m.ResponseAddress, m.ResponsePort = []byte{192, 0, 2, 53}, proto.Uint32(53)
	m.QueryZone = nil
	m.QueryTimeSec, m.QueryTimeNsec = d.Message.QueryTimeSec, d.Message.QueryTimeNsec
	if m.ResponseMessage != nil {
		m.ResponseTimeSec, m.ResponseTimeNsec = d.Message.QueryTimeSec, d.Message.QueryTimeNsec
	}
	return c
}
