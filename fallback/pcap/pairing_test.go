package pcap

import (
	"bytes"
	"encoding/binary"
	"net/netip"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/miekg/dns"

	"github.com/dnstap-pdns/dnstap-pdns/fallback/pcap/packet"
	"github.com/dnstap-pdns/dnstap-pdns/transform"
)

// capturedResolvers are the resolvers in testdata, except for those of unbound.pcap.
var capturedResolvers = []netip.Prefix{
	netip.MustParsePrefix("198.51.100.5/32"), netip.MustParsePrefix("2001:db8:5::5/128"),
}

// mirrors are the ends of the tunnels in testdata.
var mirrors = []netip.Prefix{netip.MustParsePrefix("10.9.9.1/32"), netip.MustParsePrefix("10.9.9.2/32")}

// A pairingLane pairs messages as a sensor does, and counts its records.
type pairingLane struct {
	pairer  *transform.Pairer
	policy  *transform.Policy
	records int
}

func newPairingLane(t *testing.T) *pairingLane {
	t.Helper()
	policy, err := transform.NewPolicy(transform.Config{
		PairingTimeout: time.Minute, Rcodes: []uint8{dns.RcodeSuccess}, TimeResolution: time.Second,
	})
	if err != nil {
		t.Fatal(err)
	}
	return &pairingLane{pairer: transform.NewPairer(transform.NewBudget(10000)), policy: policy}
}

func (l *pairingLane) emit(*transform.Record) { l.records++ }

func (l *pairingLane) Begin() {}

func (l *pairingLane) Take(m *transform.Message) transform.Reason {
	return l.pairer.Take(m, l.policy, l.emit)
}

func (l *pairingLane) Drop(r transform.Reason) { l.pairer.Drop(r) }

func (l *pairingLane) End() {}

func (l *pairingLane) Close() { l.pairer.Finish(l.policy, l.emit) }

func (l *pairingLane) dropped() map[transform.Reason]uint64 {
	all := map[transform.Reason]uint64{}
	c := l.pairer.Counts()
	for _, r := range transform.Reasons() {
		if n := c.Dropped[r]; n > 0 {
			all[r] = n
		}
	}
	return all
}

// TestRecordsOfCaptures has captures of mirrors with encapsulations, and captures in which packets
// are out of order or missing, with the records and the reasons of a lane.
func TestRecordsOfCaptures(t *testing.T) {
	for _, c := range []struct {
		file    string
		records int
		dropped map[transform.Reason]uint64
	}{
		{"geneve", 1, map[transform.Reason]uint64{}},
		{"vxlan-8472", 1, map[transform.Reason]uint64{}},
		{"6in4", 1, map[transform.Reason]uint64{}},
		{"mpls", 1, map[transform.Reason]uint64{}},
		{"qinq", 1, map[transform.Reason]uint64{}},
		{"answer-before-query", 1, map[transform.Reason]uint64{}},
		{"tcp-query-hole-none", 30, map[transform.Reason]uint64{}},
		// The lost segment is one query. Nothing shows what its response answers.
		{"tcp-query-hole", 29, map[transform.Reason]uint64{transform.Malformed: 1, transform.Unsolicited: 1}},
	} {
		t.Run(c.file, func(t *testing.T) {
			b, err := os.ReadFile("testdata/" + c.file + ".pcap")
			if err != nil {
				t.Fatal(err)
			}
			lane := newPairingLane(t)
			p, err := NewReplay(Config{Resolvers: capturedResolvers, Decapsulate: true, DecapsulateFrom: mirrors}, lane)
			if err != nil {
				t.Fatal(err)
			}
			if err := p.Read(t.Context(), bytes.NewReader(b)); err != nil {
				t.Fatal(err)
			}
			p.Close()
			if d := cmp.Diff(c.dropped, lane.dropped()); d != "" || lane.records != c.records {
				t.Errorf("%d records, want %d; dropped (-want +got):\n%s", lane.records, c.records, d)
			}
		})
	}
}

// A dialogue is a connection on which a resolver sends queries, one in each segment, and a server
// responds.
type dialogue struct {
	queries, responses []packet.CapturedPacket // without a link layer
}

