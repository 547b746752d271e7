// Package spool keeps the containers of a sink on disk while its peer is away, slow, or the
// sensor is stopped, and sends them in order when the peer is there again. It wraps a
// transport whose peer acknowledges.
//
// While the spool is empty and the peer acknowledges, containers are sent from memory. When
// the peer fails, the queue is half full or the sink stops, those that are not acknowledged
// are appended to the spool, and so are all that follow, until the spool is empty again.
// Every container in the spool is sent at least once and identical to the octet, unless a
// limit drops it; what was acknowledged before a crash is not sent again.
//
// A spool is a folder with segments, which are plain NMSG files, and an index, which records
// what was acknowledged. The sink's goroutine only appends: another one sends, and a third
// one syncs.
//
// The package does not know how the transport reaches its peer, or what a record contains.
package spool

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/dnstap-pdns/dnstap-pdns/forward"
)

// MinBytes is the smallest limit of a spool's size.
const MinBytes = 1 << 20

// Config is the configuration of a spool and of the transport that it wraps.
type Config struct {
	Dir       string        // each sink has a folder of its own in it
	MaxBytes  int64         // size of the sink's files at most; above it, the oldest eighth is dropped
	MaxAge    time.Duration // after which containers are dropped, some up to an eighth later; 0: no limit
	Transport forward.TransportConfig
}

// New returns a transport with a spool. In Replay, which ends when its records are sent or
// lost, there is no spool.
func (c Config) New(s *forward.SinkConfig, env forward.Env) (forward.Transport, error) {
	if env.Mode == forward.Replay {
		return c.Transport.New(s, env)
	}
	return newTransport(c, s, env)
}

func newTransport(c Config, s *forward.SinkConfig, env forward.Env) (*transport, error) {
	if !filepath.IsAbs(c.Dir) || c.MaxBytes < MinBytes {
		return nil, fmt.Errorf("a spool needs the absolute path of a folder and at least %d bytes", MinBytes)
	}
	dir, err := c.folder(s)
	if err != nil {
		return nil, err
	}
	t := &transport{
		dir:      dir,
		log:      env.Log,
		env:      env,
		disk:     realDisk{},
		clock:    bootClock(),
		limits:   limits{c.MaxBytes, c.MaxAge},
		account:  newAccount(env.Settle),
		progress: make(chan struct{}, 1),
		wake:     make(chan struct{}, 1),
		closing:  make(chan struct{}),
	}
	env.Stop, env.HalfFull = t.closing, nil
	t.inner, err = c.Transport.New(s, env)
	return t, err
}

// A transport sends from memory or from its store. Send, Idle, Open and Close run in the
// sink's goroutine, and the inner transport in that of the shipper.
type transport struct {
	dir    string
	log    *slog.Logger
	env    forward.Env
	inner  forward.Transport
	disk   disk
	clock  clock
	limits limits

	lock     *os.File // the folder's; nil: Open has not succeeded yet
	shipping sync.WaitGroup
	cancel   context.CancelFunc // ends the calls of the inner transport
	progress chan struct{}      // a load was acknowledged, or the peer fails
	wake     chan struct{}      // there is something to send
	closing  chan struct{}      // closed when the shipper has to end

	mu      sync.Mutex // of what follows; it is held during writes to disk, but not while the shipper sends or syncs
	store   *store
	account account
	load    load  // the shipper owns its batches while it sends
	peer    error // why the peer gets nothing; nil: it does, or was not tried
	full    bool  // the latest append failed

	stateMu sync.Mutex
	state   forward.SpoolState
}

// Open locks the folder, reads what an earlier run left, and starts to send it, once. Later
// calls do nothing: the shipper opens the inner transport.
func (t *transport) Open(ctx context.Context) error {
	if t.lock != nil {
		return nil
	}
	if err := t.openStore(ctx); err != nil {
		return err
	}
	t.store.finisher.start()
	var background context.Context
	background, t.cancel = context.WithCancel(context.Background())
	t.shipping.Go(func() { t.ship(background) })
	return nil
}

