package collector

import (
	"context"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	framestream "github.com/farsightsec/golang-framestream"
)

func TestDisplaceable(t *testing.T) {
	const resolver, mallory, oscar = 103, 1000, 1001
	type connection struct {
		uid   uint32
		phase phase
	}
	many := func(n int, c connection) []connection {
		var all []connection
		for range n {
			all = append(all, c)
		}
		return all
	}
	concat := func(parts ...[]connection) (all []connection) {
		for _, p := range parts {
			all = append(all, p...)
		}
		return all
	}
	silent, idle, busy := connection{mallory, inHandshake}, connection{mallory, unproven}, connection{mallory, proven}
	tests := []struct {
		name     string
		open     []connection // numbered from 1, the oldest first
		newcomer uint32
		want     uint64 // 0: the newcomer is refused
	}{
		{"the oldest handshake", many(4, silent), resolver, 1},
		{"the oldest handshake, for its own peer too", many(4, silent), mallory, 1},
		{"a handshake before a connection after START", []connection{idle, busy, idle, silent}, resolver, 4},
		{"the handshake of the peer that has more", concat([]connection{{oscar, inHandshake}}, many(3, silent)), resolver, 2},
		{"the only handshake of a peer, if the others have as few", []connection{{oscar, inHandshake}}, resolver, 1},
		{"not the resolver's handshake, for a peer that has more", concat([]connection{{resolver, inHandshake}}, many(3, idle)), mallory, 0},
		{"an unproven connection before a proven one", []connection{busy, idle, idle}, resolver, 2},
		{"a proven connection of the peer that has all", many(3, busy), resolver, 1},
		{"no connection after START, for its own peer", many(3, idle), mallory, 0},
		{"no connection of a peer that has as many", []connection{{1, proven}, {2, unproven}, {3, proven}}, resolver, 0},
		{"no connection if the new peer would then have more", []connection{{1, unproven}, {resolver, proven}, {2, unproven}, {2, unproven}}, resolver, 0},
		{"one of three for the second of another", []connection{idle, idle, idle, {resolver, proven}}, resolver, 1},
		{"a proven one of the peer that has most, before an unproven one", []connection{{oscar, unproven}, busy, busy, busy}, resolver, 2},
		{"PowerDNS's five stay, for a newcomer of its own", many(5, connection{resolver, proven}), resolver, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := &Source{conns: map[*conn]struct{}{}}
			for i, p := range tt.open {
				c := &conn{holder: holder{uid: p.uid}, began: p.phase != inHandshake}
				c.shown.Number = uint64(i + 1)
				if p.phase == proven {
					c.shown.Outward = 1
				}
				s.conns[c] = struct{}{}
			}
			var got uint64
			if c := s.displaceable(holder{uid: tt.newcomer}); c != nil {
				got = c.shown.Number
			}
			if got != tt.want {
				t.Errorf("number %d is displaced, want %d", got, tt.want)
			}
		})
	}
}

func TestHoldersOnTCPAreAddresses(t *testing.T) {
	peer := func(at string) holder { return Peer{Address: netip.MustParseAddrPort(at)}.holder() }
	if peer("192.0.2.1:1000") != peer("192.0.2.1:2000") || peer("192.0.2.1:1") != peer("[::ffff:192.0.2.1]:1") {
		t.Error("one address is two holders")
	}
	if peer("192.0.2.1:1000") == peer("192.0.2.2:1000") {
		t.Error("two addresses are one holder")
	}
}

// dialFrom connects over TCP from another address of this machine.
func (r *runningSource) dialFrom(t *testing.T, address string) net.Conn {
	t.Helper()
	d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(address)}}
	nc, err := d.DialContext(context.Background(), "tcp", r.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { nc.Close() })
	nc.SetDeadline(time.Now().Add(10 * time.Second))
	return nc
}

func TestResolverIsNotLockedOut(t *testing.T) {
	for name, first := range map[string][]byte{
		"in their handshake":            controlBytes(framestream.CONTROL_READY, ours)[:20],
		"with START and no more":        start,
		"with START and outward frames": join(start, sampleFrame()),
	} {
		t.Run(name, func(t *testing.T) {
			cfg := testConfig("tcp", "127.0.0.1:0")
			cfg.MaxConnections = 4
			r := startSource(t, cfg)
			var stuck []net.Conn
			for range cfg.MaxConnections {
				nc := r.dialFrom(t, "127.0.0.2")
				send(t, nc, first)
				stuck = append(stuck, nc)
			}
			eventually(t, "all places are taken", func() bool {
				m, _ := r.received()
				return r.Stats().Open == 4 && (name != "with START and no more" || len(r.Connections()) == 4) &&
					(!strings.Contains(name, "frames") || m == 4)
			})
			for range 3 {
				r.dialFrom(t, "127.0.0.2") // a fifth connection of the same peer must not displace the resolver's
			}
			before, _ := r.received()
			resolver := r.dialFrom(t, "127.0.0.3")
			send(t, resolver, join(start, sampleFrame()))
			eventually(t, "the resolver is served", func() bool { m, _ := r.received(); return m == before+1 })
			for range 20 {
				r.dialFrom(t, "127.0.0.2")
			}
			send(t, resolver, sampleFrame())
			eventually(t, "the resolver is served still", func() bool { m, _ := r.received(); return m == before+2 })
			if got := r.Stats(); got.Displaced == 0 || got.Open > 4 || got.HandshakesFailed != 0 || got.Broken != 0 {
				t.Errorf("got %+v", got)
			}
			if name != "in their handshake" {
				expectClosed(t, stuck[0])
			}
			if n := r.log.count("level=WARN"); n != 1 || r.log.count("too many connections") != 1 {
				t.Errorf("got %d warnings, want one:\n%s", n, r.log.String())
			}
		})
	}
}

func TestAnIPv6NetworkIsOneHolder(t *testing.T) {
	of := func(address string) holder { return Peer{Address: netip.MustParseAddrPort(address)}.holder() }
	if of("[2001:db8::1]:1") != of("[2001:db8::ffff:2]:9") || of("[fe80::1%eth0]:1") != of("[fe80::2%eth1]:1") {
		t.Error("two addresses of one /64 are two holders")
	}
	if of("[2001:db8::1]:1") == of("[2001:db8:0:1::1]:1") || of("192.0.2.1:1") == of("192.0.2.2:1") || of("192.0.2.1:1") != of("[::ffff:192.0.2.1]:2") {
		t.Error("other networks and IPv4 addresses are holders of their own")
	}
}
