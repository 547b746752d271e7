package brokers

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"golang.org/x/sys/unix"

	"github.com/dnstap-pdns/dnstap-pdns/conf/certs"
	"github.com/dnstap-pdns/dnstap-pdns/conf/certs/certstest"
	"github.com/dnstap-pdns/dnstap-pdns/conf/secret"
)

const password = "correct-horse"

// newFake returns the addresses of a fake cluster with one broker.
func newFake(t *testing.T, opts ...kfake.Opt) []string {
	t.Helper()
	c, err := kfake.NewCluster(append([]kfake.Opt{kfake.NumBrokers(1)}, opts...)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c.ListenAddrs()
}

// newClient returns a client.
func newClient(t *testing.T, c Config) *kgo.Client {
	t.Helper()
	opts, err := c.Options()
	if err != nil {
		t.Fatal(err)
	}
	client, err := kgo.NewClient(opts...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	return client
}

// ping connects, and returns the reason of a failure.
func ping(t *testing.T, client *kgo.Client) error {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	err := Reason(client.Ping(ctx))
	if err != nil && strings.Contains(err.Error(), password) {
		t.Errorf("the password is shown: %v", err)
	}
	return err
}

func TestMechanismsWithAFakeCluster(t *testing.T) {
	for _, mechanism := range Mechanisms() {
		addresses := newFake(t, kfake.EnableSASL(), kfake.Superuser(mechanism, "sensor", password))
		for _, tt := range []struct {
			sasl   SASL
			reason string // empty: it connects
		}{
			{SASL{mechanism, "sensor", secret.Text(password)}, ""},
			{SASL{mechanism, "sensor", secret.Text("wrong")}, "check sasl (user, password, mechanism)"},
			{SASL{mechanism, "other", secret.Text(password)}, "check sasl (user, password, mechanism)"},
			{SASL{mechanism, "", secret.Text(password)}, "must be non-empty"},
			{SASL{}, "SASL"},
		} {
			err := ping(t, newClient(t, Config{Addresses: addresses, SASL: tt.sasl}))
			if (err == nil) != (tt.reason == "") || err != nil && !strings.Contains(err.Error(), tt.reason) {
				t.Errorf("%s, user %q: %v, want %q", mechanism, tt.sasl.User, err, tt.reason)
			}
			if shown := fmt.Sprintf("%v %+v", tt.sasl, tt.sasl); strings.Contains(shown, password) {
				t.Errorf("the password is shown: %s", shown)
			}
		}
	}
	if _, err := (Config{SASL: SASL{Mechanism: "GSSAPI"}}).Options(); err == nil || !strings.Contains(err.Error(), "SCRAM-SHA-512") {
		t.Errorf("an unknown mechanism: %v", err)
	}
}

// TestThePasswordIsReadForEachConnection changes the file between two connections of one client.
func TestThePasswordIsReadForEachConnection(t *testing.T) {
	path := filepath.Join(t.TempDir(), "password")
	certstest.Write(t, path, []byte("old\n"))
	c := Config{SASL: SASL{"SCRAM-SHA-256", "sensor", secret.InFile(path)}}
	c.Addresses = newFake(t, kfake.EnableSASL(), kfake.Superuser("SCRAM-SHA-256", "sensor", password))
	client := newClient(t, c)
	if err := ping(t, client); err == nil {
		t.Error("connected with the old password")
	}
	certstest.Write(t, path, []byte(password+"\n"))
	if err := ping(t, client); err != nil {
		t.Errorf("with the new password: %v", err)
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Options(); err == nil || !strings.Contains(err.Error(), "SASL password: open "+path) {
		t.Errorf("without the file: %v", err)
	}
}

// server returns the configuration of a server with a certificate of ca for 127.0.0.1.
func server(t *testing.T, ca *certstest.CA, change func(*x509.Certificate)) *tls.Config {
	t.Helper()
	pair := ca.Issue(t, "broker", func(c *x509.Certificate) {
		c.IPAddresses = []net.IP{net.IPv4(127, 0, 0, 1)}
		if change != nil {
			change(c)
		}
	})
	own, err := tls.X509KeyPair(pair.Cert, pair.Key)
	if err != nil {
		t.Fatal(err)
	}
	return &tls.Config{Certificates: []tls.Certificate{own}}
}

func TestTLSWithAFakeCluster(t *testing.T) {
	ca, other := certstest.NewCA(t, "CA"), certstest.NewCA(t, "other CA")
	trusted := &certs.ClientFiles{CA: string(ca.PEM)}
	mine := other.Issue(t, "sensor", func(c *x509.Certificate) { c.NotAfter = time.Date(2090, 1, 2, 0, 0, 0, 0, time.UTC) })
	own := &certs.ClientFiles{CA: string(ca.PEM), Cert: string(mine.Cert), Key: string(mine.Key)}
	clients := x509.NewCertPool()
	clients.AppendCertsFromPEM(other.PEM)
	asks := func(c *tls.Config) *tls.Config {
		c.ClientAuth, c.ClientCAs = tls.RequireAndVerifyClientCert, clients
		return c
	}
	for _, tt := range []struct {
		name   string
		server *tls.Config // nil: no TLS
		client *certs.ClientFiles
		reason string // empty: it connects
	}{
		{"trusted", server(t, ca, nil), trusted, ""},
		{"an unknown CA", server(t, other, nil), trusted, "unknown CA: set ca"},
		{"the system's CAs", server(t, ca, nil), &certs.ClientFiles{}, "unknown CA: set ca"},
		{"expired", server(t, ca, func(c *x509.Certificate) { c.NotAfter = time.Date(2001, 2, 3, 0, 0, 0, 0, time.UTC) }), trusted, "to 2001-02-03 only"},
		{"another host", server(t, ca, func(c *x509.Certificate) { c.IPAddresses = nil }), trusted, "not for this address"},
		{"no client certificate", asks(server(t, ca, nil)), trusted, "client certificate"},
		{"a client certificate", asks(server(t, ca, nil)), own, ""},
		{"a client without TLS", server(t, ca, nil), nil, "TLS"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var opts []kfake.Opt
			if tt.server != nil {
				opts = append(opts, kfake.TLS(tt.server))
			}
			c := Config{Addresses: newFake(t, opts...), TLS: tt.client}
			err := ping(t, newClient(t, c))
			if (err == nil) != (tt.reason == "") || err != nil && (!strings.Contains(err.Error(), tt.reason) || strings.Contains(err.Error(), "127.0.0.1")) {
				t.Errorf("%v, want %q", err, tt.reason)
			}
		})
	}
	if expires, err := (Config{TLS: own}).Expires(); err != nil || expires.Year() != 2090 {
		t.Errorf("expires %v, %v", expires, err)
	}
	if expires, err := (Config{TLS: trusted}).Expires(); err != nil || !expires.IsZero() {
		t.Errorf("without a certificate: %v, %v", expires, err)
	}
	if _, err := (Config{TLS: &certs.ClientFiles{CA: "/nowhere"}}).Options(); err == nil {
		t.Error("a missing file is no error")
	}
}

// TestAnswersThatAreNotOfKafka has a server answer any first request.
func TestAnswersThatAreNotOfKafka(t *testing.T) {
	for _, tt := range []struct {
		name, answer, reason string
		tls                  bool // the client speaks TLS
	}{
		{"closes", "", "does it require TLS", false},
		{"HTTP", "HTTP/1.1 400 Bad Request\r\n\r\n", "an HTTP server answered", false},
		{"TLS alert", "\x15\x03\x03\x00\x02\x02\x0a", "the broker speaks TLS on this port: set tls", false},
		{"SSH", "SSH-2.0-OpenSSH_10.0\r\n", "not that of a Kafka broker", false},
		{"negative size", "\xff\xff\xff\xff....", "not that of a Kafka broker", false},
		{"closes before TLS", "", "does not speak TLS on this port", true},
		{"no TLS", "HTTP/1.1 400 Bad Request\r\n\r\n", "does not speak TLS on this port", true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			l, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			done := make(chan struct{})
			go func() {
				defer close(done)
				for {
					conn, err := l.Accept()
					if err != nil {
						return
					}
					conn.Read(make([]byte, 1<<16)) // a close with unread octets would be a reset
					conn.Write([]byte(tt.answer))
					conn.Close()
				}
			}()
			defer func() { l.Close(); <-done }()
			c := Config{Addresses: []string{l.Addr().String()}}
			if tt.tls {
				c.TLS = &certs.ClientFiles{}
			}
			if err := ping(t, newClient(t, c)); err == nil || !strings.Contains(err.Error(), tt.reason) {
				t.Errorf("%v, want %q", err, tt.reason)
			}
		})
	}
}

func TestReasons(t *testing.T) {
	address := &net.TCPAddr{IP: net.IPv4(192, 0, 2, 1), Port: 9092}
	dial := func(err error) error {
		return fmt.Errorf("unable to dial: %w", &net.OpError{Op: "dial", Net: "tcp", Addr: address, Err: err})
	}
	for _, tt := range []struct {
		err  error
		want string
	}{
		{dial(os.NewSyscallError("connect", unix.ECONNREFUSED)), "connect: connection refused"},
		{dial(&net.DNSError{Name: "kafka.example", Server: "192.0.2.1:53", IsNotFound: true}), "no such host"},
		{dial(&net.DNSError{Name: "kafka.example", Server: "192.0.2.1:53", IsTimeout: true}), "cannot be resolved"},
		{context.DeadlineExceeded, "did not answer in time"},
		{fmt.Errorf("%w: user sensor, password %s", kerr.SaslAuthenticationFailed, password), "refuses the user"},
		{fmt.Errorf("sasl: %w", kerr.UnsupportedSaslMechanism), "set sasl.mechanism to another one"},
		{kerr.IllegalSaslState, "remove sasl"},
		{kerr.TopicAuthorizationFailed, "a sink needs WRITE"},
		{fmt.Errorf("%w (uncompressed_bytes=3)", kerr.MessageTooLarge), "max.message.bytes"},
		{kerr.UnknownTopicOrPartition, "no such topic"},
		{kerr.GroupAuthorizationFailed, "consumer group"},
		{errors.New("anything else"), "anything else"},
	} {
		got := Reason(tt.err)
		if !strings.Contains(got.Error(), tt.want) || strings.Contains(got.Error(), "192.0.2.1") || strings.Contains(got.Error(), password) {
			t.Errorf("%v: got %q, want %q", tt.err, got, tt.want)
		}
	}
	if Reason(nil) != nil {
		t.Error("no error has a reason")
	}
	if !slices.Contains(Mechanisms(), "PLAIN") {
		t.Error("PLAIN is missing")
	}
}
