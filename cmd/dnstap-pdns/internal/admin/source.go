package admin

import (
	"slices"
	"time"

	"github.com/dnstap-pdns/dnstap-pdns/cmd/dnstap-pdns/internal/sensor"
	"github.com/dnstap-pdns/dnstap-pdns/collector"
	"github.com/dnstap-pdns/dnstap-pdns/fallback/pcap"
	"github.com/dnstap-pdns/dnstap-pdns/fallback/pcap/packet"
	"github.com/dnstap-pdns/dnstap-pdns/fallback/pcap/ring"
	"github.com/dnstap-pdns/dnstap-pdns/forward"
	"github.com/dnstap-pdns/dnstap-pdns/transform"
)

// Kinds of a [Source].
const (
	KindDnstap  = "dnstap"
	KindPcap    = "pcap"
	KindKafka   = "kafka"
	KindRemoved = "removed" // by a reload; its messages stay in the account
)

// Source is the account of a source, and its other counts.
type Source struct {
	Name string `json:"name"`
	Kind string `json:"kind"`
	Messages
	Lanes int `json:"lanes"` // connections or rings, as lanes; a Kafka source has none

	LastOutward   time.Time `json:"last_outward,omitzero"`  // when the latest message came that may be outward; of Kafka: record or RRset
	MessageClock  time.Time `json:"message_clock,omitzero"` // time of that message
	ResolverKnown bool      `json:"resolver_known"`         // messages contained an address of the resolver

	Dnstap *Dnstap  `json:"dnstap,omitempty"`
	Pcap   *Packets `json:"pcap,omitempty"`
	Kafka  *Kafka   `json:"kafka,omitempty"`
}

// Dnstap is the counts of a dnstap source, except messages.
type Dnstap struct {
	collector.Stats

	Problem     *Problem          `json:"problem,omitempty"` // of the socket file: resolvers cannot connect
	Failure     *HandshakeFailure `json:"handshake_failure,omitempty"`
	Certificate *Certificate      `json:"certificate,omitempty"` // with TLS
	Connections []Connection      `json:"connections"`           // that completed their handshake, the oldest first
}

// Problem is why resolvers cannot connect to a source; see [collector.SocketProblem].
type Problem struct {
	Says   string `json:"says"`
	Advice string `json:"advice"`
}

// HandshakeFailure is the latest handshake that failed; see [collector.HandshakeFailure].
type HandshakeFailure struct {
	Time  time.Time `json:"time"`
	Error string    `json:"error"`
}

// Certificate is the TLS certificate of a source.
type Certificate struct {
	Expires time.Time `json:"expires"`
	Problem string    `json:"problem,omitempty"` // in the files as they are now
}

// Connection is the connection of one resolver; see [collector.Connection].
type Connection struct {
	Number        uint64    `json:"number"`
	UID           *uint32   `json:"uid,omitempty"` // Unix socket
	PID           int32     `json:"pid,omitempty"`
	Client        string    `json:"client,omitempty"` // name in its certificate
	Since         time.Time `json:"since"`
	Identity      string    `json:"identity,omitempty"`
	Version       string    `json:"version,omitempty"`
	Bidirectional bool      `json:"bidirectional"`
	Frames        uint64    `json:"frames"`
	Outward       uint64    `json:"outward"`
	Remedy        *Remedy   `json:"remedy,omitempty"` // present if its first minute brought no outward message
}

// Remedy is advice for such a connection; see [collector.Remedy].
type Remedy struct {
	Sender string `json:"sender"`
	Advice string `json:"advice"`
}

// sourcesOf lists the configured sources, also those that had no lane so far, and then the
// sources that a reload removed.
func sourcesOf(state *sensor.State) []Source {
	accounts := map[string]*forward.SourceLedger{}
	for i := range state.Ledger.Sources {
		accounts[state.Ledger.Sources[i].Name] = &state.Ledger.Sources[i]
	}
	all := []Source{}
	present := func(name string) bool {
		return slices.ContainsFunc(all, func(s Source) bool { return s.Name == name })
	}
	add := func(s Source) {
		account := accounts[s.Name]
		if account == nil {
			account = &forward.SourceLedger{}
		}
		delete(accounts, s.Name)
		s.account(account)
		all = append(all, s)
	}
	for i := range state.Dnstap {
		d := &state.Dnstap[i]
		add(Source{Name: d.Name, Kind: KindDnstap, Dnstap: dnstapOf(d)})
	}
	for i := range state.Packets {
		if p := &state.Packets[i]; !p.Removed {
			add(Source{Name: p.Name, Kind: KindPcap, Pcap: packetsOf(p)})
		}
	}
	for i := range state.Kafka {
		if k := &state.Kafka[i]; !k.Removed {
			add(Source{Name: k.Name, Kind: KindKafka, Kafka: kafkaOf(k)})
		}
	}
	for i := range state.Packets {
		if p := &state.Packets[i]; p.Removed && !present(p.Name) {
			add(Source{Name: p.Name, Kind: KindRemoved, Pcap: packetsOf(p)})
		}
	}
	for i := range state.Kafka {
		if k := &state.Kafka[i]; k.Removed && !present(k.Name) {
			add(Source{Name: k.Name, Kind: KindRemoved, Kafka: kafkaOf(k)})
		}
	}
	for i := range state.Ledger.Sources {
		if name := state.Ledger.Sources[i].Name; accounts[name] != nil {
			add(Source{Name: name, Kind: KindRemoved})
		}
	}
	return all
}