func (t *transport) openStore(ctx context.Context) error {
	lock, err := openFolder(t.dir)
	if err != nil {
		return err
	}
	s := &store{
		dir:      t.dir,
		disk:     t.disk,
		log:      t.log,
		clock:    t.clock,
		limits:   t.limits,
		finisher: newFinisher(t.dir, t.disk, t.log, t.env.Doubt),
		lose: func(records uint64, why forward.Loss) {
			t.account.move(records, forward.Outcome{Lost: true, Why: why})
		},
	}
	if err := s.recover(ctx); err != nil {
		lock.Close()
		return err
	}
	t.lock, t.store = lock, s
	if found := s.index.total().Records; found > 0 {
		t.log.Info("the spool has records of an earlier run", "records", found)
		t.env.Resume(found)
		t.account.counted += found
	}
	t.publish()
	return nil
}

// idleTime is the interval at which the limits of a spool are applied, and failures of the
// peer are noted, while there is nothing to send.
const idleTime = time.Second

// Idle applies the limits, and returns why the peer gets nothing.
func (t *transport) Idle(context.Context) (time.Time, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.account.begin()
	t.store.limit(0)
	if t.load.phase != direct { // its acknowledgement updates the index
		t.store.updateIndex()
	}
	t.publish()
	return time.Now().Add(idleTime), t.peer
}

// Confirm syncs the spool. What Send took is acknowledged or in the spool; there it stays in the
// state spooled, which survives a crash.
func (t *transport) Confirm(context.Context) error {
	t.mu.Lock()
	t.account.begin()
	if t.load.phase != direct { // its acknowledgement updates the index
		t.store.updateIndex()
	}
	t.mu.Unlock()
	if err := t.store.finisher.sync(); err != nil {
		return fmt.Errorf("syncing the spool: %w", err)
	}
	return nil
}

// closeTime is how long Close waits for acknowledgements, so that a restart repeats nothing.
const closeTime = time.Second

// Close waits for the acknowledgement of what is being sent, for a short time, and leaves the
// rest in the spool.
func (t *transport) Close(ctx context.Context) error {
	if t.lock == nil {
		return t.inner.Close(ctx)
	}
	t.mu.Lock()
	t.account.begin()
	t.mu.Unlock()
	close(t.closing)
	stopWaiting := time.AfterFunc(closeTime, t.cancel)
	defer stopWaiting.Stop()
	defer context.AfterFunc(ctx, t.cancel)()
	t.shipping.Wait()
	t.cancel()
	err := t.inner.Close(ctx)

	t.mu.Lock()
	defer t.mu.Unlock()
	err = errors.Join(err, t.store.close())
	t.publish()
	return errors.Join(err, t.lock.Close())
}

// publish makes the present state visible to Spool.
func (t *transport) publish() {
	state := t.store.state()
	state.Full = t.full
	t.stateMu.Lock()
	defer t.stateMu.Unlock()
	t.state = state
}

// Spool returns the state of the spool.
func (t *transport) Spool() forward.SpoolState {
	t.stateMu.Lock()
	defer t.stateMu.Unlock()
	return t.state
}

// Acknowledged returns when the peer acknowledged last.
func (t *transport) Acknowledged() time.Time {
	if a, ok := t.inner.(forward.Acknowledger); ok {
		return a.Acknowledged()
	}
	return time.Time{}
}

// Expires returns when the certificate of the inner transport expires.
func (t *transport) Expires() time.Time {
	if e, ok := t.inner.(forward.Expirer); ok {
		return e.Expires()
	}
	return time.Time{}
}

// Buffered returns the volume that waits for an acknowledgement in the inner transport.
func (t *transport) Buffered() *forward.Buffered {
	if b, ok := t.inner.(forward.Bufferer); ok {
		return b.Buffered()
	}
	return nil
}
