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
	"strings"
	"time"

	dnstap "github.com/dnstap/golang-dnstap"
	framestream "github.com/farsightsec/golang-framestream"

	"github.com/dnstap-pdns/dnstap-pdns/cmd/dnstap-pdns/internal/present"
	"github.com/dnstap-pdns/dnstap-pdns/cmd/dnstap-pdns/internal/sensor"
	"github.com/dnstap-pdns/dnstap-pdns/conf"
	"github.com/dnstap-pdns/dnstap-pdns/fallback/pcap/packet"
	"github.com/dnstap-pdns/dnstap-pdns/forward"
	"github.com/dnstap-pdns/dnstap-pdns/forward/file"
	"github.com/dnstap-pdns/dnstap-pdns/forward/nmsg"
	"github.com/dnstap-pdns/dnstap-pdns/transform"
)

// demoCapture is the dnstap output of an Unbound in a closed DNS world, to which clients
// sent 60 queries.
//
//go:embed demo.fstrm
var demoCapture []byte

// demoTimeout is far longer than the demo takes.
const demoTimeout = 30 * time.Second

var demoUsage = usage{
	name:     "demo",
	does:     "Runs the whole sensor on built-in input, without installation or configuration.",
	examples: []string{"dnstap-pdns demo | less"},
	exits:    []string{"done", "the sensor failed, or the output could not be written", "bad usage"},
}

func demo(ctx context.Context, args []string, std stdio) error {
	if err := newOptions(demoUsage, std).parse(args, 0); err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "dnstap-pdns-demo-")
	if err != nil {
		return fmt.Errorf("making a folder for the socket and the file of the demo (set TMPDIR to choose another place): %w", err)
	}
	defer os.RemoveAll(dir)
	config, err := demoConfig(dir)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, demoTimeout)
	defer cancel()
	var examples dropExamples
	ledger, frames, err := runDemo(ctx, config, &examples)
	if err != nil {
		return err
	}
	return showDemo(std.out, config.Sinks[0].Target.Address, frames, &examples, ledger)
}

// demoConfig returns the built-in configuration with its socket and files in dir.
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
func runDemo(ctx context.Context, c *conf.Config, examples *dropExamples) (ledger forward.Ledger, frames int, err error) {
	s, err := sensor.New(c, sensor.Options{Log: slog.New(slog.DiscardHandler), Stdout: io.Discard})
	if err != nil {
		return ledger, 0, err
	}
	s.Trace(func(string) transform.Trace { return examples })
	running, stop := context.WithCancel(ctx)
	defer stop()
	done := make(chan error, 1)
	go func() { done <- s.Run(running, nil) }()
	frames, err = playCapture(ctx, c.Sources[0].Address)
	stop()
	err = errors.Join(err, <-done)
	return s.Ledger(), frames, err
}

// playCapture connects to the socket like a resolver, and sends demoCapture.
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
		return 0, fmt.Errorf("performing the handshake with the sensor: %w", err)
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
			return frames, w.Close() // sends STOP and waits for FINISH, after which everything was read
		}
		if err != nil {
			return frames, fmt.Errorf("reading the built-in capture: %w", err)
		}
		if _, err := w.WriteFrame(frame[:n]); err != nil {
			return frames, fmt.Errorf("sending the capture: %w", err)
		}
		frames++
	}
}

// showDemo prints the records that left, how many messages did not and why, and the ledger.
func showDemo(w io.Writer, file string, frames int, examples *dropExamples, l forward.Ledger) error {
	fmt.Fprintf(w, "An Unbound sent %d messages over dnstap while clients sent it 60 queries.\n\n", frames)
	fmt.Fprintf(w, "WHAT LEFT (the NMSG file of the sensor, as dnstap-pdns cat prints it: %d whole records, and the first line of the others)\n\n", wholeRecords)
	if err := showFile(w, file); err != nil {
		return err
	}
	fmt.Fprintf(w, "\nWHAT DID NOT LEAVE, AND WHY\n\n")
	for _, r := range transform.Reasons() {
		if n := l.Total.Dropped[r]; n > 0 {
			fmt.Fprintf(w, "%s %d (%s)\n", r, n, r.Meaning())
			for _, example := range examples.byReason[r] {
				fmt.Fprintf(w, "    for example %s\n", example)
			}
		}
	}
	fmt.Fprint(w, ownNames)
	fmt.Fprintf(w, "\nTHE LEDGER (every message, every record)\n\n")
	printLedger(w, l)
	printCauses(w, causesOf(&l.Total, &packet.Stats{}))
	if l.Total.Read != uint64(frames) || l.Total.Read != l.Total.Sum() {
		return errors.New("the ledger does not add up")
	}
	return nil
}

// ownNames explains that the built-in configuration does not contain local names.
const ownNames = `
corp.example is the zone of this site, and some records above contain it. Only the operator knows that:
with scrub { local_names = ["corp.example"] } these records do not leave. To try this on a capture, use dnstap-pdns replay.
`

// wholeRecords is the number of records that are shown whole. Others show their first line.
const wholeRecords = 4

func showFile(w io.Writer, path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	p := present.Printer{Format: present.Text}
	r := nmsg.NewReader(f)
	for n := 0; ; n++ {
		m, err := r.Next()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return fmt.Errorf("reading the file of the sensor: %w", err)
		}
		var out strings.Builder
		if err := p.Print(&out, m); err != nil {
			return err
		}
		text := out.String()
		if n >= wholeRecords {
			text, _, _ = strings.Cut(text, "\n")
			text += "\n"
		}
		if _, err := io.WriteString(w, text); err != nil {
			return err
		}
	}
}
