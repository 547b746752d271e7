package main

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"time"

	"github.com/dnstap-pdns/dnstap-pdns/conf"
	"github.com/dnstap-pdns/dnstap-pdns/forward"
	"github.com/dnstap-pdns/dnstap-pdns/transform"
)

// readingTime is what reading has to end by itself when the command is to stop. It
// does not where it waits for room in a queue.
const readingTime = time.Second

// A replayer runs inputs, one after the other, through one lane.
type replayer struct {
	config *conf.Config
	inputs inputReader
	sinks  []forward.SinkConfig
	log    *slog.Logger
	out    io.Writer // where stdout: leads
	beside onlooker  // nil: nobody
}

// An onlooker sees what a replay reads, what becomes of it, and what leaves. It has no
// part in what is done.
type onlooker interface {
	forward.Observer
	Trace(source string) transform.Trace
	Frame(frame []byte)
}

// run returns the account of what was read, nil where nothing could be.
func (r *replayer) run(ctx context.Context, inputs []string) (*forward.Ledger, error) {
	policy, err := transform.NewPolicy(r.config.Policy)
	if err != nil {
		return nil, &usageError{err}
	}
	f := r.forwarder(ctx)
	if err := f.Apply(policy, r.sinks); err != nil {
		return nil, err
	}
	reading, stopReading := context.WithCancelCause(ctx)
	defer stopReading(nil)
	forwarding, stopForwarding := context.WithCancel(context.Background())
	defer stopForwarding()
	defer context.AfterFunc(ctx, func() { time.AfterFunc(r.timeLeft(), stopForwarding) })()
	forwarded := make(chan error, 1)
	go func() {
		err := f.Run(forwarding)
		stopReading(errNoSink) // with no sink left there is no use in reading on
		forwarded <- err
	}()
	lane := f.Lane("replay")
	whole, failure := r.inputs.readAll(reading, inputs, r.shown(sharedLane{lane}), func(source string) transform.Lane {
		return r.shown(f.Lane(source))
	})
	if ctx.Err() != nil && !whole {
		failure = errors.Join(failure, errStopped)
	}
	lane.Close()
	stopForwarding()
	err = errors.Join(failure, <-forwarded)
	ledger := f.Ledger()
	return &ledger, err
}

// timeLeft is what reading has when the command is to stop.
func (r *replayer) timeLeft() time.Duration {
	if r.inputs.piped.Load() {
		return lingerTime + readingTime
	}
	return readingTime
}

func (r *replayer) forwarder(ctx context.Context) *forward.Forwarder {
	options := []forward.Option{forward.WithStdout(r.out), forward.WithPatience(ctx)}
	if r.beside != nil {
		options = append(options, forward.WithObserver(r.beside))
	}
	f := forward.New(forward.Replay, transform.NewBudget(r.config.MaxQueries), r.log, options...)
	if r.beside != nil {
		f.Trace(r.beside.Trace)
	}
	return f
}

// A sharedLane outlives each of the inputs that use it.
type sharedLane struct{ transform.Lane }

func (sharedLane) Close() {}

// shown is a lane whose frames the onlooker sees.
func (r *replayer) shown(l transform.Lane) transform.Lane {
	if r.beside == nil {
		return l
	}
	return shownLane{l, r.beside}
}

type shownLane struct {
	transform.Lane
	to onlooker
}

func (l shownLane) Frame(frame []byte) { l.to.Frame(frame) }
