package certs_test

import (
	"crypto/tls"
	"path/filepath"
	"strings"
	"testing"

	"github.com/dnstap-pdns/dnstap-pdns/conf/certs"
	"github.com/dnstap-pdns/dnstap-pdns/conf/certs/certstest"
)

func TestClientFiles(t *testing.T) {
	dir := t.TempDir()
	path := func(name string) string { return filepath.Join(dir, name) }
	ca := certstest.NewCA(t, "CA")
	own, other := ca.Issue(t, "sensor", nil), ca.Issue(t, "other", nil)
	certstest.Write(t, path("ca"), ca.PEM)
	certstest.Write(t, path("cert"), own.Cert)
	certstest.Write(t, path("key"), own.Key)
	certstest.Write(t, path("other"), other.Key)
	certstest.Write(t, path("empty"), nil)
	tests := []struct {
		name  string
		files certs.ClientFiles
		want  string // with FOLDER in place of the folder
	}{
		{"nothing", certs.ClientFiles{}, ""},
		{"CA", certs.ClientFiles{CA: path("ca")}, ""},
		{"all", certs.ClientFiles{CA: path("ca"), Cert: path("cert"), Key: path("key")}, ""},
		{"PEM text", certs.ClientFiles{CA: string(ca.PEM), Cert: string(own.Cert), Key: string(own.Key)}, ""},
		{"no CA", certs.ClientFiles{CA: path("none")}, "TLS ca: open FOLDER/none: no such file or directory"},
		{"empty CA", certs.ClientFiles{CA: path("empty")}, "TLS ca: FOLDER/empty contains no certificate in PEM form"},
		{"no key", certs.ClientFiles{Cert: path("cert")}, "TLS cert without key"},
		{"no certificate", certs.ClientFiles{Key: path("key")}, "TLS key without cert"},
		{"missing key", certs.ClientFiles{Cert: path("cert"), Key: path("none")}, "TLS key: open FOLDER/none: no such file or directory"},
		{"key of another", certs.ClientFiles{Cert: path("cert"), Key: path("other")},
			"TLS cert FOLDER/cert with key FOLDER/other: tls: private key does not match public key"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := ""
			if err := tt.files.Check(); err != nil {
				got = strings.ReplaceAll(err.Error(), dir, "FOLDER")
			}
			if got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

// A server that accepts only clients of the CA completes the handshake.
func TestClientConfig(t *testing.T) {
	ca := certstest.NewCA(t, "CA")
	own := ca.Issue(t, "sensor", nil)
	config, expires, err := certs.ClientFiles{CA: string(ca.PEM), Cert: string(own.Cert), Key: string(own.Key)}.Config("sensor.example")
	if err != nil || expires.Year() != 2100 {
		t.Fatalf("expires at %v: %v", expires, err)
	}
	f := certstest.NewFolder(t, ca, ca)
	s := newServer(t, f.Files)
	if state, err := s.handshake(config); err != nil || state.Version != tls.VersionTLS13 {
		t.Errorf("%v", err)
	}
	if _, none, err := (certs.ClientFiles{}).Config("x"); !none.IsZero() || err != nil {
		t.Errorf("without a certificate: expires at %v, %v", none, err)
	}
}
