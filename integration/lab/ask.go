package lab

import (
	"context"
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/miekg/dns"
)

// Ask puts the questions to a resolver, one after the other, and returns what it
// answered to each: nil where nothing came within patience.
func (w *World) Ask(t testing.TB, r *Resolver, questions []Question, patience time.Duration) []*dns.Msg {
	t.Helper()
	answers := make([]*dns.Msg, len(questions))
	for i, q := range questions {
		network := "udp"
		if q.TCP {
			network = "tcp"
		}
		answers[i], _ = w.exchange(t.Context(), network, netip.MustParseAddr(q.From), r.Addr, q.message(), patience)
		if t.Context().Err() != nil {
			t.Fatal(t.Context().Err())
		}
	}
	return answers
}

// exchange asks from inside the namespace. The zero address lets the kernel
// choose where from.
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
