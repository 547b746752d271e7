package lab

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"
)

// startTime is how long a server or resolver may take until it answers.
const startTime = 30 * time.Second

// World is a namespace with the servers of the root, the TLDs and the leaf zones.
type World struct {
	*Namespace
	Zones *Zones
}

// starting limits how many worlds start at once. Starting one keeps a processor busy and
// would slow down running tests, which mostly wait.
var starting = make(chan struct{}, max(1, runtime.NumCPU()/2))

// NewWorld starts the authoritative servers and returns when each of them answers at each of
// its addresses.
func NewWorld(t testing.TB) *World {
	t.Helper()
	RequirePrograms(t, "nsd")
	starting <- struct{}{}
	defer func() { <-starting }()
	zones, err := loadZones()
	if err != nil {
		t.Fatal(err)
	}
	w := &World{Namespace: NewNamespace(t), Zones: zones}
	w.AddAddresses(t, worldAddresses()...)
	w.deadServer(t)
	w.startServers(t)
	return w
}

// worldAddresses returns the addresses of servers, resolvers and clients.
func worldAddresses() []string {
	addrs := []string{deadAddress, Resolver4, Resolver6, ResolverListens, upstreamListens, upstream4, Client1, Client2}
	for _, s := range servers {
		addrs = append(addrs, s.addrs...)
	}
	return addrs
}

// AddAddresses adds addresses to loopback. IPv6 addresses are usable immediately, because
// duplicate address detection is off.
func (n *Namespace) AddAddresses(t testing.TB, addrs ...string) {
	t.Helper()
	var b strings.Builder
	for _, a := range addrs {
		if strings.Contains(a, ":") {
			fmt.Fprintf(&b, "addr add %s/128 dev lo nodad\n", a)
		} else {
			fmt.Fprintf(&b, "addr add %s/32 dev lo\n", a)
		}
	}
	n.configure(t, b.String())
}

// deadServer opens the sockets of dead.com's server and never reads them: queries arrive and
// get neither an answer nor an ICMP error.
func (w *World) deadServer(t testing.TB) {
	t.Helper()
	at := netip.AddrPortFrom(netip.MustParseAddr(deadAddress), 53)
	w.ListenUDP(t, at)
	var tcp net.Listener
	err := w.do(func() (err error) {
		tcp, err = net.Listen("tcp", at.String())
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { tcp.Close() })
}

// awaitAnswers returns when the program answers the question at that address. It asks over
// TCP, because BIND answers version.bind over UDP at most three times a second, and a slow
// machine would exceed that forever.
func (w *World) awaitAnswers(t testing.TB, p *Process, at netip.AddrPort, question *dns.Msg) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), startTime)
	defer cancel()
	for {
		_, err := w.exchange(ctx, "tcp", netip.Addr{}, at, question, time.Second)
		if err == nil {
			return
		}
		select {
		case <-p.exited:
			t.Fatalf("%s ended before it answered at %s: %v", p.Name, at, p.err)
		case <-ctx.Done():
			t.Fatalf("%s does not answer at %s: %v", p.Name, at, err)
		case <-time.After(20 * time.Millisecond):
		}
	}
}
