package fstrm

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	dnstap "github.com/dnstap/golang-dnstap"
	framestream "github.com/farsightsec/golang-framestream"
	"google.golang.org/protobuf/proto"
	"pgregory.net/rapid"

	"github.com/dnstap-pdns/dnstap-pdns/conf/certs"
	"github.com/dnstap-pdns/dnstap-pdns/conf/certs/certstest"
	"github.com/dnstap-pdns/dnstap-pdns/forward"
	"github.com/dnstap-pdns/dnstap-pdns/forward/forwardtest"
)

func sinkTo(target forward.Target, c forward.TransportConfig) forward.SinkConfig {
	s := forwardtest.Sink("tap", target, c)
	s.Format = Format{}
	return s
}

// nameIn returns the query name of a Dnstap.
func nameIn(frame []byte) (string, error) {
	var d dnstap.Dnstap
	if err := proto.Unmarshal(frame, &d); err != nil {
		return "", err
	}
	response := d.GetMessage().GetResponseMessage()
	if len(response) < 12 {
		return "", fmt.Errorf("a response of %d octets", len(response))
	}
	name, _, _ := bytes.Cut(response[12:], []byte{0})
	return string(name), nil
}

// names returns the query names of the whole frames in b.
func names(t rapid.TB, b []byte) (all []string) {
	t.Helper()
	r := bytes.NewReader(b)
	for {
		frame, err := readFrame(r, nil)
		if err != nil {
			return all
		}
		name, err := nameIn(frame)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, name)
	}
}

// TestConnectionsThatEndLoseAndDoubleNothing ends each connection after a number of bytes. A pipe
// has no buffer, so that the peer reads exactly what the sink counts as delivered.
func TestConnectionsThatEndLoseAndDoubleNothing(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		const records = 500
		limits := rapid.SliceOfN(rapid.IntRange(0, 10_000), 0, 8).Draw(rt, "bytes of each connection")
		var mu sync.Mutex
		var got []string
		synctest.Test(t, func(t *testing.T) {
			var scripts []func(*peer)
			note := func(p *peer) {
				mu.Lock()
				defer mu.Unlock()
				got = append(got, names(t, p.got)...)
			}
			for _, n := range limits {
				scripts = append(scripts, func(p *peer) {
					p.shake()
					p.take(n)
					note(p)
				})
			}
			scripts = append(scripts, func(p *peer) {
				p.shake()
				if err := p.takeAll(); err != nil {
					t.Error(err)
				}
				note(p)
				p.send(framestream.CONTROL_FINISH)
			})
			made := forwardtest.TransportFunc(func(*forward.SinkConfig, forward.Env) (forward.Transport, error) {
				return scripted(t, scripts...), nil
			})
			f := forwardtest.New(t, forward.Live, io.Discard, sinkTo(forward.Target{Scheme: forward.Unix, Address: "/x"}, made))
			if err := forwardtest.Run(f, func(l *forward.Lane) {
				for i := range 10 {
					forwardtest.Burst(t, l, i*records/10, records/10, 100)
					time.Sleep(time.Second)
				}
				time.Sleep(10 * time.Minute)
			}); err != nil {
				t.Error(err)
			}
			if s := forwardtest.CheckLedger(t, f); s.Delivered != records {
				t.Errorf("%+v", s)
			}
		})
		if len(got) != records {
			rt.Errorf("the peers read %d records, want %d", len(got), records)
		}
		forwardtest.CheckUnique(t, got)
	})
}

// A receiver is the library's receiver at a real socket.
type receiver struct {
	net.Listener
	done chan struct{}

	mu    sync.Mutex
	names []string
	err   error
}

func receive(t *testing.T, l net.Listener) *receiver {
	r := &receiver{Listener: l, done: make(chan struct{})}
	t.Cleanup(func() {
		l.Close()
		<-r.done
	})
	go r.run()
	return r
}

func (r *receiver) run() {
	defer close(r.done)
	for {
		c, err := r.Accept()
		if err != nil {
			return
		}
		err = r.read(c)
		c.Close()
		r.mu.Lock()
		r.err = errors.Join(r.err, err)
		r.mu.Unlock()
	}
}

func (r *receiver) read(c net.Conn) error {
	in, err := framestream.NewReader(c, &framestream.ReaderOptions{ContentTypes: [][]byte{dnstap.FSContentType}, Bidirectional: true})
	if err != nil {
		return err
	}
	b := make([]byte, maxFrame)
	for {
		n, err := in.ReadFrame(b)
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		name, err := nameIn(b[:n])
		if err != nil {
			return err
		}
		r.mu.Lock()
		r.names = append(r.names, name)
		r.mu.Unlock()
	}
}

