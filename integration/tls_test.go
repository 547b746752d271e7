package integration

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/dnstap-pdns/dnstap-pdns/integration/lab"
)

const (
	sensorName   = "sensor.univ.example" // in its certificate
	resolverName = "resolver.univ.example"

	noHandshake = "connection closed: no handshake"
)

// secrets contains the TLS files of a sensor and of a resolver, with certificates of one CA.
type secrets struct {
	folder string
	ca     *lab.Authority
	client lab.ClientTLS
}

func newSecrets(t *testing.T, n *lab.Namespace) secrets {
	t.Helper()
	folder, err := os.MkdirTemp(n.Dir, "tls")
	if err != nil {
		t.Fatal(err)
	}
	s := secrets{folder: folder, ca: lab.NewAuthority(t, folder, "CA")}
	s.ca.Issue(t, folder, sensorName)
	s.client = lab.ClientTLS{ServerName: sensorName, CAs: s.ca.Path}
	s.client.Cert, s.client.Key = s.ca.Issue(t, folder, resolverName)
	return s
}

// source returns a TLS source at tapAddr, with or without client certificates.
func (s secrets) source(mutual bool) string {
	clientCA := ""
	if mutual {
		clientCA = s.ca.Path
	}
	return fmt.Sprintf(`
source "dnstap" "tap" {
  listen = "tcp://%s"
  tls {
    cert      = "%s/%s.cert.pem"
    key       = "%[2]s/%[3]s.key.pem"
    client_ca = %[4]q
  }
}
`, tapAddr, s.folder, sensorName, clientCA)
}

// replace moves these files over the files of others, as an operator renews certificates.
func (s secrets) replace(t *testing.T, others secrets) {
	t.Helper()
	for _, name := range []string{"CA.pem", sensorName + ".cert.pem", sensorName + ".key.pem"} {
		if err := os.Rename(filepath.Join(s.folder, name), filepath.Join(others.folder, name)); err != nil {
			t.Fatal(err)
		}
	}
}

// TestRecordsOverTLSAreAsInTheZones checks the records over TLS. Unbound checks the sensor's
// name and may have a client certificate.
func TestRecordsOverTLSAreAsInTheZones(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		mutual  bool
		options lab.Options
	}{
		"client certificate":                 {mutual: true},
		"client certificate, two threads":    {mutual: true, options: lab.Options{Threads: 2}},
		"no client certificate":              {},
		"client certificate, unidirectional": {mutual: true, options: lab.Options{Unidirectional: true}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := lab.NewWorld(t)
			files := newSecrets(t, w.Namespace)
			s := startSensor(t, w.Namespace, files.source(c.mutual)+site+fileSink("first", "dnsqr"))
			if !c.mutual {
				files.client.Cert, files.client.Key = "", ""
			}
			c.options.Tap = lab.TLSTap(tapAddr, files.client)
			unbound := w.Unbound(t, c.options)
			w.Ask(t, unbound, lab.Questions())
			unbound.Stop(t)
			closing := s.stop(t)

			checkMainJob(t, w, s, closing)
			if n := len(s.logged(t, noHandshake)); n > 0 {
				t.Errorf("%d connections without a handshake", n)
			}
			for _, line := range s.logged(t, connected) {
				if named := strings.Contains(line, fmt.Sprintf("%q", resolverName)); named != c.mutual {
					t.Errorf("client certificate: %v, but the log has %s", c.mutual, line)
				}
			}
			t.Logf("%+v", closing.account)
		})
	}
}

