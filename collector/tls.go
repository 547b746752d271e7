package collector

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
)

// TLS names the PEM files with which a TCP source speaks TLS, 1.2 or later. They
// are read when the source begins to listen, and again when they change.
type TLS struct {
	Cert     string // the source's certificate, and behind it those between it and a CA that resolvers trust
	Key      string // its private key
	ClientCA string // CAs, one of which must have issued each client's certificate; empty: none is asked for
}

// Check reads the files and says what keeps a source from using them. Without
// files there is nothing to say.
func (t TLS) Check() error {
	if t == (TLS{}) {
		return nil
	}
	_, err := t.load()
	return err
}

// A loaded is what the files held.
type loaded struct {
	config *tls.Config
	from   versions
}

// versions are those of the files; the zero version is of one that is not named,
// or that cannot be seen.
type versions struct{ cert, key, clientCA version }

// versions looks at the files as they are now.
func (t TLS) versions() versions {
	return versions{versionOf(t.Cert), versionOf(t.Key), versionOf(t.ClientCA)}
}

// load reads the files, which must be whole and belong together.
func (t TLS) load() (loaded, error) {
	var l loaded
	cert, err := readPEM(t.Cert)
	if err == nil {
		_, err = cert.certificates()
	}
	if err != nil {
		return l, fmt.Errorf("TLS cert: %w", err)
	}
	key, err := readPEM(t.Key)
	if err != nil {
		return l, fmt.Errorf("TLS key: %w", err)
	}
	pair, err := tls.X509KeyPair(cert.text, key.text)
	if err != nil {
		return l, fmt.Errorf("TLS cert %s with key %s: %w", t.Cert, t.Key, err)
	}
	l.from = versions{cert: cert.version, key: key.version}
	l.config = &tls.Config{
		MinVersion:   tls.VersionTLS12,
		Certificates: []tls.Certificate{pair},
		// Connections are few and last. A ticket could let in somebody whose CA is
		// trusted no more.
		SessionTicketsDisabled: true,
	}
	if t.ClientCA == "" {
		return l, nil
	}
	l.config.ClientAuth = tls.RequireAndVerifyClientCert
	l.config.ClientCAs, l.from.clientCA, err = readPool(t.ClientCA)
	if err != nil {
		return l, fmt.Errorf("TLS client_ca: %w", err)
	}
	return l, nil
}

func readPool(path string) (*x509.CertPool, version, error) {
	f, err := readPEM(path)
	if err != nil {
		return nil, version{}, err
	}
	all, err := f.certificates()
	pool := x509.NewCertPool()
	for _, ca := range all {
		pool.AddCert(ca)
	}
	return pool, f.version, err
}
