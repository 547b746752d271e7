package collector

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	dnstap "github.com/dnstap/golang-dnstap"
	framestream "github.com/farsightsec/golang-framestream"

	"github.com/dnstap-pdns/dnstap-pdns/conf/certs"
	"github.com/dnstap-pdns/dnstap-pdns/conf/certs/certstest"
)

// tlsConfig returns the configuration of a source whose certificate ca issued. clients issues
// the clients' certificates; nil: clients need none.
func tlsConfig(t *testing.T, ca, clients *certstest.CA) (Config, certstest.Folder) {
	t.Helper()
	files := certstest.NewFolder(t, ca, clients)
	cfg := testConfig("tcp", "127.0.0.1:0")
	cfg.TLS = files.Files
	return cfg, files
}

func (r *runningSource) dialTLS(t *testing.T, c *tls.Config) *tls.Conn {
	t.Helper()
	return tls.Client(r.dial(t), c)
}

// checkNoAddress fails the test if a line above debug level contains a peer's address.
func (r *runningSource) checkNoAddress(t *testing.T) {
	t.Helper()
	for line := range strings.Lines(r.log.String()) {
		own := strings.Contains(line, "msg=listening")
		if strings.Contains(line, "127.0.0.1") && !own && !strings.Contains(line, "level=DEBUG") {
			t.Errorf("an address in %s", line)
		}
	}
}

func TestSendersOverTLS(t *testing.T) {
	_, frames := capture(t, "unbound.fstrm")
	ca := certstest.NewCA(t, "CA")
	resolver := ca.Issue(t, "resolver.example", nil)
	for name, tt := range map[string]struct {
		version       uint16
		clients       *certstest.CA
		bidirectional bool
		peer          string
	}{
		"1.2":                              {tls.VersionTLS12, nil, true, ""},
		"1.2, client certificate":          {tls.VersionTLS12, ca, true, "resolver.example"},
		"1.3, unidirectional":              {tls.VersionTLS13, nil, false, ""},
		"1.3, client certificate":          {tls.VersionTLS13, ca, true, "resolver.example"},
		"1.3, certificate, unidirectional": {tls.VersionTLS13, ca, false, "resolver.example"},
		"1.3, certificate not asked for":   {tls.VersionTLS13, nil, true, ""},
	} {
		t.Run(name, func(t *testing.T) {
			cfg, _ := tlsConfig(t, ca, tt.clients)
			r := startSource(t, cfg)
			client := certstest.ClientConfig(t, ca, resolver)
			client.MinVersion, client.MaxVersion = tt.version, tt.version
			client.NextProtos = []string{"h2", "dot"}
			nc := r.dialTLS(t, client)
			w, err := framestream.NewWriter(nc, &framestream.WriterOptions{
				ContentTypes: [][]byte{dnstap.FSContentType}, Bidirectional: tt.bidirectional,
			})
			if err != nil {
				t.Fatal(err)
			}
			for _, f := range frames {
				if _, err := w.WriteFrame(f); err != nil {
					t.Fatal(err)
				}
			}
			if err := w.Flush(); err != nil {
				t.Fatal(err)
			}
			eventually(t, "everything is read", func() bool { m, _ := r.received(); return m == len(frames) })
			peer := Peer{Name: tt.peer, Address: nc.LocalAddr().(*net.TCPAddr).AddrPort()}
			if got := r.Connections(); len(got) != 1 || got[0].Peer != peer {
				t.Errorf("got %+v, want one of %+v", got, peer)
			}
			if err := w.Close(); err != nil { // waits for FINISH
				t.Fatal(err)
			}
			if n, err := nc.Read(make([]byte, 1)); err != io.EOF { // close_notify, or it would be an error
				t.Errorf("read %d, %v after FINISH, want EOF", n, err)
			}
			eventually(t, "the connection ends", func() bool { return r.Stats() == Stats{Accepted: 1} })
			if state := nc.ConnectionState(); state.Version != tt.version || state.NegotiatedProtocol != "" {
				t.Errorf("spoke %s, protocol %q", tls.VersionName(state.Version), state.NegotiatedProtocol)
			}
			if got := r.log.count("client=resolver.example"); (got > 0) != (tt.peer != "") {
				t.Errorf("the client's name is %d times in the log:\n%s", got, r.log.String())
			}
			r.checkNoAddress(t)
		})
	}
}

