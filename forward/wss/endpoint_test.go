package wss

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"testing"
	"testing/synctest"

	"github.com/dnstap-pdns/dnstap-pdns/forward"
	"github.com/dnstap-pdns/dnstap-pdns/forward/wss/wsstest"
)

func TestServersOfAnEndpoint(t *testing.T) {
	records := []*net.SRV{{Target: "a.example.", Port: 443}, {Target: "b.example.", Port: 8443}, {Target: "c.example.", Port: 443}}
	var many []*net.SRV
	for i := range 20 {
		many = append(many, &net.SRV{Target: "many.example.", Port: uint16(i + 1)})
	}
	missing := &net.DNSError{IsNotFound: true}
	tests := []struct {
		name, address string
		scheme        forward.Scheme
		records       []*net.SRV
		err           error
		last          string
		lookup        string // the name that is looked up; empty: none
		want          []string
	}{
		{"port", "sie.example:8443/session/a", forward.WSS, records, nil, "", "", []string{"sie.example:8443"}},
		{"IPv4 address", "192.0.2.1/session/a", forward.WSS, records, nil, "", "", []string{"192.0.2.1:443"}},
		{"IPv6 address", "[2001:db8::1]:443/session/a", forward.WSS, records, nil, "", "", []string{"[2001:db8::1]:443"}},
		{"no records", "sie.example/session/a", forward.WSS, nil, missing, "", "_https._tcp.sie.example", []string{"sie.example:443"}},
		{"no records, without TLS", "sie.example/session/a", forward.WS, nil, missing, "", "_http._tcp.sie.example", []string{"sie.example:80"}},
		{"no name service", "sie.example/session/a", forward.WSS, nil, errors.New("timeout"), "", "_https._tcp.sie.example", []string{"sie.example:443"}},
		{"records", "sie.example/session/a", forward.WSS, records, nil, "", "_https._tcp.sie.example",
			[]string{"a.example:443", "b.example:8443", "c.example:443"}},
		{"the last one is tried last", "sie.example/session/a", forward.WSS, records, nil, "a.example:443", "_https._tcp.sie.example",
			[]string{"b.example:8443", "c.example:443", "a.example:443"}},
		{"the last one is gone", "sie.example/session/a", forward.WSS, records[:1], nil, "b.example:8443", "_https._tcp.sie.example", []string{"a.example:443"}},
		{"many", "sie.example/session/a", forward.WSS, many, nil, "many.example:1", "_https._tcp.sie.example",
			[]string{"many.example:2", "many.example:3", "many.example:4", "many.example:5", "many.example:6", "many.example:7", "many.example:8", "many.example:9"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			e := newEndpoint(forward.Target{Scheme: tt.scheme, Address: tt.address})
			asked := ""
			got := e.servers(t.Context(), func(_ context.Context, service, proto, name string) (string, []*net.SRV, error) {
				asked = fmt.Sprintf("_%s._%s.%s", service, proto, name)
				return "", tt.records, tt.err
			}, tt.last)
			if !slices.Equal(got, tt.want) || asked != tt.lookup {
				t.Errorf("got %q after a lookup of %q, want %q, %q", got, asked, tt.want, tt.lookup)
			}
			if e.path != "session/a" {
				t.Errorf("the path is %q", e.path)
			}
		})
	}
}

// TestFailover has the first server refuse, and then the second one break the connection.
func TestFailover(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		host := wsstest.Rules{Host: "sie.example"}
		breaks := host
		breaks.OnMessage = func(_ *wsstest.Conn, m wsstest.Message) bool {
			return m.Type != wsstest.DataType || numberOf(m.Data) < 2
		}
		a, b, last := wsstest.New(t, wsstest.Rules{Status: 503}), wsstest.New(t, breaks), wsstest.New(t, host)
		c := newClient(t, a, b, last)
		c.mustSend(t, batch(0, 2, 20))
		if len(a.Conns()) != 1 || len(b.Containers()) != 2 {
			t.Fatalf("%d connections to the first server, %d containers to the second", len(a.Conns()), len(b.Containers()))
		}
		_, err := c.Send(t.Context(), []*forward.Batch{batch(2, 2, 20)}, 0)
		checkError(t, err, "the server closed the connection")
		c.mustSend(t, batch(2, 2, 20))
		if len(a.Conns()) != 2 || len(b.Conns()) != 1 || len(last.Containers()) != 2 {
			t.Errorf("%d and %d connections to the first servers, %d containers to the last", len(a.Conns()), len(b.Conns()), len(last.Containers()))
		}
	})
}

func TestEveryServerIsNamedWhenAllFail(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newClient(t, wsstest.New(t, wsstest.Rules{Status: 503}), wsstest.New(t, wsstest.Rules{Key: "another"}))
		_, err := c.Idle(t.Context())
		checkError(t, err, "connecting to a.example:443: the server answered 503 Service Unavailable: it is overloaded or out of order\n"+
			"connecting to b.example:443: the server answered 403 Forbidden: ")
	})
}
