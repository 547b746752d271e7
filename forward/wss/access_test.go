package wss

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"io"
	"net"
	"net/http"
	"net/url"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/net/http/httpproxy"

	"github.com/dnstap-pdns/dnstap-pdns/conf/certs"
	"github.com/dnstap-pdns/dnstap-pdns/conf/certs/certstest"
	"github.com/dnstap-pdns/dnstap-pdns/conf/secret"
	"github.com/dnstap-pdns/dnstap-pdns/forward"
	"github.com/dnstap-pdns/dnstap-pdns/forward/wss/wsstest"
)

// serverTLS is the configuration of a server with this certificate. clients is the CA of its
// clients; nil: they need no certificate.
func serverTLS(t *testing.T, p certstest.Pair, clients *certstest.CA) *tls.Config {
	t.Helper()
	pair, err := tls.X509KeyPair(p.Cert, p.Key)
	if err != nil {
		t.Fatal(err)
	}
	c := &tls.Config{Certificates: []tls.Certificate{pair}}
	if clients != nil {
		c.ClientAuth, c.ClientCAs = tls.RequireAndVerifyClientCert, x509.NewCertPool()
		c.ClientCAs.AppendCertsFromPEM(clients.PEM)
	}
	return c
}

// newTLSClient is newClient with TLS.
func newTLSClient(t *testing.T, s *wsstest.Server, files certs.ClientFiles) *client {
	t.Helper()
	c := newClient(t, s)
	c.config.TLS = files
	c.dialer.endpoint.tls = true
	c.dialer.endpoint.authority, c.dialer.endpoint.host = "sensor.example", "sensor.example"
	c.dialer.dial = func(context.Context, string, string) (net.Conn, error) { return s.Dial(), nil }
	return c
}

func TestCertificates(t *testing.T) {
	ca, clients := certstest.NewCA(t, "CA"), certstest.NewCA(t, "clients")
	good := ca.Issue(t, "server", nil)
	expired := func(c *x509.Certificate) { c.NotAfter = time.Date(2020, 5, 4, 0, 0, 0, 0, time.UTC) }
	own := clients.Issue(t, "sensor", func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth} })
	old := clients.Issue(t, "sensor", expired)
	tests := []struct {
		name   string
		server *tls.Config
		files  certs.ClientFiles
		want   string
	}{
		{"private CA", serverTLS(t, good, nil), certs.ClientFiles{CA: string(ca.PEM)}, ""},
		{"client certificate", serverTLS(t, good, clients), certs.ClientFiles{CA: string(ca.PEM), Cert: string(own.Cert), Key: string(own.Key)}, ""},
		{"unknown CA", serverTLS(t, good, nil), certs.ClientFiles{}, "the server's certificate was issued by an unknown CA: set ca"},
		{"expired", serverTLS(t, ca.Issue(t, "server", expired), nil), certs.ClientFiles{CA: string(ca.PEM)},
			"the server's certificate is valid from 1990-01-01 to 2020-05-04 only: the server must renew it"},
		{"another host", serverTLS(t, ca.Issue(t, "server", func(c *x509.Certificate) { c.DNSNames = []string{"other.example"} }), nil),
			certs.ClientFiles{CA: string(ca.PEM)}, "the server's certificate is not for this host"},
		{"no client certificate", serverTLS(t, good, clients), certs.ClientFiles{CA: string(ca.PEM)}, "does it require a client certificate (cert, key)"},
		{"expired client certificate", serverTLS(t, good, clients), certs.ClientFiles{CA: string(ca.PEM), Cert: string(old.Cert), Key: string(old.Key)},
			"the server refuses TLS: "},
		{"TLS 1.1", &tls.Config{Certificates: serverTLS(t, good, nil).Certificates, MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS11},
			certs.ClientFiles{CA: string(ca.PEM)}, "protocol version"},
		{"no such file", serverTLS(t, good, nil), certs.ClientFiles{CA: "/does/not/exist"}, "TLS ca: open /does/not/exist: no such file or directory"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := wsstest.New(t, wsstest.Rules{TLS: tt.server, Key: testKey})
			address := s.Listen(t)
			c := newTLSClient(t, s, tt.files)
			c.dialer.dial = func(ctx context.Context, network, _ string) (net.Conn, error) {
				return new(net.Dialer).DialContext(ctx, network, address)
			}
			_, err := c.Send(t.Context(), []*forward.Batch{batch(0, 3, 100_000)}, 0)
			checkError(t, err, tt.want)
			if want := tt.files.Cert != ""; c.Expires().IsZero() == want {
				t.Errorf("expires at %v", c.Expires())
			}
		})
	}
}

// TestKeysAreReadAtEachConnection replaces the API key, the CA and the client's certificate.
func TestKeysAreReadAtEachConnection(t *testing.T) {
	dir := t.TempDir()
	path := func(name string) string { return filepath.Join(dir, name) }
	ca, clients := certstest.NewCA(t, "CA"), certstest.NewCA(t, "clients")
	own := clients.Issue(t, "sensor", nil)
	certstest.Write(t, path("ca"), certstest.NewCA(t, "before").PEM)
	s := wsstest.New(t, wsstest.Rules{TLS: serverTLS(t, ca.Issue(t, "server", nil), clients), Key: testKey})
	c := newTLSClient(t, s, certs.ClientFiles{CA: path("ca"), Cert: path("cert"), Key: path("key")})
	c.config.APIKey = secret.InFile(path("api"))
	for _, step := range []struct {
		change func()
		want   string
	}{
		{func() {}, "api_key: open " + path("api") + ": no such file or directory"},
		{func() { certstest.Write(t, path("api"), []byte("wrong\n")) }, "TLS cert: open "},
		{func() { certstest.Write(t, path("cert"), own.Cert); certstest.Write(t, path("key"), own.Key) }, "unknown CA"},
		{func() { certstest.Write(t, path("ca"), ca.PEM) }, "403 Forbidden"},
		{func() { certstest.Write(t, path("api"), []byte(testKey+"\n")) }, ""},
	} {
		step.change()
		c.backoff.reset() // so that the test does not wait
		_, err := c.Send(t.Context(), []*forward.Batch{batch(0, 1, 20)}, 0)
		checkError(t, err, step.want)
	}
	if len(s.Containers()) != 1 || c.Expires().Year() != 2100 {
		t.Errorf("%d containers, expires at %v", len(s.Containers()), c.Expires())
	}
}

