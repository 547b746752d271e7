package collector

import (
	"crypto/tls"
	"crypto/x509"
	"io"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	dnstap "github.com/dnstap/golang-dnstap"
	framestream "github.com/farsightsec/golang-framestream"
)

// tlsConfig is of a source that shows a certificate of ca, and lets in those that
// clients issued one.
func tlsConfig(t *testing.T, ca, clients *testCA) (Config, tlsFolder) {
	t.Helper()
	files := newTLSFolder(t, ca, clients)
	cfg := testConfig("tcp", "127.0.0.1:0")
	cfg.TLS = files.TLS
	return cfg, files
}

// clientConfig is of a client that trusts ca to have issued the source's
// certificate, and shows its own if it is asked, whether it would do or not.
func clientConfig(t *testing.T, ca *testCA, own ...pair) *tls.Config {
	t.Helper()
	c := &tls.Config{RootCAs: ca.pool(), ServerName: "sensor.example"}
	for _, p := range own {
		shown := p.certificate(t)
		c.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &shown, nil }
	}
	return c
}

func (r *running) dialTLS(t *testing.T, c *tls.Config) *tls.Conn {
	t.Helper()
	return tls.Client(r.dial(t), c)
}

// checkNoAddress fails the test if a line above debug level tells where a peer is.
func (r *running) checkNoAddress(t *testing.T) {
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
	ca := newAuthority(t, "CA")
	resolver := ca.issue(t, "resolver.example", nil)
	for name, tt := range map[string]struct {
		version       uint16
		clients       *testCA
		bidirectional bool
		peer          string
	}{
		"1.2":                                {tls.VersionTLS12, nil, true, ""},
		"1.2, client certificate":            {tls.VersionTLS12, ca, true, "resolver.example"},
		"1.3, unidirectional":                {tls.VersionTLS13, nil, false, ""},
		"1.3, client certificate":            {tls.VersionTLS13, ca, true, "resolver.example"},
		"1.3, certificate, unidirectional":   {tls.VersionTLS13, ca, false, "resolver.example"},
		"1.3, certificate nobody asked for ": {tls.VersionTLS13, nil, true, ""},
	} {
		t.Run(name, func(t *testing.T) {
			cfg, _ := tlsConfig(t, ca, tt.clients)
			r := startSource(t, cfg)
			client := clientConfig(t, ca, resolver)
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
				t.Errorf("read %d, %v behind FINISH, want EOF", n, err)
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

func TestStrangersGetNowhereAndDisturbNobody(t *testing.T) {
	ca, foreign := newAuthority(t, "CA"), newAuthority(t, "Foreign CA")
	cfg, _ := tlsConfig(t, ca, ca)
	r := startSource(t, cfg)
	resolver := ca.issue(t, "192.0.2.53", nil) // in no log, for it is an address
	good := r.dialTLS(t, clientConfig(t, ca, resolver))
	send(t, good, join(start, sampleFrame()))
	eventually(t, "the good connection is served", func() bool { m, _ := r.received(); return m == 1 })
	for _, silent := range [][]byte{nil, {0x16, 3, 1, 2, 0}} {
		send(t, r.dial(t), silent) // stalls in its TLS handshake
	}

	with := func(own ...pair) func(*testing.T, net.Conn) error {
		return func(t *testing.T, nc net.Conn) error {
			c := tls.Client(nc, clientConfig(t, ca, own...))
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
		"foreign CA":     {with(foreign.issue(t, "resolver.example", nil)), "certificate signed by unknown authority"},
		"expired": {with(ca.issue(t, "resolver.example", func(c *x509.Certificate) {
			c.NotAfter = time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC)
		})), "certificate has expired"},
		"for servers only": {with(ca.issue(t, "resolver.example", func(c *x509.Certificate) {
			c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
		})), "incompatible key usage"},
		"TLS 1.1": {func(t *testing.T, nc net.Conn) error {
			c := clientConfig(t, ca, resolver)
			c.MinVersion, c.MaxVersion = tls.VersionTLS10, tls.VersionTLS11
			return tls.Client(nc, c).Handshake()
		}, "client offered only unsupported versions"},
		"one who does not trust us": {func(t *testing.T, nc net.Conn) error {
			return tls.Client(nc, clientConfig(t, foreign, resolver)).Handshake()
		}, "remote error: tls: bad certificate"},
		"plain TCP": {func(t *testing.T, nc net.Conn) error {
			send(t, nc, join(start, sampleFrame()))
			return tls.Client(nc, clientConfig(t, ca)).Handshake()
		}, "first record does not look like a TLS handshake"},
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

// A handshake that yields its place may be anywhere in TLS.
func TestTLSHandshakesYieldTheirPlaces(t *testing.T) {
	ca := newAuthority(t, "CA")
	cfg, _ := tlsConfig(t, ca, nil)
	cfg.MaxConnections = 1
	r := startSource(t, cfg)
	for range 20 {
		if err := r.dialTLS(t, clientConfig(t, ca)).Handshake(); err != nil {
			t.Fatal(err)
		}
	}
	send(t, r.dialTLS(t, clientConfig(t, ca)), join(start, sampleFrame()))
	eventually(t, "the last one is served", func() bool { m, _ := r.received(); return m == 1 })
	if s := r.Stats(); s.Displaced != 20 {
		t.Errorf("got %+v", s)
	}
}

func TestTLSOnAPlainSourceIsExplained(t *testing.T) {
	r := startSource(t, testConfig("tcp", "127.0.0.1:0"))
	if err := r.dialTLS(t, clientConfig(t, newAuthority(t, "CA"))).Handshake(); err == nil {
		t.Error("a handshake was done")
	}
	eventually(t, "it is in the log", func() bool { return r.log.count("a TLS handshake, and this source speaks no TLS") == 1 })
}

func TestCheckSaysWhatIsWrongWithTheFiles(t *testing.T) {
	ca := newAuthority(t, "CA")
	other := ca.issue(t, "other.example", nil)
	tests := []struct {
		name   string
		change func(t *testing.T, f *tlsFolder)
		want   string // FOLDER is where the files are
	}{
		{"all is well", func(*testing.T, *tlsFolder) {}, ""},
		{"chain", func(t *testing.T, f *tlsFolder) {
			leaf, err := os.ReadFile(f.Cert)
			if err != nil {
				t.Fatal(err)
			}
			write(t, f.Cert, join([]byte("a remark\n"), leaf, ca.pem))
		}, ""},
		{"key in the same file", func(t *testing.T, f *tlsFolder) {
			write(t, f.Cert, join(other.key, other.cert))
			f.Key = f.Cert
		}, ""},
		{"no certificate", func(t *testing.T, f *tlsFolder) { os.Remove(f.Cert) },
			"TLS cert: open FOLDER/cert.pem: no such file or directory"},
		{"no key", func(t *testing.T, f *tlsFolder) { os.Remove(f.Key) },
			"TLS key: open FOLDER/key.pem: no such file or directory"},
		{"no CA", func(t *testing.T, f *tlsFolder) { os.Remove(f.ClientCA) },
			"TLS client_ca: open FOLDER/ca.pem: no such file or directory"},
		{"key of another", func(t *testing.T, f *tlsFolder) { write(t, f.Key, other.key) },
			"TLS cert FOLDER/cert.pem with key FOLDER/key.pem: tls: private key does not match public key"},
		{"empty certificate", func(t *testing.T, f *tlsFolder) { write(t, f.Cert, nil) },
			"TLS cert: FOLDER/cert.pem holds no certificate in PEM form"},
		{"certificate cut off", func(t *testing.T, f *tlsFolder) { write(t, f.Cert, other.cert[:200]) },
			"TLS cert: FOLDER/cert.pem is cut off, or no PEM, behind certificate 0"},
		{"chain cut off", func(t *testing.T, f *tlsFolder) { write(t, f.Cert, join(other.cert, ca.pem[:100])) },
			"TLS cert: FOLDER/cert.pem is cut off, or no PEM, behind certificate 1"},
		{"CA cut off", func(t *testing.T, f *tlsFolder) { write(t, f.ClientCA, join(ca.pem, ca.pem[:200])) },
			"TLS client_ca: FOLDER/ca.pem is cut off, or no PEM, behind certificate 1"},
		{"CA that is a key", func(t *testing.T, f *tlsFolder) { write(t, f.ClientCA, other.key) },
			"TLS client_ca: FOLDER/ca.pem holds no certificate in PEM form"},
		{"junk in a certificate", func(t *testing.T, f *tlsFolder) { write(t, f.ClientCA, encode("CERTIFICATE", []byte("junk"))) },
			"TLS client_ca: FOLDER/ca.pem: certificate 1: x509: malformed certificate"},
		{"key cut off", func(t *testing.T, f *tlsFolder) { write(t, f.Key, nil) },
			"TLS cert FOLDER/cert.pem with key FOLDER/key.pem: tls: failed to find any PEM data in key input"},
		{"folder", func(t *testing.T, f *tlsFolder) { f.Cert = f.dir }, "TLS cert: FOLDER is no regular file"},
		{"pipe", func(t *testing.T, f *tlsFolder) {
			f.Key = filepath.Join(f.dir, "pipe")
			if err := syscall.Mkfifo(f.Key, 0o600); err != nil {
				t.Fatal(err)
			}
		}, "TLS key: FOLDER/pipe is no regular file"},
		{"endless", func(t *testing.T, f *tlsFolder) { write(t, f.Key, slices.Repeat([]byte{'\n'}, longestPEM+1)) },
			"TLS key: FOLDER/key.pem is longer than 1048576 bytes"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			f := newTLSFolder(t, ca, ca)
			tt.change(t, &f)
			got := ""
			if err := f.Check(); err != nil {
				got = strings.ReplaceAll(err.Error(), f.dir, "FOLDER")
			}
			if got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
			cfg := testConfig("tcp", "127.0.0.1:0")
			cfg.TLS = f.TLS
			s, err := listenOnly(t, cfg)
			if (err == nil) != (tt.want == "") {
				t.Errorf("Listen: %v, %v", s, err)
			}
		})
	}
	if err := (TLS{}).Check(); err != nil {
		t.Errorf("no TLS: %v", err)
	}
	cfg := unixConfig(t)
	cfg.TLS.Cert = "cert.pem"
	if _, err := listenOnly(t, cfg); err == nil || !strings.Contains(err.Error(), "only tcp has it") {
		t.Errorf("TLS on a Unix socket: %v", err)
	}
}

func TestCommonNameIsEscapedInTheLog(t *testing.T) {
	ca := newAuthority(t, "CA")
	cfg, _ := tlsConfig(t, ca, ca)
	r := startSource(t, cfg)
	const hostile = "evil\n\x1b[2J\u202e%s"
	nc := r.dialTLS(t, clientConfig(t, ca, ca.issue(t, hostile+strings.Repeat("x", maxLabel), nil)))
	send(t, nc, start)
	eventually(t, "the connection begins", func() bool { return len(r.Connections()) == 1 })
	if got := r.Connections()[0].Peer.Name; !strings.HasPrefix(got, hostile) || len(got) != maxLabel {
		t.Errorf("the name is %q", got)
	}
	if r.log.count(`client="evil\n\x1b[2J\u202e%sxx`) == 0 || strings.ContainsAny(r.log.String(), "\x1b\u202e") {
		t.Errorf("not escaped in the log:\n%q", r.log.String())
	}
}