func TestUnauthenticatedPeersAreRefused(t *testing.T) {
	ca, foreign := certstest.NewCA(t, "CA"), certstest.NewCA(t, "Foreign CA")
	cfg, _ := tlsConfig(t, ca, ca)
	r := startSource(t, cfg)
	resolver := ca.Issue(t, "192.0.2.53", nil) // in no log, for it is an address
	good := r.dialTLS(t, certstest.ClientConfig(t, ca, resolver))
	send(t, good, join(start, sampleFrame()))
	eventually(t, "the good connection is served", func() bool { m, _ := r.received(); return m == 1 })
	for _, silent := range [][]byte{nil, {0x16, 3, 1, 2, 0}} {
		send(t, r.dial(t), silent) // stalls in its TLS handshake
	}

	with := func(own ...certstest.Pair) func(*testing.T, net.Conn) error {
		return func(t *testing.T, nc net.Conn) error {
			c := tls.Client(nc, certstest.ClientConfig(t, ca, own...))
			c.Write(join(start, sampleFrame())) // TLS 1.3 may let it be sent
			_, err := io.Copy(io.Discard, c)
			return err
		}
	}
	strangers := map[string]struct {
		try    func(*testing.T, net.Conn) error
		logged string
	}{
		"no certificate": {with(), "client didn't provide a certificate"},
		"foreign CA":     {with(foreign.Issue(t, "resolver.example", nil)), "certificate signed by unknown authority"},
		"expired": {with(ca.Issue(t, "resolver.example", func(c *x509.Certificate) {
			c.NotAfter = time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC)
		})), "certificate has expired"},
		"for servers only": {with(ca.Issue(t, "resolver.example", func(c *x509.Certificate) {
			c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
		})), "incompatible key usage"},
		"TLS 1.1": {func(t *testing.T, nc net.Conn) error {
			c := certstest.ClientConfig(t, ca, resolver)
			c.MinVersion, c.MaxVersion = tls.VersionTLS10, tls.VersionTLS11
			return tls.Client(nc, c).Handshake()
		}, "client offered only unsupported versions"},
		"peer that does not trust us": {func(t *testing.T, nc net.Conn) error {
			return tls.Client(nc, certstest.ClientConfig(t, foreign, resolver)).Handshake()
		}, "remote error: tls: bad certificate"},
		"plain TCP": {func(t *testing.T, nc net.Conn) error {
			send(t, nc, join(start, sampleFrame()))
			return tls.Client(nc, certstest.ClientConfig(t, ca)).Handshake()
		}, "dnstap without TLS, and this source requires TLS: set dnstap-tls: yes in Unbound"},
		"HTTP": {func(t *testing.T, nc net.Conn) error {
			send(t, nc, []byte("GET /metrics HTTP/1.1\r\n\r\n"))
			return tls.Client(nc, certstest.ClientConfig(t, ca)).Handshake()
		}, "error=\"an HTTP request, and this source reads dnstap"},
		"unknown protocol": {func(t *testing.T, nc net.Conn) error {
			send(t, nc, []byte("EHLO resolver.example\r\n"))
			return tls.Client(nc, certstest.ClientConfig(t, ca)).Handshake()
		}, "TLS: tls: first record does not look like a TLS handshake"},
	}
	for name, stranger := range strangers {
		t.Run(name, func(t *testing.T) {
			nc := r.dial(t)
			if err := stranger.try(t, nc); err == nil {
				t.Error("got in")
			}
			eventually(t, stranger.logged, func() bool { return r.log.count(stranger.logged) == 1 })
		})
	}
	send(t, good, sampleFrame())
	eventually(t, "the good connection is served still", func() bool { m, _ := r.received(); return m == 2 })
	n := uint64(len(strangers))
	eventually(t, "the strangers are counted", func() bool {
		return r.Stats() == Stats{Open: 3, Accepted: 3 + n, HandshakesFailed: n}
	})
	if lanes := len(r.opened()); lanes != 1 {
		t.Errorf("%d lanes were opened", lanes)
	}
	if got := r.log.count("level=WARN"); got != len(strangers) {
		t.Errorf("%d warnings:\n%s", got, r.log.String())
	}
	if r.Connections()[0].Peer.Name != "192.0.2.53" || r.log.count("192.0.2.53") > 0 {
		t.Errorf("the peer's name is %q; the log:\n%s", r.Connections()[0].Peer.Name, r.log.String())
	}
	r.checkNoAddress(t)
}

