// Sieserver is a server of SIE submission for tests. It follows the description of the protocol
// with the websocket library that the reference uses, and shares no code with the sensor. It
// appends containers to a file, which any NMSG tool reads, and prints a line for each event:
// listening, open, container, finished and closed, with the number of the connection.
package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/signal"
	"sync"
	"syscall"
	"time"

	"golang.org/x/net/websocket"
)

const heartbeatInterval = 30 * time.Second

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// options are the command line.
type options struct {
	listen, cert, key, clientCA, apiKey, out string
	dropEvery                                int
}

func run(ctx context.Context, args []string, stdout io.Writer) error {
	var o options
	flags := flag.NewFlagSet("sieserver", flag.ContinueOnError)
	flags.StringVar(&o.listen, "listen", "127.0.0.1:0", "address")
	flags.StringVar(&o.cert, "cert", "", "PEM file of the certificate; empty: no TLS")
	flags.StringVar(&o.key, "key", "", "PEM file of its key")
	flags.StringVar(&o.clientCA, "client-ca", "", "PEM file of the CA of clients; empty: they need no certificate")
	flags.StringVar(&o.apiKey, "api-key", "", "X-API-Key of clients; empty: any")
	flags.StringVar(&o.out, "out", os.DevNull, "file to which containers are appended")
	flags.IntVar(&o.dropEvery, "drop-every", 0, "break a connection at each container with such a number, which is not stored")
	if err := flags.Parse(args); err != nil {
		return err
	}
	return o.serve(ctx, stdout)
}

// serve serves until ctx ends.
func (o *options) serve(ctx context.Context, stdout io.Writer) error {
	out, err := os.OpenFile(o.out, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	defer out.Close()
	l, err := o.open()
	if err != nil {
		return err
	}
	s := &server{options: o, out: out, stdout: stdout, open: map[*websocket.Conn]bool{}}
	h := &http.Server{Handler: websocket.Server{Handshake: s.handshake, Handler: s.take}, ReadHeaderTimeout: 10 * time.Second}
	s.print("listening %s", l.Addr())
	var serving sync.WaitGroup
	serving.Go(func() {
		<-ctx.Done()
		h.Close()
		s.closeAll()
	})
	err = h.Serve(l)
	serving.Wait()
	s.taking.Wait()
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return err
}

func (o *options) open() (net.Listener, error) {
	l, err := net.Listen("tcp", o.listen)
	if err != nil || o.cert == "" {
		return l, err
	}
	pair, err := tls.LoadX509KeyPair(o.cert, o.key)
	if err != nil {
		return nil, err
	}
	c := &tls.Config{MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{pair}}
	if o.clientCA != "" {
		text, err := os.ReadFile(o.clientCA)
		if err != nil {
			return nil, err
		}
		c.ClientAuth, c.ClientCAs = tls.RequireAndVerifyClientCert, x509.NewCertPool()
		c.ClientCAs.AppendCertsFromPEM(text)
	}
	return tls.NewListener(l, c), nil
}

// A server holds what connections share.
type server struct {
	*options
	taking sync.WaitGroup // connections

	mu         sync.Mutex
	out        io.Writer
	stdout     io.Writer
	open       map[*websocket.Conn]bool
	closed     bool
	conns      int
	containers int
}

func (s *server) print(format string, args ...any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	fmt.Fprintf(s.stdout, format+"\n", args...)
}

// handshake refuses clients without an Origin or with another key. The library answers 403.
func (s *server) handshake(c *websocket.Config, r *http.Request) error {
	var err error
	if c.Origin, err = websocket.Origin(c, r); err != nil || c.Origin == nil {
		return errors.New("no Origin")
	}
	if s.apiKey != "" && r.Header.Get("X-API-Key") != s.apiKey {
		return errors.New("wrong X-API-Key")
	}
	return nil
}

// begin registers a connection, and returns its number, from 1.
func (s *server) begin(ws *websocket.Conn) (number int, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return 0, false
	}
	s.taking.Add(1)
	s.open[ws] = true
	s.conns++
	return s.conns, true
}

func (s *server) end(ws *websocket.Conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.open, ws)
	s.taking.Done()
}

func (s *server) closeAll() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	for ws := range s.open {
		ws.Close()
	}
}

// store appends a container to the file, and reports whether the connection continues.
func (s *server) store(container []byte) (bool, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.containers++
	if s.dropEvery > 0 && s.containers%s.dropEvery == 0 {
		return false, nil
	}
	_, err := s.out.Write(container)
	return true, err
}
