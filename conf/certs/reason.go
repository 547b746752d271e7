package certs

import (
	"crypto/x509"
	"errors"
	"fmt"
	"net"
)

// Reason explains why a client could not connect to a server, or why a connection failed: without
// addresses, and with what to do where that is known. It returns other errors as they are.
func Reason(err error) error {
	if lookup, ok := errors.AsType[*net.DNSError](err); ok {
		if lookup.IsNotFound {
			return errors.New("no such host: is the name right?")
		}
		return errors.New("the name cannot be resolved: does this machine resolve names?")
	}
	if invalid, ok := errors.AsType[x509.CertificateInvalidError](err); ok && invalid.Reason == x509.Expired {
		return fmt.Errorf("the server's certificate is valid from %s to %s only: the server must renew it, or the clock of this machine is wrong",
			invalid.Cert.NotBefore.Format("2006-01-02"), invalid.Cert.NotAfter.Format("2006-01-02"))
	}
	if _, ok := errors.AsType[x509.UnknownAuthorityError](err); ok {
		return errors.New("the server's certificate was issued by an unknown CA: set ca if the server has a private one")
	}
	if wrong, ok := errors.AsType[x509.HostnameError](err); ok {
		if net.ParseIP(wrong.Host) != nil {
			return errors.New("the server's certificate is not for this address: use a name that is in the certificate")
		}
		return fmt.Errorf("the server's certificate is not for this host: %w", wrong)
	}
	op, ok := errors.AsType[*net.OpError](err)
	switch {
	case !ok:
		return err
	case IsAlert(err):
		return fmt.Errorf("the server refuses TLS: %w: does it require a client certificate (cert, key), or is that expired?", op.Err)
	}
	return op.Err
}

// IsAlert reports whether err is an alert of TLS from the server.
func IsAlert(err error) bool {
	op, ok := errors.AsType[*net.OpError](err)
	return ok && op.Op == "remote error"
}