// result returns what the receiver has read, after all connections have ended.
func (r *receiver) result() ([]string, error) {
	r.Close()
	<-r.done
	return r.names, r.err
}

func TestRecordsReachTheLibrarysReceiver(t *testing.T) {
	ca := certstest.NewCA(t, "CA")
	server := ca.Issue(t, "server", func(c *x509.Certificate) { c.IPAddresses = []net.IP{net.IPv4(127, 0, 0, 1)} })
	client := ca.Issue(t, "client", nil)
	listeners := map[string]func() (net.Listener, forward.Target, Config){
		"unix": func() (net.Listener, forward.Target, Config) {
			path := filepath.Join(t.TempDir(), "s")
			l, err := net.Listen("unix", path)
			if err != nil {
				t.Fatal(err)
			}
			return l, forward.Target{Scheme: forward.Unix, Address: path}, Config{}
		},
		"tcp": func() (net.Listener, forward.Target, Config) {
			l, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			return l, forward.Target{Scheme: forward.TCP, Address: l.Addr().String()}, Config{}
		},
		"tls": func() (net.Listener, forward.Target, Config) {
			files, err := certs.Load(certs.Files{Cert: string(server.Cert), Key: string(server.Key), ClientCA: string(ca.PEM)}, slog.New(slog.DiscardHandler))
			if err != nil {
				t.Fatal(err)
			}
			l, err := tls.Listen("tcp", "127.0.0.1:0", files.CurrentConfig())
			if err != nil {
				t.Fatal(err)
			}
			return l, forward.Target{Scheme: forward.TCP, Address: l.Addr().String()},
				Config{TLS: true, Files: certs.ClientFiles{CA: string(ca.PEM), Cert: string(client.Cert), Key: string(client.Key)}}
		},
	}
	for name, listen := range listeners {
		t.Run(name, func(t *testing.T) {
			l, target, c := listen()
			r := receive(t, l)
			const records = 5000
			f := forwardtest.New(t, forward.Live, io.Discard, sinkTo(target, c))
			if err := forwardtest.Run(f, func(l *forward.Lane) { forwardtest.Burst(t, l, 0, records, 100) }); err != nil {
				t.Error(err)
			}
			got, err := r.result()
			if err != nil || len(got) != records {
				t.Errorf("%d records were received, %v", len(got), err)
			}
			forwardtest.CheckUnique(t, got)
			if s := forwardtest.CheckLedger(t, f); s.Delivered != records || s.Sent.Containers != records {
				t.Errorf("%+v", s)
			}
		})
	}
}

// TestAPeerThatEndsWithoutFinishIsAnErrorAtTheStop uses the whole sink.
func TestAPeerThatEndsWithoutFinishIsAnErrorAtTheStop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		made := forwardtest.TransportFunc(func(*forward.SinkConfig, forward.Env) (forward.Transport, error) {
			return scripted(t, func(p *peer) {
				p.shake()
				p.takeAll()
			}), nil
		})
		f := forwardtest.New(t, forward.Live, io.Discard, sinkTo(forward.Target{Scheme: forward.Unix, Address: "/x"}, made))
		err := forwardtest.Run(f, func(l *forward.Lane) { forwardtest.Burst(t, l, 0, 10, 100) })
		want := `sink "tap": ending the stream to unix:///run/peer.sock: no FINISH: the peer may not have read all records`
		if err == nil || err.Error() != want {
			t.Errorf("%v, want %s", err, want)
		}
		if s := forwardtest.CheckLedger(t, f); s.Delivered != 10 {
			t.Errorf("%+v", s)
		}
	})
}

// TestTheLedgerShowsAPeerThatDoesNotRead stalls one connection; the next one works.
func TestTheLedgerShowsAPeerThatDoesNotRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		made := forwardtest.TransportFunc(func(*forward.SinkConfig, forward.Env) (forward.Transport, error) {
			return scripted(t, func(p *peer) {
				p.shake()
				p.stuck(t)
			}, func(p *peer) {
				p.shake()
				p.takeAll()
				p.send(framestream.CONTROL_FINISH)
			}), nil
		})
		f := forwardtest.New(t, forward.Live, io.Discard, sinkTo(forward.Target{Scheme: forward.Unix, Address: "/x"}, made))
		if err := forwardtest.Run(f, func(l *forward.Lane) {
			forwardtest.Burst(t, l, 0, 10, 100)
			time.Sleep(writeTime + time.Second) // within the pause before the next try
			s := f.Ledger().Sinks[0]
			if !strings.HasPrefix(s.Error, "sending to unix:///run/peer.sock: the peer took 0 of ") || s.Queued != 10 {
				t.Errorf("while the peer does not read: %+v", s)
			}
			time.Sleep(time.Minute)
		}); err != nil {
			t.Error(err)
		}
		if s := forwardtest.CheckLedger(t, f); s.Delivered != 10 || s.Error != "" {
			t.Errorf("in the end: %+v", s)
		}
	})
}

