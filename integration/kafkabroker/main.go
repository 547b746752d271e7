// Kafkabroker is a cluster of fake Kafka brokers for tests, in one process: package kfake of
// franz-go, which is not Kafka. It shares no code with the sensor. Topics, logs and the offsets of
// groups are in a directory, so that a restarted cluster continues. It prints a line when it
// listens, and takes commands over HTTP: see control.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
)

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
	listen, advertise, topics, user, data, control string
	session                                        time.Duration
	verbose                                        bool
}

func run(ctx context.Context, args []string, stdout io.Writer) error {
	var o options
	flags := flag.NewFlagSet("kafkabroker", flag.ContinueOnError)
	flags.StringVar(&o.listen, "listen", "127.0.0.1:9092", "HOST:PORT[,HOST:PORT]: the address of each broker")
	flags.StringVar(&o.advertise, "advertise", "", "HOST:PORT[,HOST:PORT]: the address of each broker as clients get it; empty: as it listens")
	flags.StringVar(&o.topics, "topics", "", "NAME:PARTITIONS[,NAME:PARTITIONS]: topics that exist at the first start")
	flags.StringVar(&o.user, "user", "", "MECHANISM:NAME:PASSWORD of the only user of SASL; empty: no SASL")
	flags.StringVar(&o.data, "data", "", "directory that keeps everything for the next start; empty: none")
	flags.StringVar(&o.control, "control", "", "HOST:PORT of the commands; empty: none")
	flags.DurationVar(&o.session, "session", 0, "session timeout of members of groups, instead of what they ask for; 0: as they ask")
	flags.BoolVar(&o.verbose, "verbose", false, "print requests to standard error")
	if err := flags.Parse(args); err != nil {
		return err
	}
	return o.serve(ctx, stdout)
}

// serve serves until ctx ends.
func (o *options) serve(ctx context.Context, stdout io.Writer) error {
	config, err := o.config()
	if err != nil {
		return err
	}
	cluster, err := kfake.NewCluster(config...)
	if err != nil {
		return err
	}
	defer cluster.Close()
	if o.session > 0 {
		limitSessions(cluster, o.session)
	}
	if o.user != "" {
		answerWrongPasswords(cluster, o.user)
	}
	if o.control == "" {
		fmt.Fprintf(stdout, "listening %s\n", o.listen)
		<-ctx.Done()
		return nil
	}
	l, err := net.Listen("tcp", o.control)
	if err != nil {
		return err
	}
	fmt.Fprintf(stdout, "listening %s\n", o.listen)
	h := &http.Server{Handler: newControl(cluster, len(strings.Split(o.listen, ","))), ReadHeaderTimeout: 10 * time.Second}
	var serving sync.WaitGroup
	serving.Go(func() {
		<-ctx.Done()
		h.Close()
	})
	err = h.Serve(l)
	serving.Wait()
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return err
}

// config returns the options of the cluster.
func (o *options) config() ([]kfake.Opt, error) {
	listen, err := o.listeners()
	if err != nil {
		return nil, err
	}
	opts := []kfake.Opt{kfake.NumBrokers(len(strings.Split(o.listen, ","))), kfake.ListenFn(listen)}
	if o.verbose {
		opts = append(opts, kfake.WithLogger(kfake.BasicLogger(os.Stderr, kfake.LogLevelDebug)))
	}
	if o.session > 0 {
		opts = append(opts, kfake.GroupMinSessionTimeout(min(o.session, time.Second)))
	}
	if o.topics != "" {
		for topic := range strings.SplitSeq(o.topics, ",") {
			name, partitions, _ := strings.Cut(topic, ":")
			n, err := strconv.Atoi(partitions)
			if err != nil {
				return nil, fmt.Errorf("-topics: the partitions of %s: %w", name, err)
			}
			opts = append(opts, kfake.SeedTopics(int32(n), name))
		}
	}
	if o.user != "" {
		user := strings.SplitN(o.user, ":", 3)
		if len(user) != 3 {
			return nil, errors.New("-user needs MECHANISM:NAME:PASSWORD")
		}
		opts = append(opts, kfake.EnableSASL(), kfake.Superuser(user[0], user[1], user[2]))
	}
	if o.data != "" {
		// The directory also keeps users, but -user decides.
		if err := os.Remove(filepath.Join(o.data, "sasl.json")); err != nil && !errors.Is(err, os.ErrNotExist) {
			return nil, err
		}
		opts = append(opts, kfake.DataDir(o.data))
	}
	return opts, nil
}

// listeners returns the function with which the cluster listens: the first call is for the first
// broker.
func (o *options) listeners() (func(network, _ string) (net.Listener, error), error) {
	listen := strings.Split(o.listen, ",")
	advertise := listen
	if o.advertise != "" {
		advertise = strings.Split(o.advertise, ",")
	}
	if len(advertise) != len(listen) {
		return nil, fmt.Errorf("-advertise has %d addresses, and -listen %d", len(advertise), len(listen))
	}
	next := 0
	return func(network, _ string) (net.Listener, error) {
		i := next
		next++
		l, err := net.Listen(network, listen[i])
		if err != nil {
			return nil, err
		}
		return advertised{l, address(advertise[i])}, nil
	}, nil
}

// advertised is a listener that reports another address than its own, which the cluster passes on
// to clients: that of a relay.
type advertised struct {
	net.Listener
	at net.Addr
}

func (a advertised) Addr() net.Addr { return a.at }

// address is HOST:PORT, where HOST may be a name.
type address string

func (address) Network() string  { return "tcp" }
func (a address) String() string { return string(a) }
