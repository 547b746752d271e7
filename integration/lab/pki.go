package lab

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// Authority is a CA. Package certstest is not used, because this package imports nothing of
// the module.
type Authority struct {
	Path string // of the PEM file with its certificate
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

// NewAuthority makes a CA and writes its certificate to the folder.
func NewAuthority(t testing.TB, folder, name string) *Authority {
	t.Helper()
	key := newKey(t)
	c := certificate(name)
	c.IsCA, c.BasicConstraintsValid = true, true
	der, err := x509.CreateCertificate(rand.Reader, c, c, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	if c, err = x509.ParseCertificate(der); err != nil {
		t.Fatal(err)
	}
	a := &Authority{filepath.Join(folder, name+".pem"), c, key}
	writePEM(t, a.Path, "CERTIFICATE", der)
	return a
}

// Issue makes a certificate for a host, which is also its common name, and returns the paths
// of the PEM files of the certificate and its key.
func (a *Authority) Issue(t testing.TB, folder, host string) (cert, key string) {
	t.Helper()
	return a.IssueUntil(t, folder, host, time.Now().Add(24*time.Hour))
}

// IssueUntil is Issue with the time at which the certificate expires.
func (a *Authority) IssueUntil(t testing.TB, folder, host string, expires time.Time) (cert, key string) {
	t.Helper()
	private := newKey(t)
	c := certificate(host)
	c.DNSNames = []string{host}
	c.NotAfter = expires
	der, err := x509.CreateCertificate(rand.Reader, c, a.cert, private.Public(), a.key)
	if err != nil {
		t.Fatal(err)
	}
	secret, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	cert, key = filepath.Join(folder, host+".cert.pem"), filepath.Join(folder, host+".key.pem")
	writePEM(t, cert, "CERTIFICATE", der)
	writePEM(t, key, "PRIVATE KEY", secret)
	return cert, key
}

func certificate(name string) *x509.Certificate {
	now := time.Now()
	return &x509.Certificate{
		SerialNumber: big.NewInt(now.UnixNano()),
		Subject:      pkix.Name{CommonName: name},
		NotBefore:    now.Add(-time.Hour),
		NotAfter:     now.Add(24 * time.Hour),
	}
}

func newKey(t testing.TB) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func writePEM(t testing.TB, path, kind string, der []byte) {
	t.Helper()
	if err := os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
}