// A connection may be displaced at any point of its TLS handshake.
func TestTLSHandshakesAreDisplaced(t *testing.T) {
	ca := certstest.NewCA(t, "CA")
	cfg, _ := tlsConfig(t, ca, nil)
	cfg.MaxConnections = 1
	r := startSource(t, cfg)
	for range 20 {
		if err := r.dialTLS(t, certstest.ClientConfig(t, ca)).Handshake(); err != nil {
			t.Fatal(err)
		}
	}
	send(t, r.dialTLS(t, certstest.ClientConfig(t, ca)), join(start, sampleFrame()))
	eventually(t, "the last one is served", func() bool { m, _ := r.received(); return m == 1 })
	if s := r.Stats(); s.Displaced != 20 {
		t.Errorf("got %+v", s)
	}
}

func TestTLSOnAPlainSourceIsExplained(t *testing.T) {
	r := startSource(t, testConfig("tcp", "127.0.0.1:0"))
	if err := r.dialTLS(t, certstest.ClientConfig(t, certstest.NewCA(t, "CA"))).Handshake(); err == nil {
		t.Error("a handshake was done")
	}
	eventually(t, "it is in the log", func() bool { return r.log.count("a TLS handshake, and this source speaks no TLS") == 1 })
}

// shows returns the common name of the certificate that a new client receives.
func (r *runningSource) shows(t *testing.T, c *tls.Config) string {
	t.Helper()
	nc := r.dialTLS(t, c)
	defer nc.Close()
	if err := nc.Handshake(); err != nil {
		t.Fatal(err)
	}
	return nc.ConnectionState().PeerCertificates[0].Subject.CommonName
}

func TestConnectionOutlivesItsCertificate(t *testing.T) {
	ca := certstest.NewCA(t, "CA")
	cfg, f := tlsConfig(t, ca, nil)
	r := startSource(t, cfg)
	old := r.dialTLS(t, certstest.ClientConfig(t, ca))
	send(t, old, join(start, sampleFrame()))
	eventually(t, "the old connection is served", func() bool { m, _ := r.received(); return m == 1 })
	f.Put(t, ca.Issue(t, "new.example", nil))
	if got := r.shows(t, certstest.ClientConfig(t, ca)); got != "new.example" {
		t.Errorf("shows %q after the change", got)
	}
	send(t, old, sampleFrame())
	eventually(t, "the old connection is served still", func() bool { m, _ := r.received(); return m == 2 })
}