// TestCertificatesAreReplacedWhileRecordsFlow replaces the sensor's certificates with those of
// another CA: the connection is kept, and a new resolver needs the new certificates.
func TestCertificatesAreReplacedWhileRecordsFlow(t *testing.T) {
	t.Parallel()
	w := lab.NewWorld(t)
	before, after := newSecrets(t, w.Namespace), newSecrets(t, w.Namespace)
	s := startSensor(t, w.Namespace, before.source(true)+site+fileSink("first", "dnsqr"))
	old, f := startConnected(t, w, s, lab.TLSTap(tapAddr, before.client))

	after.replace(t, before)
	after.client.CAs = before.ca.Path // where the new CA's certificate is now
	fresh := w.Neighbour(t, lab.Options{Tap: lab.TLSTap(tapAddr, after.client)})
	s.awaitLog(t, connected, 2)
	w.Ask(t, fresh, lab.Questions())
	f.await(t, 50)
	f.end()
	old.Stop(t)
	fresh.Stop(t)
	s.stop(t)

	if n := len(s.logged(t, "TLS files were read again")); n != 1 {
		t.Errorf("new certificates are logged %d times, want 1", n)
	}
	if n := len(s.logged(t, connected)); n != 2 {
		t.Errorf("%d connections, want 2: the old one was not kept", n)
	}
	out := s.written(t, "first")
	checkRecords(t, w.Zones, out)
	checkExpected(t, w.Zones, out, lab.Questions())
	checkFlow(t, f, out)
}

// TestReloadPutsTLSOnASource checks that existing connections of a source are kept and that new
// ones need TLS.
func TestReloadPutsTLSOnASource(t *testing.T) {
	t.Parallel()
	w := lab.NewWorld(t)
	files := newSecrets(t, w.Namespace)
	rest := site + fileSink("first", "dnsqr")
	s := startSensor(t, w.Namespace, tcpSource()+rest)
	old, f := startConnected(t, w, s, lab.TCPTap(tapAddr))
	missing := strings.ReplaceAll(files.source(true), "key.pem", "nosuch.pem")
	s.reload(t, missing+rest, "reload failed; the configuration in force stays")
	s.reload(t, files.source(true)+rest, "reloaded")
	fresh := w.Neighbour(t, lab.Options{Tap: lab.TLSTap(tapAddr, files.client)})
	s.awaitLog(t, connected, 2)
	w.Ask(t, fresh, lab.Questions())
	f.await(t, 50)
	f.end()
	old.Stop(t)
	fresh.Stop(t)
	s.stop(t)

	out := s.written(t, "first")
	checkExpected(t, w.Zones, out, lab.Questions())
	checkFlow(t, f, out)
}

// TestClientsWithoutAValidCertificateAreRejected checks that they are rejected, and that
// Unbound's connection loses nothing meanwhile.
func TestClientsWithoutAValidCertificateAreRejected(t *testing.T) {
	t.Parallel()
	w := lab.NewWorld(t)
	files, foreign := newSecrets(t, w.Namespace), newSecrets(t, w.Namespace)
	s := startSensor(t, w.Namespace, files.source(true)+site+fileSink("first", "dnsqr"))
	unbound, f := startConnected(t, w, s, lab.TLSTap(tapAddr, files.client))

	own, theirs := loadPair(t, files.client), loadPair(t, foreign.client)
	for _, client := range []struct {
		name   string
		config *tls.Config // nil: plain TCP
		logged string
	}{
		{"no certificate", &tls.Config{}, "client didn't provide a certificate"},
		{"foreign CA", &tls.Config{GetClientCertificate: theirs}, "certificate signed by unknown authority"},
		{"TLS 1.1", &tls.Config{MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS11, GetClientCertificate: own}, "client offered only unsupported versions"},
		{"plain TCP", nil, "dnstap without TLS, and this source requires TLS"},
	} {
		nc := w.DialTCP(t, tapAddr)
		if client.config != nil {
			client.config.RootCAs, client.config.ServerName = pool(t, files.ca.Path), sensorName
			nc = tls.Client(nc, client.config)
		}
		sendCapture(t, nc)
		await(t, client.name+" in the log", func() bool { return strings.Contains(s.Log(t), client.logged) })
	}
	f.await(t, 50)
	f.end()

	// Unbound rejects a sensor whose certificate has another name.
	wrong := files.client
	wrong.ServerName = "other.univ.example"
	careful := w.Neighbour(t, lab.Options{Tap: lab.TLSTap(tapAddr, wrong)})
	await(t, "Unbound's refusal in the log", func() bool {
		return strings.Contains(s.Log(t), "the peer seems to refuse our certificate")
	})
	w.Ask(t, careful, lab.Questions()[:5])
	careful.Stop(t)
	unbound.Stop(t)
	s.stop(t)

	if n := len(s.logged(t, connected)); n != 1 {
		t.Errorf("%d connections, want Unbound's alone", n)
	}
	checkFlow(t, f, s.written(t, "first"))
}

