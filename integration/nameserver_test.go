package integration

import (
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"

	"github.com/miekg/dns"
	"golang.org/x/sys/unix"

	"github.com/dnstap-pdns/dnstap-pdns/integration/lab"
)

// serveName serves one name at the port 53 of the namespace, to which its resolv.conf points. The
// name does not exist while there is no address.
func serveName(t *testing.T, n *lab.Namespace, name string, at *atomic.Pointer[net.IP]) {
	t.Helper()
	server := &dns.Server{
		PacketConn: n.ListenUDP(t, netip.MustParseAddrPort("127.0.0.1:53")),
		Handler: dns.HandlerFunc(func(w dns.ResponseWriter, q *dns.Msg) {
			m := new(dns.Msg).SetReply(q)
			ip := at.Load()
			switch {
			case ip == nil:
				m.Rcode = dns.RcodeNameError
			case q.Question[0].Name == name && q.Question[0].Qtype == dns.TypeA:
				m.Answer = []dns.RR{&dns.A{Hdr: dns.RR_Header{Name: name, Rrtype: dns.TypeA, Class: dns.ClassINET, Ttl: 1}, A: *ip}}
			}
			w.WriteMsg(m)
		}),
	}
	done := make(chan error, 1)
	go func() { done <- server.ActivateAndServe() }()
	t.Cleanup(func() {
		server.Shutdown()
		if err := <-done; err != nil {
			t.Errorf("the DNS server: %v", err)
		}
	})
	file := filepath.Join(n.Dir, "resolv.conf")
	if err := os.WriteFile(file, []byte("nameserver 127.0.0.1\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	n.Do(t, func() error {
		if err := unix.Mount(file, "/etc/resolv.conf", "", unix.MS_BIND, ""); err != nil {
			return fmt.Errorf("mounting resolv.conf: %w", err)
		}
		return nil
	})
}