func TestReconfigureChangesTLSForNewConnections(t *testing.T) {
	ca, other := certstest.NewCA(t, "CA"), certstest.NewCA(t, "Other CA")
	cfg, f := tlsConfig(t, ca, nil)
	files := cfg.TLS
	cfg.TLS = certs.Files{}
	r := startSource(t, cfg)
	reconfigure := func(to certs.Files) func() error {
		t.Helper()
		cfg.TLS = to
		undo, err := r.Reconfigure(cfg)
		if err != nil {
			t.Fatal(err)
		}
		return undo
	}
	plain := r.dial(t)
	send(t, plain, join(start, sampleFrame()))
	eventually(t, "the plain connection begins", func() bool { m, _ := r.received(); return m == 1 })

	reconfigure(files)
	if got := r.shows(t, certstest.ClientConfig(t, ca)); got != "sensor.example" {
		t.Errorf("shows %q", got)
	}
	second := certstest.NewFolder(t, other, other)
	undo := reconfigure(second.Files)
	secret := r.dialTLS(t, certstest.ClientConfig(t, other, other.Issue(t, "resolver.example", nil)))
	send(t, secret, join(start, sampleFrame()))
	eventually(t, "the TLS connection begins", func() bool { m, _ := r.received(); return m == 2 })

	// The files of the configuration before are not needed to go back to it.
	if err := errors.Join(os.Remove(f.Cert), undo()); err != nil {
		t.Fatal(err)
	}
	if got := r.shows(t, certstest.ClientConfig(t, ca)); got != "sensor.example" {
		t.Errorf("shows %q", got)
	}

	// Files that cannot be used change nothing, when they are new to the source.
	os.Remove(second.Key)
	cfg.TLS = second.Files
	if _, err := r.Reconfigure(cfg); err == nil || !strings.Contains(err.Error(), "TLS key: open") {
		t.Errorf("files that are not there: %v", err)
	}
	r.shows(t, certstest.ClientConfig(t, ca))

	reconfigure(certs.Files{})
	last := r.dial(t)
	send(t, last, join(start, sampleFrame()))
	send(t, plain, sampleFrame())
	send(t, secret, sampleFrame())
	eventually(t, "all three are served", func() bool { m, _ := r.received(); return m == 5 })
	if got := r.log.count("TLS files cannot be used"); got != 1 {
		t.Errorf("%d lines about the files that were removed:\n%s", got, r.log.String())
	}
}

// Reconfigure reads changed files at once, without a new connection.
func TestReconfigureReadsChangedTLSFiles(t *testing.T) {
	ca := certstest.NewCA(t, "CA")
	cfg, f := tlsConfig(t, ca, nil)
	r := startSource(t, cfg)
	reconfigure := func(logged string) {
		t.Helper()
		if _, err := r.Reconfigure(cfg); err != nil || r.log.count(logged) != 1 {
			t.Errorf("%v; the log should contain %q:\n%s", err, logged, r.log.String())
		}
	}
	certstest.Write(t, f.Cert, nil)
	reconfigure("cannot be used")
	f.Put(t, ca.Issue(t, "new.example", nil))
	reconfigure("read again")
}

// A problem with the files is logged as a warning even when connections are logged at debug level.
func TestUnusableFilesAreLoggedAmongManyConnections(t *testing.T) {
	ca := certstest.NewCA(t, "CA")
	cfg, f := tlsConfig(t, ca, nil)
	r := startSource(t, cfg)
	for range loggedPerMinute {
		r.dial(t).Close()
	}
	eventually(t, "the log is quiet", func() bool { return r.Stats().Accepted == loggedPerMinute })
	certstest.Write(t, f.Cert, []byte("no certificate"))
	if got := r.shows(t, certstest.ClientConfig(t, ca)); got != "sensor.example" {
		t.Errorf("shows %q", got)
	}
	for line := range strings.Lines(r.log.String()) {
		if strings.Contains(line, "TLS files cannot be used") && strings.Contains(line, "level=WARN") && !strings.Contains(line, "connection=") {
			return
		}
	}
	t.Errorf("the log has no warning:\n%s", r.log.String())
}

func TestCommonNameIsEscapedInTheLog(t *testing.T) {
	ca := certstest.NewCA(t, "CA")
	cfg, _ := tlsConfig(t, ca, ca)
	r := startSource(t, cfg)
	const hostile = "evil\n\x1b[2J\u202e%s"
	nc := r.dialTLS(t, certstest.ClientConfig(t, ca, ca.Issue(t, hostile+strings.Repeat("x", maxLabel), nil)))
	send(t, nc, start)
	eventually(t, "the connection begins", func() bool { return len(r.Connections()) == 1 })
	if got := r.Connections()[0].Peer.Name; !strings.HasPrefix(got, hostile) || len(got) != maxLabel {
		t.Errorf("the name is %q", got)
	}
	if r.log.count(`client="evil\n\x1b[2J\u202e%sxx`) == 0 || strings.ContainsAny(r.log.String(), "\x1b\u202e") {
		t.Errorf("not escaped in the log:\n%q", r.log.String())
	}
}