func (s *Source) account(l *forward.SourceLedger) {
	s.Messages, s.Lanes, s.ResolverKnown = MessagesOf(&l.Counts), l.Lanes, l.ResolverKnown
	if l.LastOutward.IsZero() {
		return
	}
	s.LastOutward = l.LastOutward.UTC()
	if l.Clock != transform.NoTime {
		s.MessageClock = time.Unix(0, int64(l.Clock)).UTC()
	}
}

func dnstapOf(d *sensor.DnstapState) *Dnstap {
	shown := &Dnstap{Stats: d.Stats, Connections: []Connection{}}
	if d.Problem != (collector.SocketProblem{}) {
		shown.Problem = &Problem{d.Problem.Says, d.Problem.Do}
	}
	if !d.Failure.Time.IsZero() {
		shown.Failure = &HandshakeFailure{d.Failure.Time.UTC(), d.Failure.Error}
	}
	if d.TLS {
		shown.Certificate = &Certificate{Expires: d.Certificate.Expires.UTC(), Problem: d.Certificate.Problem}
	}
	for i := range d.Connections {
		shown.Connections = append(shown.Connections, connectionOf(&d.Connections[i]))
	}
	return shown
}

func connectionOf(c *collector.Connection) Connection {
	shown := Connection{
		Number:        c.Number,
		PID:           c.Peer.PID,
		Client:        c.Peer.Name,
		Since:         c.Since.UTC(),
		Identity:      c.Identity,
		Version:       c.Version,
		Bidirectional: c.Bidirectional,
		Frames:        c.Frames,
		Outward:       c.Outward,
	}
	if !c.Peer.Address.IsValid() {
		shown.UID = &c.Peer.UID
	}
	if c.Remedy != (collector.Remedy{}) {
		shown.Remedy = &Remedy{c.Remedy.Sender, c.Remedy.Advice}
	}
	return shown
}

// Packets is the counts of a packet source, except messages. A message may consist of many
// packets, and a packet need not contain one.
type Packets struct {
	WhenIdle  bool   `json:"stands_in"` // captures only while dnstap brings no outward message
	Capturing bool   `json:"capturing"`
	Captures  uint64 `json:"captures"`
	Broken    uint64 `json:"broken"`
	Failed    uint64 `json:"failed"`

	Damaged    uint64            `json:"damaged"`
	Interfaces []Interface       `json:"interfaces"`
	Counts     map[string]uint64 `json:"counts"` // by the names of the rows of packet.Stats
}

// Interface is the kernel's counts of the packets at an interface that pass the filter.
type Interface struct {
	Name     string `json:"name"`
	Up       bool   `json:"up"`
	Received uint64 `json:"received"`
	Dropped  uint64 `json:"dropped"`
}

// Rows returns the counts, except the counts of interfaces and those that only the log contains.
func (p *Packets) Rows() []transform.Row {
	s := pcap.Stats{Captures: p.Captures, Ended: pcap.Endings{Broken: p.Broken}, Failed: p.Failed,
		Rings: ring.Stats{Counts: ring.Counts{Damaged: p.Damaged}}}
	own := append(prefixed("captures_", s.Rows()), s.Rings.Rows()...)
	own = slices.DeleteFunc(own, func(r transform.Row) bool { return r.Metric == "" })
	return append(own, withValues(new(packet.Stats).Rows(), p.Counts)...)
}

// Rows returns the kernel's counts at the interface.
func (i *Interface) Rows() []transform.Row {
	return (&ring.Counts{Packets: i.Received, Drops: i.Dropped}).Rows()
}

func packetsOf(p *sensor.PacketStats) *Packets {
	shown := &Packets{
		WhenIdle:   p.WhenIdle,
		Capturing:  p.Capturing,
		Captures:   p.Captures,
		Broken:     p.Ended.Broken,
		Failed:     p.Failed,
		Damaged:    p.Rings.Damaged,
		Interfaces: []Interface{},
		Counts:     byName(p.Packets.Rows()),
	}
	for _, i := range p.Rings.Interfaces {
		shown.Interfaces = append(shown.Interfaces, Interface{Name: i.Name, Up: i.Up, Received: i.Packets, Dropped: i.Drops})
	}
	return shown
}
