package lab

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"syscall"
	"testing"
	"time"

	"github.com/miekg/dns"
)

const (
	// askTime is how long a client waits for an answer before it repeats the query. Resolvers
	// rely on repeated queries: Unbound answers none that took it 1.9 s.
	askTime  = time.Second
	attempts = 10
)

// Ask sends the questions to a resolver, one after the other, and returns the answers. An
// answer is nil if no attempt was answered or the resolver refuses connections.
func (w *World) Ask(t testing.TB, r *Resolver, questions []Question) []*dns.Msg {
	t.Helper()
	answers := make([]*dns.Msg, len(questions))
	for i, q := range questions {
		answers[i] = w.ask(t.Context(), r, q)
		if t.Context().Err() != nil {
			t.Fatal(t.Context().Err())
		}
	}
	return answers
}

func (w *World) ask(ctx context.Context, r *Resolver, q Question) *dns.Msg {
	network := "udp"
	if q.TCP {
		network = "tcp"
	}
	for range attempts {
		answer, err := w.exchange(ctx, network, netip.MustParseAddr(q.From), r.Addr, q.message(), askTime)
		if err == nil {
			return answer
		}
		if q.NoAnswer || errors.Is(err, syscall.ECONNREFUSED) {
			break
		}
	}
	return nil
}

// exchange sends a query from inside the namespace and returns the response. If from is the zero
// Addr, the kernel chooses the source address.
func (n *Namespace) exchange(ctx context.Context, network string, from netip.Addr, to netip.AddrPort, q *dns.Msg, atMost time.Duration) (*dns.Msg, error) {
	ctx, cancel := context.WithTimeout(ctx, atMost)
	defer cancel()
	var conn net.Conn
	err := n.do(func() (err error) {
		var d net.Dialer
		if from.IsValid() {
			d.LocalAddr = localAddr(network, from)
		}
		conn, err = d.DialContext(ctx, network, to.String())
		return err
	})
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	client := dns.Client{Net: network, Timeout: atMost, UDPSize: 4096}
	answer, _, err := client.ExchangeWithConnContext(ctx, q, &dns.Conn{Conn: conn, UDPSize: 4096})
	return answer, err
}

func localAddr(network string, a netip.Addr) net.Addr {
	at := netip.AddrPortFrom(a, 0)
	if network == "tcp" {
		return net.TCPAddrFromAddrPort(at)
	}
	return net.UDPAddrFromAddrPort(at)
}
