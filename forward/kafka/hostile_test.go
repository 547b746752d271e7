package kafka

import (
	"crypto/tls"
	"crypto/x509"
	"math/rand/v2"
	"net"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"

	"github.com/dnstap-pdns/dnstap-pdns/conf/brokers"
	"github.com/dnstap-pdns/dnstap-pdns/conf/certs"
	"github.com/dnstap-pdns/dnstap-pdns/conf/certs/certstest"
	"github.com/dnstap-pdns/dnstap-pdns/conf/secret"
	"github.com/dnstap-pdns/dnstap-pdns/forward"
)

// A line is what a fake cluster listens on. While it is bad, it treats some responses badly.
type line struct {
	bad   atomic.Bool
	treat func(*net.TCPConn, []byte) // writes what arrives of a response
	hits  atomic.Int64
}

func (l *line) listen(network, address string) (net.Listener, error) {
	inner, err := net.Listen(network, address)
	return &lineListener{inner, l}, err
}

type lineListener struct {
	net.Listener
	line *line
}

func (l *lineListener) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return &lineConn{conn.(*net.TCPConn), l.line}, nil
}

type lineConn struct {
	*net.TCPConn
	line *line
}

func (c *lineConn) Write(b []byte) (int, error) {
	if c.line.bad.Load() && rand.IntN(8) == 0 {
		c.line.hits.Add(1)
		c.line.treat(c.TCPConn, b)
		return len(b), nil
	}
	return c.TCPConn.Write(b)
}

// TestAResponseThatIsLostStoresOnce ends connections in place of responses, after the broker has
// stored the messages: the client repeats them, and the log has them once.
func TestAResponseThatIsLostStoresOnce(t *testing.T) {
	t.Parallel()
	l := &line{treat: func(c *net.TCPConn, _ []byte) { c.Close() }}
	cluster := newFake(t, 2, kfake.ListenFn(l.listen))
	c := newClient(t, cluster.ListenAddrs())
	c.timings = defaultTimings
	c.mustSend(t, batch(0, 20, 10_000))
	l.bad.Store(true)
	for i := 1; i < 30; i++ {
		c.mustSend(t, batch(20*i, 20, 10_000))
	}
	l.bad.Store(false)
	if l.hits.Load() == 0 {
		t.Error("no response was lost")
	}
	checkStored(t, cluster, 600, false)
}

// TestHostileResponses changes octets of responses, and cuts them: a send ends, nothing is lost, and
// the client is usable afterwards.
func TestHostileResponses(t *testing.T) {
	t.Parallel()
	l := &line{treat: func(c *net.TCPConn, b []byte) {
		if rand.IntN(2) == 0 {
			c.Write(b[:rand.IntN(len(b))])
			c.Close()
			return
		}
		b = append([]byte(nil), b...)
		for range 1 + rand.IntN(4) {
			b[rand.IntN(min(len(b), 8))] = byte(rand.IntN(256)) // the size or the number of the request
		}
		c.Write(b)
	}}
	cluster := newFake(t, 2, kfake.ListenFn(l.listen))
	c := newClient(t, cluster.ListenAddrs())
	l.bad.Store(true)
	for i := range 5 {
		for from := 0; from < 10; {
			start := time.Now()
			r, err := c.Send(t.Context(), []*forward.Batch{batch(10*i, 10, 1000)}, from)
			if took := time.Since(start); took > c.MayTake(nil) {
				t.Errorf("a send took %v", took)
			}
			if err != nil && strings.Contains(err.Error(), "127.0.0.1") {
				t.Errorf("an address is shown: %v", err)
			}
			from += r.Units
		}
	}
	l.bad.Store(false)
	c.send(t, batch(50, 10, 1000))
	times := numbers(t, stored(t, cluster), false)
	if len(times) != 60 {
		t.Errorf("%d containers are stored", len(times))
	}
}

// TestANewPasswordIsUsed: it is refused at first.
func TestANewPasswordIsUsed(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "password")
	certstest.Write(t, path, []byte("old-horse"))
	cluster := newFake(t, 1, kfake.EnableSASL(), kfake.Superuser("SCRAM-SHA-512", "sensor", "new-horse"))
	c := newClient(t, cluster.ListenAddrs(), func(c *Config, _ *forward.SinkConfig) {
		c.Brokers.SASL = brokers.SASL{Mechanism: "SCRAM-SHA-512", User: "sensor", Password: secret.InFile(path)}
	})
	_, err := c.Send(t.Context(), []*forward.Batch{batch(0, 1, 100)}, 0)
	if err == nil || !strings.Contains(err.Error(), "check sasl") || strings.Contains(err.Error(), "horse") {
		t.Errorf("with the old password: %v", err)
	}
	certstest.Write(t, path, []byte("new-horse"))
	c.mustSend(t, batch(0, 1, 100))
	if strings.Contains(c.log.String(), "horse") {
		t.Errorf("the log has a password: %s", &c.log)
	}
}

// TestARenewedCertificateIsUsed: the transport makes another client when the file has changed.
func TestARenewedCertificateIsUsed(t *testing.T) {
	t.Parallel()
	ca := certstest.NewCA(t, "CA")
	pair := ca.Issue(t, "broker", func(c *x509.Certificate) { c.IPAddresses = []net.IP{net.IPv4(127, 0, 0, 1)} })
	own, err := tls.X509KeyPair(pair.Cert, pair.Key)
	if err != nil {
		t.Fatal(err)
	}
	var shown atomic.Int64 // year in which the certificate of the latest connection expires
	server := &tls.Config{Certificates: []tls.Certificate{own}, ClientAuth: tls.RequireAnyClientCert,
		VerifyPeerCertificate: func(raw [][]byte, _ [][]*x509.Certificate) error {
			cert, err := x509.ParseCertificate(raw[0])
			if err == nil {
				shown.Store(int64(cert.NotAfter.Year()))
			}
			return err
		}}
	dir := t.TempDir()
	files := certs.ClientFiles{CA: string(ca.PEM), Cert: filepath.Join(dir, "cert.pem"), Key: filepath.Join(dir, "key.pem")}
	renew := func(year int) {
		p := ca.Issue(t, "sensor", func(c *x509.Certificate) { c.NotAfter = time.Date(year, 1, 2, 0, 0, 0, 0, time.UTC) })
		certstest.Write(t, files.Cert, p.Cert)
		certstest.Write(t, files.Key, p.Key)
	}
	renew(2080)
	cluster := newFake(t, 1, kfake.TLS(server))
	c := newClient(t, cluster.ListenAddrs(), func(c *Config, _ *forward.SinkConfig) { c.Brokers.TLS = &files })
	c.mustSend(t, batch(0, 1, 100))
	first := c.client
	c.timings.expiry = 0
	c.mustSend(t, batch(1, 1, 100))
	if c.client != first || c.Expires().Year() != 2080 || shown.Load() != 2080 {
		t.Errorf("expires in %d, %d was shown; another client: %v", c.Expires().Year(), shown.Load(), c.client != first)
	}
	renew(2090)
	c.mustSend(t, batch(2, 1, 100))
	if c.Expires().Year() != 2090 || shown.Load() != 2090 {
		t.Errorf("expires in %d, %d was shown", c.Expires().Year(), shown.Load())
	}
}
