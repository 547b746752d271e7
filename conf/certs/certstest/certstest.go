// Package certstest issues certificates and writes the files of package certs, for tests. Only
// tests may import it. integration/lab has its own CA, because it imports nothing of the module.
package certstest

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/dnstap-pdns/dnstap-pdns/conf/certs"
)

// A CA issues certificates that are valid from 1990 to 2100. Time in a synctest bubble begins
// in 2000.
type CA struct {
	PEM  []byte // its certificate
	cert *x509.Certificate
	key  crypto.Signer
}

// A Pair is a certificate and its key in PEM form.
type Pair struct{ Cert, Key []byte }

// NewCA returns a CA with this common name.
func NewCA(t testing.TB, name string) *CA {
	t.Helper()
	template := template(name)
	template.IsCA, template.BasicConstraintsValid = true, true
	key := newKey(t)
	der := create(t, template, template, key.Public(), key)
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return &CA{encode("CERTIFICATE", der), cert, key}
}

// Issue returns a certificate with this common name for the host sensor.example. change, if not
// nil, changes the certificate before it is signed.
func (a *CA) Issue(t testing.TB, name string, change func(*x509.Certificate)) Pair {
	t.Helper()
	template := template(name)
	template.DNSNames = []string{"sensor.example"}
	if change != nil {
		change(template)
	}
	key := newKey(t)
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return Pair{encode("CERTIFICATE", create(t, template, a.cert, key.Public(), a.key)), encode("PRIVATE KEY", private)}
}

func template(name string) *x509.Certificate {
	return &x509.Certificate{
		SerialNumber: big.NewInt(1),
		Subject:      pkix.Name{CommonName: name},
		NotBefore:    time.Date(1990, 1, 1, 0, 0, 0, 0, time.UTC),
		NotAfter:     time.Date(2100, 1, 1, 0, 0, 0, 0, time.UTC),
	}
}

func newKey(t testing.TB) crypto.Signer {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func create(t testing.TB, template, parent *x509.Certificate, public crypto.PublicKey, signer crypto.Signer) []byte {
	t.Helper()
	der, err := x509.CreateCertificate(rand.Reader, template, parent, public, signer)
	if err != nil {
		t.Fatal(err)
	}
	return der
}

func encode(kind string, der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})
}

// certificate returns the pair in the form of package tls.
func (p Pair) certificate(t testing.TB) tls.Certificate {
	t.Helper()
	c, err := tls.X509KeyPair(p.Cert, p.Key)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// pool returns a pool that holds only the CA.
func (a *CA) pool() *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AddCert(a.cert)
	return pool
}

// ClientConfig returns the configuration of a client that trusts ca as the issuer of the
// server's certificate. The client sends own, at most one pair, whenever the server asks for a
// certificate, even if the server does not accept its issuer.
func ClientConfig(t testing.TB, ca *CA, own ...Pair) *tls.Config {
	t.Helper()
	c := &tls.Config{RootCAs: ca.pool(), ServerName: "sensor.example"}
	for _, p := range own {
		shown := p.certificate(t)
		c.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &shown, nil }
	}
	return c
}

// A Folder holds the files of a server.
type Folder struct {
	certs.Files
	Dir string
}

// NewFolder writes the files of a server whose certificate, with the common name
// sensor.example, is issued by ca. clients is the CA of the clients; nil: clients need no
// certificate.
func NewFolder(t testing.TB, ca, clients *CA) Folder {
	t.Helper()
	f := Folder{Dir: t.TempDir()}
	f.Cert, f.Key = filepath.Join(f.Dir, "cert.pem"), filepath.Join(f.Dir, "key.pem")
	f.Put(t, ca.Issue(t, "sensor.example", nil))
	if clients != nil {
		f.ClientCA = filepath.Join(f.Dir, "ca.pem")
		Write(t, f.ClientCA, clients.PEM)
	}
	return f
}

// Put overwrites the server's certificate and key with p, in place.
func (f Folder) Put(t testing.TB, p Pair) {
	t.Helper()
	Write(t, f.Cert, p.Cert)
	Write(t, f.Key, p.Key)
}

// Write writes a file, in place.
func Write(t testing.TB, path string, b []byte) {
	t.Helper()
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
}
