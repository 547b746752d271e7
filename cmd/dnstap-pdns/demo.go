package main

import (
	"bytes"
	"context"
	_ "embed"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"time"

	framestream "github.com/farsightsec/golang-framestream"

	dnstap "github.com/dnstap/golang-dnstap"

	"github.com/dnstap-pdns/dnstap-pdns/cmd/dnstap-pdns/internal/sensor"
	"github.com/dnstap-pdns/dnstap-pdns/conf"
	"github.com/dnstap-pdns/dnstap-pdns/forward"
	"github.com/dnstap-pdns/dnstap-pdns/forward/file"
	"github.com/dnstap-pdns/dnstap-pdns/transform"
)

// demoCapture is what an Unbound said over dnstap while clients asked it 60
// questions in a closed DNS world.
//
//go:embed demo.fstrm
var demoCapture []byte

// demoTimeout is far more than the demo takes.
const demoTimeout = 30 * time.Second

func demo(ctx context.Context, args []string, std stdio) error {
	if err := parseAlone(newFlags("demo", "", std), args); err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "dnstap-pdns-demo-")
	if err != nil {
		return fmt.Errorf("making a folder for the demo's socket and file (TMPDIR says where): %w", err)
	}
	defer os.RemoveAll(dir)
	config, err := demoConfig(dir)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, demoTimeout)
	defer cancel()
	var seen witness
	ledger, frames, err := runDemo(ctx, config, &seen)
	if err != nil {
		return err
	}
	return showDemo(std.out, config.Sinks[0].Target.Address, frames, &seen, ledger)
}

// demoConfig is the built-in configuration with its socket and its files in dir.
func demoConfig(dir string) (*conf.Config, error) {
	built, diags := conf.Default()
	if diags.HasErrors() {
		return nil, diags
	}
	c := built.Config
	c.Sources[0].Address = filepath.Join(dir, "dnstap.sock")
	c.Sinks[0].Target.Address = filepath.Join(dir, "demo.nmsg")
	c.Sinks[0].Transport = file.Config{}
	return &c, nil
}

// runDemo starts a sensor, plays the capture into its socket, and stops it.
func runDemo(ctx context.Context, c *conf.Config, seen *witness) (ledger forward.Ledger, frames int, err error) {
	s, err := sensor.New(c, sensor.Options{Log: slog.New(slog.DiscardHandler), Stdout: io.Discard})
	if err != nil {
		return ledger, 0, err
	}
	s.Trace(func(string) transform.Trace { return seen })
	running, stop := context.WithCancel(ctx)
	defer stop()
	done := make(chan error, 1)
	go func() { done <- s.Run(running, nil) }()
	frames, err = playCapture(ctx, c.Sources[0].Address)
	stop()
	err = errors.Join(err, <-done)
	return s.Ledger(), frames, err
}

// playCapture connects to the socket as a resolver does and says what the
// resolver said.
func playCapture(ctx context.Context, socket string) (frames int, err error) {
	var d net.Dialer
	conn, err := d.DialContext(ctx, "unix", socket)
	if err != nil {
		return 0, err
	}
	defer conn.Close()
	w, err := framestream.NewWriter(conn, &framestream.WriterOptions{
		ContentTypes:  [][]byte{dnstap.FSContentType},
		Bidirectional: true,
		Timeout:       demoTimeout,
	})
	if err != nil {
		return 0, fmt.Errorf("shaking hands with the sensor: %w", err)
	}
	r, err := framestream.NewReader(bytes.NewReader(demoCapture), &framestream.ReaderOptions{
		ContentTypes: [][]byte{dnstap.FSContentType},
	})
	if err != nil {
		return 0, fmt.Errorf("reading the built-in capture: %w", err)
	}
	frame := make([]byte, 1<<16)
	for {
		n, err := r.ReadFrame(frame)
		if errors.Is(err, io.EOF) {
			return frames, w.Close() // says STOP and waits for FINISH: all has been read then
		}
		if err != nil {
			return frames, fmt.Errorf("reading the built-in capture: %w", err)
		}
		if _, err := w.WriteFrame(frame[:n]); err != nil {
			return frames, fmt.Errorf("playing the capture: %w", err)
		}
		frames++
	}
}
