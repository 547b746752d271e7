// Dnstap-pdns is a passive DNS sensor: it reads what a recursive resolver and
// authoritative servers say to each other, takes out what concerns the
// organisation, and sends the rest on as NMSG.
//
// This package is where people are met: commands, flags, exit codes, signals and
// what is printed. What a sensor does is elsewhere.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"
)

// Exit codes.
const (
	exitDone   = 0
	exitFailed = 1 // at run time
	exitUsage  = 2 // bad usage or configuration
	exitCanary = 3 // what must not leave was found in what would
)

const usage = `dnstap-pdns is a passive DNS sensor: dnstap or packets in, scrubbed outward-only records out as NMSG.

  dnstap-pdns demo                        the whole sensor on built-in input, nothing to install or configure
  dnstap-pdns run [-c FILE]               the sensor
  dnstap-pdns check [-c FILE]             validate the configuration and print what it means
  dnstap-pdns replay [-c FILE] [--to URL] [--message TYPE] [--resolvers LIST] INPUT...
                                          the same over dnstap and packet files (.fstrm, .pcap, .pcapng, compressed
                                          or not; - is standard input)
  dnstap-pdns explain [-c FILE] [--canary TEXT]... [--census [--examples]] [--hex] [--json] [--resolvers LIST] [--for DURATION]
                      INPUT...
                                          what would leave of such files, or of what a resolver sends to unix:///PATH or
                                          tcp://HOST:PORT, what would not, and why; status 3 if a canary would; --census counts
                                          the names that would leave and may identify a person
  dnstap-pdns cat [--json|--text] INPUT...
                                          print NMSG files (- is standard input), or what arrives on udp://ADDR
  dnstap-pdns status [-c FILE] [ADDR]     the running sensor's ledger, and what to do where something is wrong
  dnstap-pdns selftest [-c FILE] [--resolver ADDR] [--zone ZONE] [--decoy ZONE]
                                          ask the resolver for a public name and a local decoy, and have the running
                                          sensor prove that the first left and the second was seen and dropped
  dnstap-pdns init [-c FILE] [--force] [--resolvers LIST] [RESOLVER]
                                          write a configuration for unbound, bind, pdns or knot, and print what else
                                          there is to do
  dnstap-pdns version

Without -c: ` + defaultConfig + ` if it is there, else the built-in configuration.
`

// A command gets its arguments and what it may talk to.
type command struct {
	run func(ctx context.Context, args []string, std stdio) error

	// A command that stops has things to finish when a signal ends ctx, or when whoever
	// reads its output goes away. The others just die of it.
	stops bool
}

type stdio struct {
	in       *os.File
	out, err io.Writer
	secrets  *secrets // what err must not show
}

var commands = map[string]command{
	"demo":     {demo, true},
	"run":      {run, true},
	"check":    {check, false},
	"replay":   {replay, true},
	"explain":  {explainWhatLeaves, true},
	"cat":      {cat, false},
	"status":   {status, false},
	"selftest": {proveFarEnd, false},
	"init":     {initialise, false},
	"version":  {version, false},
}

func main() {
	os.Exit(realMain(os.Args[1:], stdio{in: os.Stdin, out: os.Stdout, err: os.Stderr}))
}

// realMain runs one command and returns its exit code.
func realMain(args []string, std stdio) int {
	std.err = plainWriter{std.err}
	std.secrets = new(secrets)
	if len(args) == 0 {
		fmt.Fprint(std.err, usage)
		return exitUsage
	}
	name := args[0]
	if name == "help" || name == "-h" || name == "-help" || name == "--help" {
		fmt.Fprint(std.out, usage)
		return exitDone
	}
	c, ok := commands[name]
	if !ok {
		fmt.Fprintf(std.err, "dnstap-pdns: there is no command %q; dnstap-pdns help lists them\n", name)
		return exitUsage
	}
	return exitCode(name, c.start(args[1:], std), std)
}

func (c command) start(args []string, std stdio) error {
	ctx := context.Background()
	if c.stops {
		var stop context.CancelFunc
		ctx, stop = signal.NotifyContext(ctx, syscall.SIGTERM, os.Interrupt)
		defer stop()
		context.AfterFunc(ctx, stop) // the second signal kills
		// A reader that goes away is a failed write: the ledger is still owed. Ignored,
		// the signal would be so in every program that on_rotate starts.
		signal.Notify(make(chan os.Signal, 1), syscall.SIGPIPE)
	}
	return c.run(ctx, args, std)
}

// exitCode says what went wrong, and what that means for whoever called.
func exitCode(name string, err error, std stdio) int {
	var bad *usageError
	switch {
	case err == nil, errors.Is(err, flag.ErrHelp):
		return exitDone
	case errors.As(err, &bad):
		if bad.error != nil {
			fmt.Fprintf(std.err, "dnstap-pdns %s: %s\n", name, std.secrets.mask(bad.error.Error()))
		}
		return exitUsage
	}
	fmt.Fprintf(std.err, "dnstap-pdns %s: %s\n", name, std.secrets.mask(err.Error()))
	if errors.Is(err, errCanary) {
		return exitCanary
	}
	return exitFailed
}

// A usageError is the caller's to mend: bad arguments or a bad configuration. It
// is nil inside where everything has been said already.
type usageError struct{ error }

func (e *usageError) Unwrap() error { return e.error }

func (e *usageError) Error() string {
	if e.error == nil {
		return "bad usage"
	}
	return e.error.Error()
}

// newFlags returns a flag set that prints how the command is called.
func newFlags(name, arguments string, std stdio) *flag.FlagSet {
	fs := flag.NewFlagSet(name, flag.ContinueOnError)
	fs.SetOutput(std.err)
	fs.Usage = func() {
		fmt.Fprintln(std.err, strings.TrimSpace("usage: dnstap-pdns "+name+" "+arguments))
		fs.PrintDefaults()
	}
	return fs
}

// parse parses flags; what is wrong with them has been printed when it returns.
func parse(fs *flag.FlagSet, args []string) error {
	err := fs.Parse(args)
	if err != nil && !errors.Is(err, flag.ErrHelp) {
		return &usageError{}
	}
	return err
}

// parseAlone is for commands that take flags only.
func parseAlone(fs *flag.FlagSet, args []string) error {
	if err := parse(fs, args); err != nil {
		return err
	}
	if fs.NArg() > 0 {
		return &usageError{fmt.Errorf("takes no argument, but got %q", fs.Arg(0))}
	}
	return nil
}

// isGiven reports whether a flag stands on the command line, with whatever value.
func isGiven(fs *flag.FlagSet, name string) (given bool) {
	fs.Visit(func(f *flag.Flag) { given = given || f.Name == name })
	return given
}
