// Package brokers connects to the brokers of a Kafka cluster: their addresses, TLS, and the user.
// A sink and a source share it.
//
// It must not know what a topic is for, what a record contains, or how a configuration is written.
// It must not show a password.
package brokers

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/sasl"
	"github.com/twmb/franz-go/pkg/sasl/plain"
	"github.com/twmb/franz-go/pkg/sasl/scram"

	"github.com/dnstap-pdns/dnstap-pdns/conf/certs"
	"github.com/dnstap-pdns/dnstap-pdns/conf/secret"
)

const (
	clientID    = "dnstap-pdns"
	dialTimeout = 5 * time.Second // of TCP and TLS together
)

// Config is how the brokers of one cluster are reached.
type Config struct {
	Addresses []string // HOST:PORT; any of them names all others
	TLS       *certs.ClientFiles
	SASL      SASL
}

// SASL is the user of the cluster. The zero value: there is none.
type SASL struct {
	Mechanism string // one of Mechanisms; empty: no SASL
	User      string
	Password  secret.Secret
}

// Mechanisms lists the supported mechanisms of SASL.
func Mechanisms() []string { return []string{"PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"} }

// Options returns the options of a client. It reads the TLS files: a client keeps what they
// contained. The client reads the password for each authentication. The name that a broker's
// certificate must have is the host of the broker's own address.
func (c Config) Options() ([]kgo.Opt, error) {
	opts := []kgo.Opt{
		kgo.SeedBrokers(c.Addresses...),
		kgo.ClientID(clientID),
		kgo.DialTimeout(dialTimeout),
		kgo.DisableClientMetrics(),
	}
	if c.TLS != nil {
		config, _, err := c.TLS.Config("")
		if err != nil {
			return nil, err
		}
		opts = append(opts, kgo.DialTLSConfig(config))
	}
	if c.SASL.Mechanism == "" {
		return opts, nil
	}
	m, err := c.SASL.mechanism()
	if err != nil {
		return nil, err
	}
	return append(opts, kgo.SASL(m)), nil
}

// Expires reads the TLS files, and returns when the client's certificate expires; zero: there is
// none.
func (c Config) Expires() (time.Time, error) {
	if c.TLS == nil {
		return time.Time{}, nil
	}
	_, expires, err := c.TLS.Config("")
	return expires, err
}

// mechanism returns the mechanism with its user. It reads the password once, so that a missing file
// is an error of the configuration.
func (s SASL) mechanism() (sasl.Mechanism, error) {
	if !slices.Contains(Mechanisms(), s.Mechanism) {
		return nil, fmt.Errorf("SASL mechanism %q is not supported: use one of %v", s.Mechanism, Mechanisms())
	}
	if _, err := s.password(); err != nil {
		return nil, err
	}
	if s.Mechanism == "PLAIN" {
		return plain.Plain(func(context.Context) (plain.Auth, error) {
			password, err := s.password()
			return plain.Auth{User: s.User, Pass: password}, err
		}), nil
	}
	auth := func(context.Context) (scram.Auth, error) {
		password, err := s.password()
		return scram.Auth{User: s.User, Pass: password}, err
	}
	if s.Mechanism == "SCRAM-SHA-256" {
		return scram.Sha256(auth), nil
	}
	return scram.Sha512(auth), nil
}

func (s SASL) password() (string, error) {
	password, err := s.Password.Read()
	if err != nil {
		return "", passwordError{err}
	}
	return password, nil
}

// A passwordError is the error of reading the password.
type passwordError struct{ err error }

func (e passwordError) Error() string { return "SASL password: " + e.err.Error() }

func (e passwordError) Unwrap() error { return e.err }
