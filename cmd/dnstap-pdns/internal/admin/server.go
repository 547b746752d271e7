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
	"golang.org/x/net/netutil"

	"github.com/dnstap-pdns/dnstap-pdns/collector"
	"github.com/dnstap-pdns/dnstap-pdns/conf"
)

const (
	maxConnections = 32
	maxHeader      = 16 << 10
	headerTime     = 5 * time.Second
	answerTime     = 30 * time.Second // profiles have what they ask for on top
	idleTime       = 5 * time.Second  // or those who say nothing would keep others out
	partingTime    = time.Second      // for answers under way, when the server ends
)

// A Server answers where a configuration says.
type Server struct {
	log     *slog.Logger
	handler http.Handler
	page    Page
	pprof   atomic.Bool

	config   conf.Admin   // in force; for Prepare and Adopt alone
	listener net.Listener // Run's own, once that has begun; nil: it answers nowhere
	changes  chan *Change
	ended    chan struct{} // closed when Run has returned
}

// A Page shows the sensor to people: at /, and below /page/ what belongs to it.
type Page interface {
	http.Handler
	Run(ctx context.Context) // keeps what is shown of time past, until ctx ends
	Adopt(c conf.Admin)      // puts a configuration in force; one caller at a time
}

// Options are what a Server shows beside its configuration.
type Options struct {
	Page     Page                 // never nil
	Selftest http.Handler         // of POST /selftest, which runs for half a minute
	Ready    func() bool          // whether the sensor does its work
	Registry *prometheus.Registry // of what /metrics answers; the view's metrics are added to it
	Log      *slog.Logger
}

// Listen returns a Server that holds its address; it answers once Run is called.
// Without an address it answers nowhere until a change gives it one.
func Listen(c conf.Admin, v *View, o Options) (*Server, error) {
	s := &Server{log: o.Log, page: o.Page, config: c, changes: make(chan *Change), ended: make(chan struct{})}
	s.handler = s.routes(v, o)
	s.pprof.Store(c.Pprof)
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

func listen(address string) (net.Listener, error) {
	if address == "" {
		return nil, nil
	}
	l, err := collector.ListenTCP(address)
	if err != nil {
		return nil, fmt.Errorf("admin: listening on %s: %w; if no other sensor runs here, name another address in admin.listen, or \"\" for none", address, cause(err))
	}
	return netutil.LimitListener(l, maxConnections), nil
}

// cause is the error without the address, which has been said.
func cause(err error) error {
	if op, ok := errors.AsType[*net.OpError](err); ok {
		return op.Err
	}
	return err
}

// Close releases the address of a Server that is not run.
func (s *Server) Close() error {
	if s.listener == nil {
		return nil
	}
	return s.listener.Close()
}

// Run answers until ctx ends, which is no error, or the listener fails for good.
func (s *Server) Run(ctx context.Context) error {
	defer close(s.ended)
	remembering, forget := context.WithCancel(ctx)
	var beside sync.WaitGroup
	beside.Go(func() { s.page.Run(remembering) })
	defer beside.Wait()
	defer forget()
	for {
		change, err := s.answer(ctx)
		if change == nil {
			return err
		}
		s.listener = change.listener
	}
}

// answer answers at one address, until there is another.
func (s *Server) answer(ctx context.Context) (*Change, error) {
	answering, cut := context.WithCancel(ctx)
	h := &http.Server{
		BaseContext: func(l net.Listener) context.Context {
			return context.WithValue(answering, listenKey{}, l.Addr().String())
		},
		Handler:           s.handler,
		ReadHeaderTimeout: headerTime,
		ReadTimeout:       headerTime,
		WriteTimeout:      answerTime,
		IdleTimeout:       idleTime,
		MaxHeaderBytes:    maxHeader,
		ErrorLog:          slog.NewLogLogger(s.log.Handler(), slog.LevelDebug), // which tells addresses
	}
	served := make(chan error, 1)
	if s.listener != nil {
		s.log.Info("status is shown", "address", s.listener.Addr().String())
		go func() { served <- h.Serve(s.listener) }()
		defer func() { <-served }()
		defer part(h)
	}
	defer cut() // what takes its time ends, before the others are waited for
	select {
	case <-ctx.Done():
		return nil, nil
	case err := <-served:
		served <- err
		return nil, fmt.Errorf("admin: answering on %s: %w", s.listener.Addr(), cause(err))
	case c := <-s.changes:
		return c, nil
	}
}

// part lets answers under way end, for a moment.
func part(h *http.Server) {
	ctx, cancel := context.WithTimeout(context.Background(), partingTime)
	defer cancel()
	if h.Shutdown(ctx) != nil {
		h.Close()
	}
}

// A Change is to another configuration. It ends in Adopt or Discard.
type Change struct {
	server   *Server
	config   conf.Admin
	listener net.Listener
	moves    bool // to another address, or from or to none
}

// Prepare takes what another configuration needs, while all goes on as it is. There
// is one change at a time.
func (s *Server) Prepare(to conf.Admin) (*Change, error) {
	c := &Change{server: s, config: to, moves: to.Listen != s.config.Listen}
	if !c.moves {
		return c, nil
	}
	var err error
	if c.listener, err = listen(to.Listen); err != nil && samePort(s.config.Listen, to.Listen) {
		err = fmt.Errorf("%w; if only %s, where the sensor itself listens, stands in the way, restart it", err, s.config.Listen)
	}
	return c, err
}

func samePort(a, b string) bool {
	return a[strings.LastIndexByte(a, ':')+1:] == b[strings.LastIndexByte(b, ':')+1:]
}

// Adopt makes the change, if the server still runs.
func (c *Change) Adopt() {
	c.server.pprof.Store(c.config.Pprof)
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

// Discard gives back what Prepare took.
func (c *Change) Discard() error {
	if c.listener == nil {
		return nil
	}
	return c.listener.Close()
}
