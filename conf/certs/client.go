package certs

import (
	"crypto/tls"
	"errors"
	"fmt"
	"time"
)

// ClientFiles names the PEM files of a client, or contains PEM text in place of a name. The zero
// value means the CAs of the system and no certificate.
type ClientFiles struct {
	CA   string // CAs, one of which must have issued the server's certificate; empty: those of the system
	Cert string // the client's certificate, followed by the intermediate certificates; empty: none
	Key  string // the client's private key
}

// Check reads the files, and returns an error if a client cannot use them.
func (f ClientFiles) Check() error {
	_, _, err := f.Config("")
	return err
}

// Config reads the files, and returns the TLS configuration for a connection to a server with
// this name, and the time at which the client's certificate expires; zero: it has none.
func (f ClientFiles) Config(serverName string) (*tls.Config, time.Time, error) {
	c := &tls.Config{MinVersion: tls.VersionTLS12, ServerName: serverName}
	if f.CA != "" {
		var err error
		if c.RootCAs, _, err = readPool(f.CA); err != nil {
			return nil, time.Time{}, fmt.Errorf("TLS ca: %w", err)
		}
	}
	switch {
	case f.Cert == "" && f.Key == "":
		return c, time.Time{}, nil
	case f.Cert == "":
		return nil, time.Time{}, errors.New("TLS key without cert")
	case f.Key == "":
		return nil, time.Time{}, errors.New("TLS cert without key")
	}
	pair, _, err := readPair(f.Cert, f.Key)
	if err != nil {
		return nil, time.Time{}, err
	}
	// The certificate is sent even if its issuer is not among those that the server lists: an
	// error of the server is then about this certificate, not about a missing one.
	c.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &pair, nil }
	return c, pair.Leaf.NotAfter, nil
}
