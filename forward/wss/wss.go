// Package wss submits NMSG containers to a server of SIE: sielink messages over a websocket. A
// container is delivered when the server has answered a ping that was sent after it: then the
// process of the server has read it. What that process had not stored is lost if it crashes.
//
// The package does not know what a container contains, which batches are queued or what a spool
// is. It must not log a key, a password or a text from the server that it has not cleaned.
package wss

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"time"

	"golang.org/x/net/http/httpproxy"
	"golang.org/x/time/rate"

	"github.com/dnstap-pdns/dnstap-pdns/conf/certs"
	"github.com/dnstap-pdns/dnstap-pdns/conf/secret"
	"github.com/dnstap-pdns/dnstap-pdns/forward"
)

const (
	// The bytes of containers that are sent before a ping. They are halved after a failure
	// and doubled after a fast acknowledgement, so that a slow link makes progress too.
	maxUnacknowledged = 4 << 20
	fastAcknowledged  = 5 * time.Second

	// longestUnacknowledged is the time after which no more containers are sent before a ping,
	// so that a Send over a slow link does not look stuck.
	longestUnacknowledged = 30 * time.Second

	// maxMoves is how often one Send changes the server because of Shutdown.
	maxMoves = 3

	// idleInterval is the time between two looks at a session while nothing is sent.
	idleInterval = time.Second

	// expiryInterval is the time after which the client's certificate is read again while a
	// session lasts: it may have been renewed.
	expiryInterval = time.Hour

	// Alerts that are logged: a few at once, and then one in a minute.
	alertBurst    = 5
	alertInterval = time.Minute
)

// Config is the configuration that only sinks with this transport have.
type Config struct {
	Channel uint32        // of all containers
	APIKey  secret.Secret // the zero value: none
	TLS     certs.ClientFiles
}

// Stream returns the name of the channel: a spool is for one channel only.
func (c Config) Stream() string { return fmt.Sprintf("ch%d", c.Channel) }

// New returns a transport to the sink's target. The first Send or Idle connects.
func (c Config) New(s *forward.SinkConfig, env forward.Env) (forward.Transport, error) {
	return newTransport(c, s, env), nil
}

func newTransport(c Config, s *forward.SinkConfig, env forward.Env) *transport {
	t := &transport{
		config:      c,
		log:         env.Log.With("peer", s.Target.String()),
		stop:        env.Stop,
		lookup:      net.DefaultResolver.LookupSRV,
		alertLimit:  rate.NewLimiter(rate.Every(alertInterval), alertBurst),
		unconfirmed: maxUnacknowledged,
	}
	t.dialer = dialer{
		endpoint: newEndpoint(s.Target),
		proxy:    httpproxy.FromEnvironment().ProxyFunc(),
		dial:     new(net.Dialer).DialContext,
		timings:  defaultTimings,
		alerts:   t.logAlert,
	}
	return t
}

type transport struct {
	config Config
	log    *slog.Logger
	stop   <-chan struct{}
	dialer dialer
	lookup lookupSRV

	session     *session // nil: none
	server      string   // of the latest session
	backoff     backoff
	looked      time.Time // when the TLS files were read last
	failure     error     // why there is no session; nil: there was none, or its server is about to stop
	unconfirmed int       // bytes that are sent before a ping

	acknowledged forward.AtomicTime // zero: not yet
	expires      forward.AtomicTime // of the client's certificate; zero: there is none

	// While there is a session, its goroutine that reads owns these.
	alertLimit *rate.Limiter
	unlogged   int    // alerts since the latest that was logged
	key        string // the API key, which no log may show
}

// Open does nothing: Send and Idle open a session, and another one after a failure.
func (t *transport) Open(context.Context) error { return nil }

// Send sends units of bs up to a limit in bytes, and returns when the server has acknowledged
// them. After an error none of them counts as sent.
func (t *transport) Send(ctx context.Context, bs []*forward.Batch, from int) (forward.Result, error) {
	for range maxMoves {
		if err := t.connect(ctx); err != nil {
			return forward.Result{}, err
		}
		r, err := t.submit(ctx, bs, from)
		if err != nil || r.Units > 0 {
			return r, err
		}
	}
	return forward.Result{}, errors.New("every server that was tried is about to stop (Shutdown)")
}

// submit sends units in the present session. It sends none if the server is about to stop, and
// ends a session whose server is.
func (t *transport) submit(ctx context.Context, bs []*forward.Batch, from int) (forward.Result, error) {
	defer t.session.endWith(ctx)()
	began := time.Now()
	r, err := t.write(bs, from, began.Add(longestUnacknowledged))
	if err == nil && r.Units > 0 {
		err = t.session.acknowledge()
	}
	if err != nil {
		t.drop(err)
		t.unconfirmed /= 2
		return forward.Result{}, err
	}
	if r.Units > 0 {
		now := time.Now()
		t.acknowledged.Store(now)
		t.backoff.reset()
		if now.Sub(began) < fastAcknowledged {
			t.unconfirmed = min(max(2*t.unconfirmed, forward.BatchSize), maxUnacknowledged)
		}
	}
	if t.session.leaving() {
		t.move()
	}
	return r, nil
}

