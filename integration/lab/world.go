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

// startTime is what a server or resolver gets until it must answer.
const startTime = 30 * time.Second

// World is a namespace in which the root, its TLDs and the leaf zones are served.
type World struct {
	*Namespace
	Zones *Zones
}

// beginning holds as many worlds as may begin at once. That is work for every
// processor, and starves the tests that are under way; what follows is waiting.
var beginning = make(chan struct{}, max(1, runtime.NumCPU()/2))

// NewWorld starts the authoritative servers and returns once each of them answers
// on each of its addresses.
func NewWorld(t testing.TB) *World {
	t.Helper()
	Need(t, "nsd")
	beginning <- struct{}{}
	defer func() { <-beginning }()
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

// worldAddresses are those of servers, resolvers and clients.
func worldAddresses() []string {
	addrs := []string{deadAddress, Resolver4, Resolver6, ResolverListens, upstreamListens, upstream4, Client1, Client2}
	for _, s := range servers {
		addrs = append(addrs, s.addrs...)
	}
	return addrs
}

// AddAddresses puts addresses on loopback. nodad: an IPv6 address is of use at once.
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

// deadServer has sockets that nobody reads where dead.com's server should be:
// queries arrive and nothing comes back, neither an answer nor an ICMP error.
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

// awaitAnswers returns once the program answers the question at that address. It asks over
// TCP, because BIND answers version.bind over UDP three times a second at most: on a slow
// machine it would never answer again.
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
			t.Fatalf("%s ended instead of answering at %s: %v", p.Name, at, p.err)
		case <-ctx.Done():
			t.Fatalf("%s does not answer at %s: %v", p.Name, at, err)
		case <-time.After(20 * time.Millisecond):
		}
	}
}
