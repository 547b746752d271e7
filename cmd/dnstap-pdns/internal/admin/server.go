package admin

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/dnstap-pdns/dnstap-pdns/collector"
	"github.com/dnstap-pdns/dnstap-pdns/conf"
)

const (
	maxHeader    = 16 << 10
	headerTime   = 5 * time.Second
	responseTime = 30 * time.Second // pprof extends it by the duration of a profile
	idleTime     = 5 * time.Second
	shutdownTime = time.Second // for unfinished responses when the server ends
)

// A Server serves HTTP at the address of a configuration.
type Server struct {
	log     *slog.Logger
	handler http.Handler
	page    Page
	pprof   atomic.Bool
	names   atomic.Pointer[[]string] // host names that Host may contain

	config   conf.Admin   // in force; only Prepare and Adopt use it
	listener net.Listener // owned by Run once it has begun; nil: no address
	changes  chan *Change
	ended    chan struct{} // closed when Run has returned
}

// A Page serves the status page at /, and its files below /page/.
type Page interface {
	http.Handler
	Run(ctx context.Context) // records the history that the page shows, until ctx ends
	Adopt(c conf.Admin)      // puts a configuration in force; never called concurrently
}

// Options are the handlers and other dependencies of a Server.
type Options struct {
	Page     Page                 // never nil
	Selftest http.Handler         // of POST /selftest, which runs for half a minute
	Ready    func() error         // why the sensor cannot read and write; nil: it can
	Registry *prometheus.Registry // for /metrics; Listen adds the view's metrics
	Log      *slog.Logger
}

// Listen returns a Server that listens on its address, but serves nothing before Run is called.
// Without an address it serves nothing until a change sets one.
func Listen(c conf.Admin, v *View, o Options) (*Server, error) {
	s := &Server{log: o.Log, page: o.Page, config: c, changes: make(chan *Change), ended: make(chan struct{})}
	s.handler = s.routes(v, o)
	s.allow(c)
	err := o.Registry.Register(NewCollector(v))
	if err != nil {
		return nil, fmt.Errorf("admin: registering metrics: %w", err)
	}
	s.listener, err = listen(c.Listen)
	if err == nil {
		s.page.Adopt(c)
	}
	return s, err
}

// allow puts in force what clients may do.
func (s *Server) allow(c conf.Admin) {
	s.pprof.Store(c.Pprof)
	names := append([]string{strings.ToLower(hostname(c.Listen))}, c.HostNames...)
	s.names.Store(&names)
}

func listen(address string) (net.Listener, error) {
	if address == "" {
		return nil, nil
	}
	l, err := collector.ListenTCP(address)
	if err != nil {
		return nil, fmt.Errorf("admin: listening on %s: %w; if no other sensor runs here, name another address in admin.listen, or \"\" for none", address, cause(err))
	}
	return l, nil
}

// cause returns the error without the address, which the caller's message contains.
func cause(err error) error {
	if op, ok := errors.AsType[*net.OpError](err); ok {
		return op.Err
	}
	return err
}

// Close closes the listener of a Server on which Run was not called.
func (s *Server) Close() error {
	if s.listener == nil {
		return nil
	}
	return s.listener.Close()
}

// Run serves until ctx ends, and then returns nil, or until the listener fails permanently.
func (s *Server) Run(ctx context.Context) error {
	defer close(s.ended)
	pageContext, stopPage := context.WithCancel(ctx)
	var page sync.WaitGroup
	page.Go(func() { s.page.Run(pageContext) })
	defer page.Wait()
	defer stopPage()
	for {
		change, err := s.serve(ctx)
		if change == nil {
			return err
		}
		s.listener = change.listener
	}
}

// serve serves at one address until a change sets another, and returns that change. It returns
// nil, nil when ctx ends, and an error if the listener fails.
func (s *Server) serve(ctx context.Context) (*Change, error) {
	requests, cancelRequests := context.WithCancel(ctx)
	h := &http.Server{
		BaseContext: func(l net.Listener) context.Context {
			return context.WithValue(requests, listenKey{}, l.Addr().String())
		},
		Handler:           s.handler,
		ReadHeaderTimeout: headerTime,
		ReadTimeout:       headerTime,
		WriteTimeout:      responseTime,
		IdleTimeout:       idleTime,
		MaxHeaderBytes:    maxHeader,
		ErrorLog:          slog.NewLogLogger(s.log.Handler(), slog.LevelDebug), // its messages contain addresses
	}
	new(connLimit).limit(h)
	served := make(chan error, 1)
	if s.listener != nil {
		s.log.Info("serving status", "address", s.listener.Addr().String())
		go func() { served <- h.Serve(s.listener) }()
		defer func() { <-served }()
		defer shutdown(h)
	}
	defer cancelRequests() // ends selftests before shutdown waits for responses
	select {
	case <-ctx.Done():
		return nil, nil
	case err := <-served:
		served <- err
		return nil, fmt.Errorf("admin: serving on %s: %w", s.listener.Addr(), cause(err))
	case c := <-s.changes:
		return c, nil
	}
}

// shutdown waits up to shutdownTime for unfinished responses, and then closes their connections.
func shutdown(h *http.Server) {
	ctx, cancel := context.WithTimeout(context.Background(), shutdownTime)
	defer cancel()
	if h.Shutdown(ctx) != nil {
		h.Close()
	}
}

// A Change is a prepared change to another configuration. Adopt or Discard must be called before
// the next Prepare.
type Change struct {
	server   *Server
	config   conf.Admin
	listener net.Listener
	moves    bool // the address changes
}

// Prepare listens on the address of another configuration, if it differs, and changes nothing
// else.
func (s *Server) Prepare(to conf.Admin) (*Change, error) {
	c := &Change{server: s, config: to, moves: to.Listen != s.config.Listen}
	if !c.moves {
		return c, nil
	}
	var err error
	if c.listener, err = listen(to.Listen); err != nil && samePort(s.config.Listen, to.Listen) {
		err = fmt.Errorf("%w; if only the sensor's own address %s prevents it, restart the sensor", err, s.config.Listen)
	}
	return c, err
}

func samePort(a, b string) bool {
	return a[strings.LastIndexByte(a, ':')+1:] == b[strings.LastIndexByte(b, ':')+1:]
}

// Adopt puts the configuration in force. Its address is served only if Run has not returned.
func (c *Change) Adopt() {
	c.server.allow(c.config)
	c.server.page.Adopt(c.config)
	c.server.config = c.config
	if !c.moves {
		return
	}
	select {
	case c.server.changes <- c:
	case <-c.server.ended:
		c.Discard()
	}
}

// Discard closes the listener of a change that is not adopted.
func (c *Change) Discard() error {
	if c.listener == nil {
		return nil
	}
	return c.listener.Close()
}
