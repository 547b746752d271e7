package certs_test

import (
	"bytes"
	"crypto/tls"
	"encoding/pem"
	"errors"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/dnstap-pdns/dnstap-pdns/conf/certs"
	"github.com/dnstap-pdns/dnstap-pdns/conf/certs/certstest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// A server performs handshakes with credentials, and keeps their log.
type server struct {
	*certs.Credentials
	log *bytes.Buffer
}

func newServer(t *testing.T, files certs.Files) server {
	t.Helper()
	var log bytes.Buffer
	c, err := certs.Load(files, slog.New(slog.NewTextHandler(&log, nil)))
	if err != nil {
		t.Fatal(err)
	}
	return server{c, &log}
}

func (s server) logged(text string) int { return strings.Count(s.log.String(), text) }

// handshake performs a handshake with a new client. It returns the client's state and the
// server's error.
func (s server) handshake(client *tls.Config) (tls.ConnectionState, error) {
	ours, theirs := net.Pipe()
	ours.SetDeadline(time.Now().Add(10 * time.Second)) // else both ends could write forever
	state := make(chan tls.ConnectionState)
	go func() {
		nc := tls.Client(theirs, client)
		if nc.Handshake() == nil {
			io.Copy(io.Discard, nc) // receives session tickets too
		}
		theirs.Close()
		state <- nc.ConnectionState()
	}()
	nc := tls.Server(ours, s.CurrentConfig())
	err := nc.Handshake()
	nc.Close()
	return <-state, err
}

// shows returns the common name of the certificate that a new client receives.
func (s server) shows(t *testing.T, client *tls.Config) string {
	t.Helper()
	state, err := s.handshake(client)
	if err != nil {
		t.Fatal(err)
	}
	return state.PeerCertificates[0].Subject.CommonName
}

// TestTextInPlaceOfFiles: errors do not contain the text.
func TestTextInPlaceOfFiles(t *testing.T) {
	ca, other := certstest.NewCA(t, "CA"), certstest.NewCA(t, "other")
	pair := ca.Issue(t, "sensor", nil)
	text := certs.Files{Cert: string(pair.Cert), Key: string(pair.Key), ClientCA: string(ca.PEM)}
	s := newServer(t, text)
	client := certstest.ClientConfig(t, ca)
	mine := ca.Issue(t, "resolver", nil)
	certificate, err := tls.X509KeyPair(mine.Cert, mine.Key)
	if err != nil {
		t.Fatal(err)
	}
	client.Certificates = []tls.Certificate{certificate}
	for range 2 {
		if got := s.shows(t, client); got != "sensor" {
			t.Errorf("shows %q", got)
		}
	}
	if s.log.Len() > 0 {
		t.Errorf("logged %s", s.log)
	}
	foreign, cut := text, text
	foreign.Key = string(other.Issue(t, "sensor", nil).Key)
	cut.Cert = string(pair.Cert[:len(pair.Cert)/2])
	for want, files := range map[string]certs.Files{
		"TLS cert (PEM text) with key (PEM text): tls: private key does not match public key": foreign,
		"TLS cert: (PEM text) is cut off, or not PEM, after certificate 0":                    cut,
	} {
		if err := files.Check(); err == nil || err.Error() != want {
			t.Errorf("got %v, want %s", err, want)
		}
	}
}

func TestCertificatesAreReadAgainWhenTheyChange(t *testing.T) {
	ca := certstest.NewCA(t, "CA")
	rename := func(t *testing.T, path string, b []byte) {
		t.Helper()
		certstest.Write(t, path+".new", b)
		if err := os.Rename(path+".new", path); err != nil {
			t.Fatal(err)
		}
	}
	ways := map[string]func(t *testing.T, f certstest.Folder, p certstest.Pair){
		"written in place": func(t *testing.T, f certstest.Folder, p certstest.Pair) { f.Put(t, p) },
		"renamed": func(t *testing.T, f certstest.Folder, p certstest.Pair) {
			rename(t, f.Cert, p.Cert)
			rename(t, f.Key, p.Key)
		},
		"renamed with an old time": func(t *testing.T, f certstest.Folder, p certstest.Pair) {
			for path, b := range map[string][]byte{f.Cert: p.Cert, f.Key: p.Key} {
				info, err := os.Stat(path)
				if err != nil {
					t.Fatal(err)
				}
				certstest.Write(t, path+".new", b)
				if err := errors.Join(os.Chtimes(path+".new", info.ModTime(), info.ModTime()), os.Rename(path+".new", path)); err != nil {
					t.Fatal(err)
				}
			}
		},
		"each a link, as certbot does": func(t *testing.T, f certstest.Folder, p certstest.Pair) {
			for path, b := range map[string][]byte{f.Cert: p.Cert, f.Key: p.Key} {
				certstest.Write(t, path+"2", b)
				if err := errors.Join(os.Symlink(path+"2", path+".link"), os.Rename(path+".link", path)); err != nil {
					t.Fatal(err)
				}
			}
		},
		"the folder a link, as Kubernetes does": func(t *testing.T, f certstest.Folder, p certstest.Pair) {
			fresh := certstest.NewFolder(t, ca, nil)
			fresh.Put(t, p)
			data := filepath.Dir(f.Cert)
			if err := errors.Join(os.Symlink(fresh.Dir, data+".new"), os.Rename(data+".new", data)); err != nil {
				t.Fatal(err)
			}
		},
	}
	for name, replace := range ways {
		t.Run(name, func(t *testing.T) {
			f := certstest.NewFolder(t, ca, nil)
			data := filepath.Join(t.TempDir(), "..data")
			if err := os.Symlink(f.Dir, data); err != nil {
				t.Fatal(err)
			}
			f.Cert, f.Key = filepath.Join(data, "cert.pem"), filepath.Join(data, "key.pem")
			s := newServer(t, f.Files)
			if got := s.shows(t, certstest.ClientConfig(t, ca)); got != "sensor.example" {
				t.Errorf("shows %q before the change", got)
			}
			replace(t, f, ca.Issue(t, "new.example", nil))
			for range 2 {
				if got := s.shows(t, certstest.ClientConfig(t, ca)); got != "new.example" {
					t.Errorf("shows %q after the change", got)
				}
			}
			if n := s.logged("TLS files were read again"); n != 1 {
				t.Errorf("the line is %d times in the log:\n%s", n, s.log)
			}
		})
	}
}

func TestUnusableFilesChangeNothing(t *testing.T) {
	ca := certstest.NewCA(t, "CA")
	client := ca.Issue(t, "resolver.example", nil)
	next := ca.Issue(t, "new.example", nil)
	for name, tt := range map[string]struct {
		harm   func(t *testing.T, f certstest.Folder)
		logged string
	}{
		"half written": {func(t *testing.T, f certstest.Folder) { certstest.Write(t, f.Cert, next.Cert[:len(next.Cert)/2]) }, "is cut off"},
		"mismatched":   {func(t *testing.T, f certstest.Folder) { certstest.Write(t, f.Cert, next.Cert) }, "private key does not match public key"},
		"gone":         {func(t *testing.T, f certstest.Folder) { os.Remove(f.Key) }, "no such file or directory"},
		"empty":        {func(t *testing.T, f certstest.Folder) { certstest.Write(t, f.ClientCA, nil) }, "contains no certificate"},
		"a folder": {func(t *testing.T, f certstest.Folder) {
			if err := errors.Join(os.Remove(f.Cert), os.Mkdir(f.Cert, 0o700)); err != nil {
				t.Fatal(err)
			}
		}, "not a regular file"},
	} {
		t.Run(name, func(t *testing.T) {
			f := certstest.NewFolder(t, ca, ca)
			s := newServer(t, f.Files)
			tt.harm(t, f)
			for range 3 {
				if got := s.shows(t, certstest.ClientConfig(t, ca, client)); got != "sensor.example" {
					t.Errorf("shows %q meanwhile", got)
				}
			}
			if c := s.Certificate(); c.Expires.Year() != 2100 || !strings.Contains(c.Problem, tt.logged) {
				t.Errorf("reports %+v, want expiry in 2100 and %q", c, tt.logged)
			}
			if got := s.logged("level=WARN"); got != 1 || s.logged(tt.logged) != 1 {
				t.Errorf("%d warnings, want one with %q:\n%s", got, tt.logged, s.log)
			}
			os.Remove(f.Cert)
			f.Put(t, next)
			certstest.Write(t, f.ClientCA, ca.PEM)
			for range 2 {
				if got := s.shows(t, certstest.ClientConfig(t, ca, client)); got != "new.example" {
					t.Errorf("shows %q afterwards", got)
				}
			}
			if c := s.Certificate(); c.Problem != "" {
				t.Errorf("reports afterwards %q", c.Problem)
			}
			if s.logged("read again") != 1 || s.logged("level=WARN") != 1 {
				t.Errorf("want one line for the recovery:\n%s", s.log)
			}
		})
	}
}

func TestCertificateReadsChangedFiles(t *testing.T) {
	ca := certstest.NewCA(t, "CA")
	f := certstest.NewFolder(t, ca, nil)
	s := newServer(t, f.Files)
	certstest.Write(t, f.Cert, nil)
	if c := s.Certificate(); !strings.Contains(c.Problem, "contains no certificate") {
		t.Errorf("reports %+v", c)
	}
}

// A second problem is logged too, but no problem twice in a row.
func TestEachProblemIsLoggedOnce(t *testing.T) {
	ca := certstest.NewCA(t, "CA")
	f := certstest.NewFolder(t, ca, nil)
	s := newServer(t, f.Files)
	for _, b := range [][]byte{nil, ca.Issue(t, "new.example", nil).Cert} {
		certstest.Write(t, f.Cert, b)
		s.shows(t, certstest.ClientConfig(t, ca))
		s.shows(t, certstest.ClientConfig(t, ca))
	}
	if s.logged("level=WARN") != 2 || s.logged("contains no certificate") != 1 || s.logged("does not match") != 1 {
		t.Errorf("want one line for each problem:\n%s", s.log)
	}
}

func TestLogIsReplaced(t *testing.T) {
	f := certstest.NewFolder(t, certstest.NewCA(t, "CA"), nil)
	s := newServer(t, f.Files)
	var next bytes.Buffer
	s.LogTo(slog.New(slog.NewTextHandler(&next, nil)))
	certstest.Write(t, f.Cert, nil)
	s.CurrentConfig()
	if s.log.Len() > 0 || !strings.Contains(next.String(), "contains no certificate") {
		t.Errorf("the log before has %q, the next one %q", s.log, &next)
	}
}

// A client of a removed CA is refused, although it had a session before.
func TestRemovedCAAdmitsNoClient(t *testing.T) {
	before, after := certstest.NewCA(t, "CA before"), certstest.NewCA(t, "CA after")
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		t.Run(tls.VersionName(version), func(t *testing.T) {
			f := certstest.NewFolder(t, before, before)
			s := newServer(t, f.Files)
			client := certstest.ClientConfig(t, before, before.Issue(t, "resolver.example", nil))
			client.MaxVersion = version
			client.ClientSessionCache = tls.NewLRUClientSessionCache(1)
			for range 2 {
				if state, err := s.handshake(client); err != nil || state.DidResume {
					t.Errorf("resumed %v, %v", state.DidResume, err)
				}
			}
			certstest.Write(t, f.ClientCA, after.PEM)
			if _, err := s.handshake(client); err == nil {
				t.Error("admitted")
			}
			s.shows(t, certstest.ClientConfig(t, before, after.Issue(t, "resolver.example", nil)))
		})
	}
}