// TestAResetConnectionIsReplaced resets a connection of the kernel after its handshake.
func TestAResetConnectionIsReplaced(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	reset := make(chan error, 1)
	go func() {
		c, err := l.Accept()
		if err != nil {
			reset <- err
			return
		}
		err = (&peer{Conn: c}).shake()
		reset <- errors.Join(err, c.(*net.TCPConn).SetLinger(0), c.Close())
	}()
	c := sinkTo(forward.Target{Scheme: forward.TCP, Address: l.Addr().String()}, nil)
	f, err := Config{}.New(&c, forward.Env{})
	if err != nil {
		t.Fatal(err)
	}
	ctx := t.Context()
	if err := errors.Join(f.Open(ctx), <-reset); err != nil {
		t.Fatal(err)
	}
	bs := []*forward.Batch{batch(t, 100)}
	for err == nil { // the kernel takes frames until the reset arrives
		_, err = f.Send(ctx, bs, 0)
	}
	r := receive(t, l)
	if result, err := f.Send(ctx, bs, 40); err != nil || result.Delivered != 60 {
		t.Errorf("%+v, %v", result, err)
	}
	if err := f.Close(ctx); err != nil {
		t.Error(err)
	}
	if got, err := r.result(); err != nil || len(got) != 60 {
		t.Errorf("%d records were received, %v", len(got), err)
	}
}

func TestFaultsOfTLS(t *testing.T) {
	ca, other := certstest.NewCA(t, "CA"), certstest.NewCA(t, "other")
	server := ca.Issue(t, "server", func(c *x509.Certificate) { c.IPAddresses = []net.IP{net.IPv4(127, 0, 0, 1)} })
	pair, err := tls.X509KeyPair(server.Cert, server.Key)
	if err != nil {
		t.Fatal(err)
	}
	secured := &tls.Config{Certificates: []tls.Certificate{pair}}
	for name, tt := range map[string]struct {
		config *tls.Config // of the server; nil: without TLS
		files  certs.ClientFiles
		want   string
	}{
		"no file":    {secured, certs.ClientFiles{CA: "/nonexistent"}, "TLS ca: open /nonexistent: no such file or directory"},
		"another CA": {secured, certs.ClientFiles{CA: string(other.PEM)}, "TLS handshake: tls: failed to verify certificate: x509: certificate signed by unknown authority"},
		"no TLS":     {nil, certs.ClientFiles{}, "TLS handshake: "},
	} {
		t.Run(name, func(t *testing.T) {
			l, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			if tt.config != nil {
				l = tls.NewListener(l, tt.config)
			}
			receive(t, l)
			c := sinkTo(forward.Target{Scheme: forward.TCP, Address: l.Addr().String()}, nil)
			f, err := Config{TLS: true, Files: tt.files}.New(&c, forward.Env{})
			if err != nil {
				t.Fatal(err)
			}
			err = f.Open(context.Background())
			if want := "connecting to " + c.Target.String() + ": " + tt.want; err == nil || !strings.HasPrefix(err.Error(), want) {
				t.Errorf("%v, want %s", err, want)
			}
		})
	}
}

func TestExpiresIsThatOfTheClientsCertificate(t *testing.T) {
	ca := certstest.NewCA(t, "CA")
	server := ca.Issue(t, "server", func(c *x509.Certificate) { c.IPAddresses = []net.IP{net.IPv4(127, 0, 0, 1)} })
	client := ca.Issue(t, "client", nil)
	pair, err := tls.X509KeyPair(server.Cert, server.Key)
	if err != nil {
		t.Fatal(err)
	}
	l, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: []tls.Certificate{pair}})
	if err != nil {
		t.Fatal(err)
	}
	receive(t, l)
	c := sinkTo(forward.Target{Scheme: forward.TCP, Address: l.Addr().String()}, nil)
	files := certs.ClientFiles{CA: string(ca.PEM), Cert: string(client.Cert), Key: string(client.Key)}
	f, err := newTransport(Config{TLS: true, Files: files}, &c)
	if err != nil {
		t.Fatal(err)
	}
	if got := f.Expires(); !got.IsZero() {
		t.Errorf("%v before the first connection", got)
	}
	if err := errors.Join(f.Open(t.Context()), f.Close(t.Context())); err != nil {
		t.Fatal(err)
	}
	if got, want := f.Expires(), time.Date(2100, 1, 1, 0, 0, 0, 0, time.UTC); !got.Equal(want) {
		t.Errorf("%v, want %v", got, want)
	}
}