// newDialogue returns n transactions, apart from each other by a time, with latency.
func newDialogue(t *testing.T, n int, apart, latency time.Duration) (d dialogue) {
	t.Helper()
	resolver, server := netip.MustParseAddrPort("198.51.100.5:41000"), netip.MustParseAddrPort("192.5.6.30:53")
	start := transform.Time(1_800_000_000 * second)
	d.queries = append(d.queries, segment(resolver, server, 0, true, nil, start))
	d.responses = append(d.responses, segment(server, resolver, 0, true, nil, start))
	next := [2]uint32{1, 1}
	for i := range n {
		m := new(dns.Msg).SetQuestion("www.example.com.", dns.TypeA)
		m.Id, m.RecursionDesired = uint16(i), false
		for k, flow := range [][2]netip.AddrPort{{resolver, server}, {server, resolver}} {
			m.Response = k == 1
			wire, err := m.Pack()
			if err != nil {
				t.Fatal(err)
			}
			at := start + transform.Time(time.Duration(i+1)*apart+time.Duration(k)*latency)
			s := segment(flow[0], flow[1], next[k], false, append(binary.BigEndian.AppendUint16(nil, uint16(len(wire))), wire...), at)
			next[k] += uint32(2 + len(wire))
			if k == 0 {
				d.queries = append(d.queries, s)
			} else {
				d.responses = append(d.responses, s)
			}
		}
	}
	return d
}

// segment returns an IPv4 packet with a TCP segment.
func segment(src, dst netip.AddrPort, seq uint32, syn bool, payload []byte, at transform.Time) packet.CapturedPacket {
	be := binary.BigEndian
	b := make([]byte, 40, 40+len(payload))
	b[0], b[9] = 0x45, 6
	be.PutUint16(b[2:], uint16(40+len(payload)))
	copy(b[12:], src.Addr().AsSlice())
	copy(b[16:], dst.Addr().AsSlice())
	be.PutUint16(b[20:], src.Port())
	be.PutUint16(b[22:], dst.Port())
	be.PutUint32(b[24:], seq)
	b[32], b[33] = 5<<4, 0x10
	if syn {
		b[33] |= 2
	}
	return packet.CapturedPacket{Data: append(b, payload...), Length: 40 + len(payload), Time: at}
}

// TestALostQuerySegmentLosesItsRecordOnly, on a connection that stays open, also if other packets
// move the lane's clock before the connection has another segment.
func TestALostQuerySegmentLosesItsRecordOnly(t *testing.T) {
	const n = 200
	for _, c := range []struct {
		name    string
		lost    []int // queries, from 1 on
		records int
	}{
		{"none", nil, n},
		{"one", []int{5}, n - 1},
		{"two in a row", []int{5, 6}, n - 2},
		{"two, a second apart", []int{5, 25}, n - 2},
		{"every fifth", []int{5, 10, 15, 20, 25, 30, 35, 40, 45, 50, 55, 60}, n - 12},
		{"near the end", []int{5, 195}, n - 2},
	} {
		t.Run(c.name, func(t *testing.T) {
			d := newDialogue(t, n, 50*time.Millisecond, 3*time.Millisecond)
			packets := slices.Clone(d.responses)
			for i, q := range d.queries {
				if !slices.Contains(c.lost, i) {
					packets = append(packets, q)
				}
			}
			slices.SortStableFunc(packets, func(a, b packet.CapturedPacket) int { return int(a.Time - b.Time) })
			lane := newPairingLane(t)
			dissector := packet.New(packet.Config{Resolvers: capturedResolvers})
			lastTime := packets[len(packets)-1].Time
			for i := range packets {
				dissector.Network(0x0800, &packets[i], lane)
			}
			clock := queryOverUDP(t)
			for at := lastTime; at <= lastTime+5*second; at += second / 10 {
				clock.Time = at
				dissector.Network(0x0800, &clock, lane)
			}
			if lane.records != c.records {
				t.Errorf("%d records, want %d; dropped %v", lane.records, c.records, lane.dropped())
			}
			dissector.Finish(lane)
			lane.Close()
			if got := lane.pairer.Counts(); got.Read != got.Sum() || got.Dropped[transform.Unsolicited] != uint64(len(c.lost)) || lane.records != c.records {
				t.Errorf("%d records, dropped %v", lane.records, lane.dropped())
			}
		})
	}
}

// queryOverUDP returns a query packet that moves the lane's clock.
func queryOverUDP(t *testing.T) packet.CapturedPacket {
	t.Helper()
	m := new(dns.Msg).SetQuestion("clock.example.", dns.TypeA)
	m.RecursionDesired = false
	wire, err := m.Pack()
	if err != nil {
		t.Fatal(err)
	}
	be := binary.BigEndian
	b := make([]byte, 28, 28+len(wire))
	b[0], b[9] = 0x45, 17
	be.PutUint16(b[2:], uint16(28+len(wire)))
	copy(b[12:], []byte{198, 51, 100, 5})
	copy(b[16:], []byte{192, 5, 6, 31})
	be.PutUint16(b[20:], 40000)
	be.PutUint16(b[22:], 53)
	be.PutUint16(b[24:], uint16(8+len(wire)))
	return packet.CapturedPacket{Data: append(b, wire...), Length: 28 + len(wire)}
}