// nothing is the answer of a proxy that closes the connection.
const nothing = "nothing"

// A proxy is an HTTP proxy for tests.
type proxy struct {
	server   *wsstest.Server
	answer   string // in place of a tunnel; empty: a tunnel
	requests chan *http.Request
	running  sync.WaitGroup
}

func (p *proxy) dial() net.Conn {
	client, conn := net.Pipe()
	p.running.Go(func() {
		defer conn.Close()
		r, err := http.ReadRequest(bufio.NewReader(conn))
		if err != nil {
			return
		}
		p.requests <- r
		if p.answer == nothing {
			return
		}
		if p.answer != "" {
			io.WriteString(conn, p.answer)
			return
		}
		io.WriteString(conn, "HTTP/1.0 200 Connection established\r\n\r\n")
		to := p.server.Dial()
		p.running.Go(func() {
			defer conn.Close()
			io.Copy(conn, to)
		})
		io.Copy(to, conn)
		to.Close()
	})
	return client
}

func TestProxies(t *testing.T) {
	const password = "hunter2"
	tests := []struct {
		name, environment, answer, want string
	}{
		{"tunnel", "http://sensor:" + password + "@proxy.example:3128", "", ""},
		{"default port", "http://proxy.example", "", ""},
		{"without a scheme", "proxy.example:3128", "", ""},
		{"wrong password", "http://sensor:" + password + "@proxy.example:3128", "HTTP/1.1 407\r\n\r\n",
			"proxy proxy.example:3128: it answered 407: check the user and the password"},
		{"refused", "http://sensor:" + password + "@proxy.example:3128", "HTTP/1.1 403 Forbidden " + password + "\r\n\r\n",
			"proxy proxy.example:3128: it answered 403 Forbidden to CONNECT"},
		{"junk", "http://sensor:" + password + "@proxy.example:3128", "\x00\n\n", "proxy proxy.example:3128: the answer is not HTTP"},
		{"nothing", "http://sensor:" + password + "@proxy.example:3128", nothing, "proxy proxy.example:3128: the server closed the connection"},
		{"endless", "http://sensor:" + password + "@proxy.example:3128", strings.Repeat("HTTP", 1<<20), errTooLong.Error()},
		{"away", "http://sensor:" + password + "@away.example:3128", "", "proxy away.example:3128: no such host"},
		{"SOCKS", "socks5://sensor:" + password + "@proxy.example:3128", "", "proxy proxy.example:3128: scheme socks5 is not supported: use an http proxy"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			ca := certstest.NewCA(t, "CA")
			s := wsstest.New(t, wsstest.Rules{Key: testKey, TLS: serverTLS(t, ca.Issue(t, "server", nil), nil)})
			p := &proxy{server: s, answer: tt.answer, requests: make(chan *http.Request, 1)}
			t.Cleanup(p.running.Wait)
			c := newTLSClient(t, s, certs.ClientFiles{CA: string(ca.PEM)})
			t.Setenv("HTTPS_PROXY", tt.environment)
			c.dialer.proxy = httpproxy.FromEnvironment().ProxyFunc()
			c.dialer.dial = func(_ context.Context, _, address string) (net.Conn, error) {
				if !strings.HasPrefix(address, "proxy.example:") {
					return nil, &net.OpError{Op: "dial", Err: &net.DNSError{IsNotFound: true}}
				}
				return p.dial(), nil
			}
			_, err := c.Send(t.Context(), []*forward.Batch{batch(0, 1, 20)}, 0)
			checkError(t, err, tt.want)
			if err != nil && strings.Contains(err.Error(), password) || strings.Contains(c.log.String(), password) {
				t.Errorf("the password is shown: %v\n%s", err, &c.log)
			}
			if tt.want != "" {
				return
			}
			r := <-p.requests
			user, secret, _ := basicAuth(r)
			if wantsUser := strings.Contains(tt.environment, "@"); r.Method != http.MethodConnect || r.Host != "sensor.example:443" ||
				wantsUser && (user != "sensor" || secret != password) || !wantsUser && r.Header.Get("Proxy-Authorization") != "" {
				t.Errorf("the proxy got %s %s as %q", r.Method, r.Host, user)
			}
			if r.Header.Get("X-API-Key") != "" {
				t.Error("the proxy got the API key")
			}
		})
	}
}

func basicAuth(r *http.Request) (user, password string, ok bool) {
	return (&http.Request{Header: http.Header{"Authorization": r.Header["Proxy-Authorization"]}}).BasicAuth()
}

func TestNoProxyIsHonoured(t *testing.T) {
	t.Setenv("HTTP_PROXY", "http://proxy.example")
	t.Setenv("NO_PROXY", "sie.example")
	c := newClient(t, wsstest.New(t, wsstest.Rules{}))
	c.dialer.proxy = httpproxy.FromEnvironment().ProxyFunc()
	c.mustSend(t, batch(0, 1, 20))
	if p, err := c.dialer.proxy(&url.URL{Scheme: "http", Host: "other.example"}); p == nil || err != nil {
		t.Errorf("others have the proxy %v, %v", p, err)
	}
}
