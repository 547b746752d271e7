package selftest

import (
	"context"
	"errors"
	"net"
	"sync/atomic"
	"testing"

	"github.com/miekg/dns"
)

// resolverAt starts a server that answers over UDP and TCP until the test ends, and returns
// its address.
func resolverAt(t *testing.T, answer dns.HandlerFunc) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.94.53.1:0") // no other test uses this range
	if err != nil {
		t.Fatal(err)
	}
	at := l.Addr().String()
	packets, err := net.ListenPacket("udp", at)
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range []*dns.Server{{Listener: l, Handler: answer}, {PacketConn: packets, Handler: answer}} {
		started, served := make(chan struct{}), make(chan error, 1)
		s.NotifyStartedFunc = func() { close(started) }
		go func() { served <- s.ActivateAndServe() }()
		<-started
		t.Cleanup(func() {
			s.Shutdown()
			if err := <-served; err != nil {
				t.Error(err)
			}
		})
	}
	return at
}

func TestQueryIsThatOfAClientAndIsRepeatedOverTCP(t *testing.T) {
	var overTCP atomic.Int32
	at := resolverAt(t, func(w dns.ResponseWriter, q *dns.Msg) {
		r := new(dns.Msg).SetRcode(q, dns.RcodeNameError)
		if q.Question[0] != (dns.Question{Name: aName, Qtype: dns.TypeA, Qclass: dns.ClassINET}) || !q.RecursionDesired || len(q.Extra) > 0 {
			r.Rcode = dns.RcodeFormatError
		}
		if _, tcp := w.RemoteAddr().(*net.TCPAddr); tcp {
			overTCP.Add(1)
		} else {
			r.Truncated, r.Rcode = true, dns.RcodeSuccess
		}
		w.WriteMsg(r)
	})
	rcode, err := Ask(t.Context(), at, aName)
	if rcode != "NXDOMAIN" || err != nil || overTCP.Load() != 1 {
		t.Errorf("got %s, %v, %d questions over TCP", rcode, err, overTCP.Load())
	}
}

func TestLostQueryIsRepeated(t *testing.T) {
	t.Parallel() // it waits for a timeout
	var queries atomic.Int32
	at := resolverAt(t, func(w dns.ResponseWriter, q *dns.Msg) {
		if queries.Add(1) > 1 {
			w.WriteMsg(new(dns.Msg).SetRcode(q, dns.RcodeServerFailure))
		}
	})
	if rcode, err := Ask(t.Context(), at, aName); rcode != "SERVFAIL" || err != nil || queries.Load() != 2 {
		t.Errorf("got %s, %v, after %d questions", rcode, err, queries.Load())
	}
}

func TestAskReportsWhyThereIsNoAnswer(t *testing.T) {
	if rcode, err := Ask(t.Context(), "127.94.53.2:9", aName); rcode != "" || err == nil || err.Error() != "no process listens there" {
		t.Errorf("got %q, %v", rcode, err)
	}
	if _, err := Ask(t.Context(), "no such host:53", aName); !isLookup(err) {
		t.Errorf("got %v, want a *net.DNSError", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Ask(ctx, "127.94.53.2:9", aName); err != context.Canceled {
		t.Errorf("got %v", err)
	}
}

// isLookup reports whether a name could not be resolved.
func isLookup(err error) bool {
	_, is := errors.AsType[*net.DNSError](err)
	return is
}
