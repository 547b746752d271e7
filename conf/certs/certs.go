// Package certs reads the PEM files with which a server or a client speaks TLS: those of a server
// again when they change, those of a client for each connection. It explains to the operator why a
// client could not connect.
//
// It must not make connections, or know dnstap or configuration: it returns a tls.Config for each
// handshake.
package certs

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"log/slog"
	"sync"
	"time"
)

// Files names the PEM files of a server, or contains PEM text in place of a name. The zero value
// means no TLS.
type Files struct {
	Cert     string // the server's certificate, followed by the intermediate certificates
	Key      string // the server's private key
	ClientCA string // CAs, one of which must have issued each client's certificate; empty: clients need none
}

// Check reads the files, and returns an error if a server cannot use them. It returns nil for
// the zero value.
func (f Files) Check() error {
	if f == (Files{}) {
		return nil
	}
	_, err := f.load()
	return err
}

// A loaded is the content of the files at one time.
type loaded struct {
	config   *tls.Config
	versions versions
}

// versions are the versions of the files; zero for a file without a path or that stat fails on.
type versions struct{ cert, key, clientCA version }

func (f Files) versions() versions {
	return versions{versionOf(f.Cert), versionOf(f.Key), versionOf(f.ClientCA)}
}

// load reads the files. It returns an error unless all are complete and the key belongs to the
// certificate.
func (f Files) load() (loaded, error) {
	var l loaded
	pair, versions, err := readPair(f.Cert, f.Key)
	if err != nil {
		return l, err
	}
	l.versions = versions
	l.config = &tls.Config{
		MinVersion:   tls.VersionTLS12,
		Certificates: []tls.Certificate{pair},
		// Connections are few and long. A session ticket would admit a client after its
		// CA was removed.
		SessionTicketsDisabled: true,
	}
	if f.ClientCA == "" {
		return l, nil
	}
	l.config.ClientAuth = tls.RequireAndVerifyClientCert
	l.config.ClientCAs, l.versions.clientCA, err = readPool(f.ClientCA)
	if err != nil {
		return l, fmt.Errorf("TLS client_ca: %w", err)
	}
	return l, nil
}

// readPair reads a certificate with its key.
func readPair(certPath, keyPath string) (tls.Certificate, versions, error) {
	cert, err := readPEM(certPath)
	if err == nil {
		_, err = cert.certificates()
	}
	if err != nil {
		return tls.Certificate{}, versions{}, fmt.Errorf("TLS cert: %w", err)
	}
	key, err := readPEM(keyPath)
	if err != nil {
		return tls.Certificate{}, versions{}, fmt.Errorf("TLS key: %w", err)
	}
	pair, err := tls.X509KeyPair(cert.text, key.text)
	if err != nil {
		return tls.Certificate{}, versions{}, fmt.Errorf("TLS cert %s with key %s: %w", cert.path, key.path, err)
	}
	return pair, versions{cert: cert.version, key: key.version}, nil
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

// Credentials are the content of Files when they were last usable. Its methods may be called
// from any goroutine.
type Credentials struct {
	Files Files // do not change it

	mu      sync.Mutex
	log     *slog.Logger
	inUse   loaded
	problem string // why the files are not usable now; empty: they are
}

// Load reads the files. It reports later changes of the files to log. It returns an error if
// the files are not usable.
func Load(files Files, log *slog.Logger) (*Credentials, error) {
	l, err := files.load()
	if err != nil {
		return nil, err
	}
	return &Credentials{Files: files, log: log, inUse: l}, nil
}

// LogTo replaces the log.
func (c *Credentials) LogTo(log *slog.Logger) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.log = log
}

// CurrentConfig returns the TLS configuration for a new handshake. It reads the files again if they
// changed. If they are not usable, Config returns the previous configuration, logs the problem
// once, and reads the files at every call until they are usable: the cause may be outside the
// files.
func (c *Credentials) CurrentConfig() *tls.Config {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.refresh()
	return c.inUse.config
}

// refresh reads the files if necessary; see Config. c.mu is held.
func (c *Credentials) refresh() {
	if c.problem == "" && c.Files.versions() == c.inUse.versions {
		return
	}
	l, err := c.Files.load()
	switch {
	case err == nil:
		c.inUse, c.problem = l, ""
		c.log.Info("TLS files were read again", "expires", l.config.Certificates[0].Leaf.NotAfter)
	case err.Error() != c.problem:
		c.problem = err.Error()
		c.log.Warn("TLS files cannot be used; those read before stay in use", "error", err)
	}
}

// A Certificate describes a server's certificate for the operator.
type Certificate struct {
	Expires time.Time
	Problem string // why the files are not usable now; empty: they are
}

// Certificate describes the certificate that a new handshake would use. It reads changed
// files as Config does.
func (c *Credentials) Certificate() Certificate {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.refresh()
	return Certificate{Expires: c.inUse.config.Certificates[0].Leaf.NotAfter, Problem: c.problem}
}