func TestCheckReportsUnusableFiles(t *testing.T) {
	ca := certstest.NewCA(t, "CA")
	other := ca.Issue(t, "other.example", nil)
	write := certstest.Write
	tests := []struct {
		name   string
		change func(t *testing.T, f *certstest.Folder)
		want   string // with FOLDER in place of the folder
	}{
		{"usable", func(*testing.T, *certstest.Folder) {}, ""},
		{"chain", func(t *testing.T, f *certstest.Folder) {
			leaf, err := os.ReadFile(f.Cert)
			if err != nil {
				t.Fatal(err)
			}
			write(t, f.Cert, slices.Concat([]byte("a remark\n"), leaf, ca.PEM))
		}, ""},
		{"key in the same file", func(t *testing.T, f *certstest.Folder) {
			write(t, f.Cert, slices.Concat(other.Key, other.Cert))
			f.Key = f.Cert
		}, ""},
		{"no certificate", func(t *testing.T, f *certstest.Folder) { os.Remove(f.Cert) },
			"TLS cert: open FOLDER/cert.pem: no such file or directory"},
		{"no key", func(t *testing.T, f *certstest.Folder) { os.Remove(f.Key) },
			"TLS key: open FOLDER/key.pem: no such file or directory"},
		{"no CA", func(t *testing.T, f *certstest.Folder) { os.Remove(f.ClientCA) },
			"TLS client_ca: open FOLDER/ca.pem: no such file or directory"},
		{"key of another", func(t *testing.T, f *certstest.Folder) { write(t, f.Key, other.Key) },
			"TLS cert FOLDER/cert.pem with key FOLDER/key.pem: tls: private key does not match public key"},
		{"empty certificate", func(t *testing.T, f *certstest.Folder) { write(t, f.Cert, nil) },
			"TLS cert: FOLDER/cert.pem contains no certificate in PEM form"},
		{"certificate cut off", func(t *testing.T, f *certstest.Folder) { write(t, f.Cert, other.Cert[:200]) },
			"TLS cert: FOLDER/cert.pem is cut off, or not PEM, after certificate 0"},
		{"chain cut off", func(t *testing.T, f *certstest.Folder) { write(t, f.Cert, slices.Concat(other.Cert, ca.PEM[:100])) },
			"TLS cert: FOLDER/cert.pem is cut off, or not PEM, after certificate 1"},
		{"CA cut off", func(t *testing.T, f *certstest.Folder) { write(t, f.ClientCA, slices.Concat(ca.PEM, ca.PEM[:200])) },
			"TLS client_ca: FOLDER/ca.pem is cut off, or not PEM, after certificate 1"},
		{"CA that is a key", func(t *testing.T, f *certstest.Folder) { write(t, f.ClientCA, other.Key) },
			"TLS client_ca: FOLDER/ca.pem contains no certificate in PEM form"},
		{"junk in a certificate", func(t *testing.T, f *certstest.Folder) {
			write(t, f.ClientCA, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: []byte("junk")}))
		}, "TLS client_ca: FOLDER/ca.pem: certificate 1: x509: malformed certificate"},
		{"key cut off", func(t *testing.T, f *certstest.Folder) { write(t, f.Key, nil) },
			"TLS cert FOLDER/cert.pem with key FOLDER/key.pem: tls: failed to find any PEM data in key input"},
		{"folder", func(t *testing.T, f *certstest.Folder) { f.Cert = f.Dir }, "TLS cert: FOLDER is not a regular file"},
		{"pipe", func(t *testing.T, f *certstest.Folder) {
			f.Key = filepath.Join(f.Dir, "pipe")
			if err := syscall.Mkfifo(f.Key, 0o600); err != nil {
				t.Fatal(err)
			}
		}, "TLS key: FOLDER/pipe is not a regular file"},
		{"endless", func(t *testing.T, f *certstest.Folder) { write(t, f.Key, slices.Repeat([]byte{'\n'}, 1<<20+1)) },
			"TLS key: FOLDER/key.pem is longer than 1048576 bytes"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			f := certstest.NewFolder(t, ca, ca)
			tt.change(t, &f)
			got := ""
			if err := f.Check(); err != nil {
				got = strings.ReplaceAll(err.Error(), f.Dir, "FOLDER")
			}
			if got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
			c, err := certs.Load(f.Files, slog.New(slog.DiscardHandler))
			if (err == nil) != (tt.want == "") {
				t.Errorf("Load: %v, %v", c, err)
			}
		})
	}
	if err := (certs.Files{}).Check(); err != nil {
		t.Errorf("no TLS: %v", err)
	}
}