// write writes units until the server sends Shutdown or, after the first one, until their bytes
// reach the limit or the time is after until. The result counts them as delivered.
func (t *transport) write(bs []*forward.Batch, from int, until time.Time) (forward.Result, error) {
	var r forward.Result
	for _, b := range bs {
		for i := from; i < len(b.Units); i++ {
			enough := r.Units > 0 && (r.Sent.Bytes >= uint64(t.unconfirmed) || time.Now().After(until))
			if enough || t.session.leaving() {
				return r, nil
			}
			var loss forward.Dropped
			if i == 0 {
				loss = b.Dropped
			}
			if err := t.session.writeContainer(t.config.Channel, b.Bytes(i), loss); err != nil {
				return r, err
			}
			r.Deliver(b, i, b.Units[i].End-b.Start(i))
		}
		from = 0
	}
	return r, nil
}

// Idle ends a session that has failed or whose server is about to stop, and opens another one
// when that is due.
func (t *transport) Idle(ctx context.Context) (time.Time, error) {
	switch {
	case t.session == nil:
	case t.session.err() != nil:
		t.drop(t.session.err())
	case t.session.leaving():
		t.move()
	}
	if time.Now().Before(t.backoff.ends) {
		return t.backoff.ends, t.failure
	}
	if err := t.connect(ctx); err != nil {
		return t.backoff.ends, err
	}
	return time.Now().Add(idleInterval), nil
}

// Close ends the session: every container that was sent is acknowledged, or Send returned an
// error.
func (t *transport) Close(ctx context.Context) error {
	if t.session != nil {
		defer t.session.endWith(ctx)()
		t.session.finish()
		t.session = nil
	}
	return nil
}

// Acknowledged returns when the server last acknowledged containers.
func (t *transport) Acknowledged() time.Time { return t.acknowledged.Load() }

// Expires returns when the client's certificate expires, the one in the file.
func (t *transport) Expires() time.Time { return t.expires.Load() }

// MayTake returns the longest time of a Send that waits for a server and its acknowledgement.
func (t *transport) MayTake([]*forward.Batch) time.Duration {
	limits := &t.dialer.timings
	return longest + (maxServers+1)*limits.connect + longestUnacknowledged + limits.write + limits.pong
}

// drop ends a session that failed.
func (t *transport) drop(failure error) {
	t.session.close()
	t.session, t.failure = nil, failure
	t.backoff.fail(time.Now())
}

// move ends a session whose server is about to stop. connect prefers another server.
func (t *transport) move() {
	t.log.Info("the server is about to stop (Shutdown): connecting to another one, if there is one", "server", t.server)
	t.session.finish()
	t.session, t.failure = nil, nil
	t.backoff.fail(time.Now())
}

// connect opens a session when that is due, unless there is one that works. It tries each server
// once.
func (t *transport) connect(ctx context.Context) error {
	if t.session != nil {
		err := t.session.err()
		if err == nil {
			t.noteExpiry()
			return nil
		}
		t.log.Warn("the connection ended: connecting again", "server", t.server, "error", err)
		t.drop(err)
	}
	if err := t.backoff.await(ctx, t.stop); err != nil {
		return err
	}
	t.failure = t.tryServers(ctx)
	if t.failure != nil {
		t.backoff.fail(time.Now())
	}
	return t.failure
}

func (t *transport) tryServers(ctx context.Context) error {
	a, err := t.access()
	if err != nil {
		return err
	}
	var failures []error
	for _, server := range t.servers(ctx) {
		s, err := t.dialer.open(ctx, server, a)
		if err == nil {
			t.session, t.server = s, server
			t.log.Info("connected", "server", server)
			return nil
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		failures = append(failures, fmt.Errorf("connecting to %s: %w", server, err))
	}
	return errors.Join(failures...)
}

// servers returns the servers that connect tries, in order.
func (t *transport) servers(ctx context.Context) []string {
	ctx, cancel := context.WithTimeout(ctx, t.dialer.timings.connect)
	defer cancel()
	return t.dialer.endpoint.servers(ctx, t.lookup, t.server)
}

// access reads the key and the TLS files again: they may have been replaced.
func (t *transport) access() (access, error) {
	key, err := t.config.APIKey.Read()
	if err != nil {
		return access{}, fmt.Errorf("api_key: %w", err)
	}
	t.key = key
	config, err := t.tlsConfig()
	return access{key: key, tls: config}, err
}

// noteExpiry reads the TLS files again if they were not read for long. An error is one of the next
// connection.
func (t *transport) noteExpiry() {
	if time.Since(t.looked) >= expiryInterval {
		t.tlsConfig()
	}
}

// tlsConfig reads the TLS files, and notes when the client's certificate expires.
func (t *transport) tlsConfig() (*tls.Config, error) {
	t.looked = time.Now()
	config, expires, err := t.config.TLS.Config(t.dialer.endpoint.host)
	if err != nil {
		return nil, err
	}
	t.expires.Store(expires)
	return config, nil
}

// logAlert logs an alert of the server, and returns its text.
func (t *transport) logAlert(a alert) string {
	text := printable(a.text, t.key)
	if !t.alertLimit.Allow() {
		t.unlogged++
		return text
	}
	t.log.Warn("the server reports a problem (alert)", "text", text, "level", a.level, "code", a.code, "unlogged", t.unlogged)
	t.unlogged = 0
	return text
}
