package collector

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
)

// A testCA issues certificates, which are valid in bubbles too: time begins
// there in 2000.
type testCA struct {
	cert *x509.Certificate
	key  crypto.Signer
	pem  []byte
}

// A pair is a certificate and its key in PEM form.
type pair struct{ cert, key []byte }

func newAuthority(t testing.TB, name string) *testCA {
	t.Helper()
	template := template(name)
	template.IsCA, template.BasicConstraintsValid = true, true
	key := newKey(t)
	der := create(t, template, template, key.Public(), key)
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return &testCA{cert, key, encode("CERTIFICATE", der)}
}

// issue certifies the common name, for the host sensor.example, unless change makes
// it something else.
func (a *testCA) issue(t testing.TB, name string, change func(*x509.Certificate)) pair {
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
	return pair{encode("CERTIFICATE", create(t, template, a.cert, key.Public(), a.key)), encode("PRIVATE KEY", private)}
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

func (p pair) certificate(t testing.TB) tls.Certificate {
	t.Helper()
	c, err := tls.X509KeyPair(p.cert, p.key)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// pool is what a peer trusts who trusts a.
func (a *testCA) pool() *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AddCert(a.cert)
	return pool
}

// A tlsFolder holds the files of a source whose common name is sensor.example too.
type tlsFolder struct {
	TLS
	dir string
}

// newTLSFolder has ca issue the source's certificate; clients says who issues
// theirs, nil if they need none.
func newTLSFolder(t testing.TB, ca, clients *testCA) tlsFolder {
	t.Helper()
	f := tlsFolder{dir: t.TempDir()}
	f.Cert, f.Key = filepath.Join(f.dir, "cert.pem"), filepath.Join(f.dir, "key.pem")
	f.put(t, ca.issue(t, "sensor.example", nil))
	if clients != nil {
		f.ClientCA = filepath.Join(f.dir, "ca.pem")
		write(t, f.ClientCA, clients.pem)
	}
	return f
}

func (f tlsFolder) put(t testing.TB, p pair) {
	t.Helper()
	write(t, f.Cert, p.cert)
	write(t, f.Key, p.key)
}

func write(t testing.TB, path string, b []byte) {
	t.Helper()
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
}