// startConnected starts an Unbound that is queried continuously, and returns when it is
// connected.
func startConnected(t *testing.T, w *lab.World, s *sensor, tap lab.TapTarget) (*lab.Resolver, *flow) {
	t.Helper()
	unbound := w.Unbound(t, lab.Options{Tap: tap})
	f := startFlow(t, w, unbound, flowPause)
	f.await(t, 50)
	s.awaitLog(t, connected, 1)
	return unbound, f
}

// checkFlow checks that every answered question of a flow has a record. A slow resolver may
// repeat queries.
func checkFlow(t *testing.T, f *flow, o output) {
	t.Helper()
	var missing []string
	in := make(map[string]bool)
	for _, r := range o.records {
		in[r.Name] = true
	}
	for i := range f.asked.Load() {
		if !in[flowName(i)] {
			missing = append(missing, flowName(i))
		}
	}
	if int64(len(missing)) > f.failed.Load() {
		t.Errorf("%d of %d questions had no answer, but there is no record of %v", f.failed.Load(), f.asked.Load(), missing)
	}
}

// sendCapture sends a capture as a unidirectional resolver would, and returns when the sensor
// closes the connection.
func sendCapture(t *testing.T, nc net.Conn) {
	t.Helper()
	capture, err := os.ReadFile("testdata/unbound.fstrm")
	if err != nil {
		t.Fatal(err)
	}
	nc.Write(capture)
	io.Copy(io.Discard, nc)
}

// loadPair returns a function that presents a client certificate to any server.
func loadPair(t *testing.T, c lab.ClientTLS) func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
	t.Helper()
	pair, err := tls.LoadX509KeyPair(c.Cert, c.Key)
	if err != nil {
		t.Fatal(err)
	}
	return func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &pair, nil }
}

func pool(t *testing.T, path string) *x509.CertPool {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	p := x509.NewCertPool()
	p.AppendCertsFromPEM(b)
	return p
}

// TestExposedSourcesCauseAWarning checks the warnings about addresses that others can reach, at
// the start and at each reload.
func TestExposedSourcesCauseAWarning(t *testing.T) {
	t.Parallel()
	n := lab.NewNamespace(t)
	files := newSecrets(t, n)
	everywhere := func(source string) string {
		return strings.ReplaceAll(source, tapAddr.Addr().String(), "0.0.0.0") + site + fileSink("first", "dnsqr")
	}
	s := startSensor(t, n, everywhere(tcpSource()))
	const readAndSend, send = `listen: any host that reaches this address can read along and send"`, `listen: any host that reaches this address can send"`
	expect := func(wantRead, wantSend int) {
		t.Helper()
		await(t, fmt.Sprintf("%d warnings of readers and %d of senders", wantRead, wantSend), func() bool {
			return strings.Count(s.Log(t), readAndSend) == wantRead && strings.Count(s.Log(t), send) == wantSend
		})
	}
	expect(1, 0)
	s.reload(t, everywhere(tcpSource()), "reloaded")
	expect(2, 0)
	s.reload(t, everywhere(files.source(false)), "reloaded")
	expect(2, 1)
	s.reload(t, everywhere(files.source(true)), "reloaded")
	expect(2, 1)
	if out, err := exec.CommandContext(t.Context(), sensorBinary, "check", "-c", s.config).CombinedOutput(); err != nil || strings.Contains(string(out), "any host") {
		t.Errorf("check: %v\n%s", err, out)
	}
	s.stop(t)
}
