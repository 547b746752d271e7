// Dnstap-pdns is a passive DNS sensor: it reads the messages between a recursive resolver and
// authoritative servers, removes what concerns the organisation, and sends the rest as NMSG.
//
// This package is the user interface: commands, flags, exit codes, signals and output. It does
// not know how a sensor works.
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
	exitCanary = 3 // explain found in its output what must not leave
)

const usage = `dnstap-pdns is a passive DNS sensor: dnstap or packets in, scrubbed outward-only records out as NMSG.

  dnstap-pdns demo                        run the whole sensor on built-in input, without installation or configuration
  dnstap-pdns run [-c FILE]               run the sensor
  dnstap-pdns check [-c FILE]             validate the configuration and print it with all defaults
  dnstap-pdns replay [-c FILE] [--to URL] [--message TYPE] [--resolvers LIST] INPUT...
                                          run the sensor on dnstap and packet files (.fstrm, .pcap, .pcapng, compressed
                                          or not; - is standard input)
  dnstap-pdns explain [-c FILE] [--canary TEXT]... [--census [--examples]] [--hex] [--json] [--resolvers LIST] [--for DURATION]
                      INPUT...
                                          show what would leave from such files, or from a resolver that sends to
                                          unix:///PATH or tcp://HOST:PORT, what would not, and why; exit status 3 if a
                                          canary would leave; --census counts the names that would leave and may
                                          identify a person
  dnstap-pdns cat [--json|--text] INPUT...
                                          print NMSG files (- is standard input), or NMSG datagrams to udp://ADDR
  dnstap-pdns status [-c FILE] [ADDR]     print the ledger of the running sensor, its problems and their remedies
  dnstap-pdns selftest [-c FILE] [--resolver ADDR] [--zone ZONE] [--decoy ZONE]
                                          query the resolver for a public name and a local decoy, and prove with the
                                          running sensor that the name left, and that the decoy was seen and dropped
  dnstap-pdns init [-c FILE] [--force] [--resolvers LIST] [RESOLVER]
                                          write a configuration for unbound, bind, pdns or knot, and print the
                                          remaining steps
  dnstap-pdns version                     print the version

Default of -c: ` + defaultConfig + ` if it exists, or else the built-in configuration.
`

// A command is a subcommand of dnstap-pdns.
type command struct {
	run func(ctx context.Context, args []string, std stdio) error

	// stops means that the command has work to finish after a signal, which ends ctx, or after
	// the reader of its output has closed the pipe. Signals kill other commands.
	stops bool
}

type stdio struct {
	in       *os.File
	out, err io.Writer
	secrets  *secrets // must not appear in err
}

var commands = map[string]command{
	"demo":     {demo, true},
	"run":      {run, true},
	"check":    {check, false},
	"replay":   {replay, true},
	"explain":  {runExplain, true},
	"cat":      {cat, false},
	"status":   {status, false},
	"selftest": {runSelftest, false},
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
		fmt.Fprintf(std.err, "dnstap-pdns: unknown command %q; see dnstap-pdns help\n", name)
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
		context.AfterFunc(ctx, stop) // a second signal kills the process
		// With SIGPIPE caught, a closed pipe is a failed write, and the ledger is still printed.
		// Programs of on_rotate would inherit it if it were ignored.
		signal.Notify(make(chan os.Signal, 1), syscall.SIGPIPE)
	}
	return c.run(ctx, args, std)
}

// exitCode prints an error of a command, and returns the exit code.
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

// A usageError reports bad arguments or a bad configuration. The wrapped error is nil if the
// problem was already printed.
type usageError struct{ error }

func (e *usageError) Unwrap() error { return e.error }

func (e *usageError) Error() string {
	if e.error == nil {
		return "bad usage"
	}
	return e.error.Error()
}

// newFlags returns the flag set of a command, which prints its usage.
func newFlags(name, arguments string, std stdio) *flag.FlagSet {
	fs := flag.NewFlagSet(name, flag.ContinueOnError)
	fs.SetOutput(std.err)
	fs.Usage = func() {
		fmt.Fprintln(std.err, strings.TrimSpace("usage: dnstap-pdns "+name+" "+arguments))
		fs.PrintDefaults()
	}
	return fs
}

// parse parses flags. The flag set prints errors, so that the returned usageError is empty.
func parse(fs *flag.FlagSet, args []string) error {
	err := fs.Parse(args)
	if err != nil && !errors.Is(err, flag.ErrHelp) {
		return &usageError{}
	}
	return err
}

// parseFlagsOnly parses the flags of a command without arguments.
func parseFlagsOnly(fs *flag.FlagSet, args []string) error {
	if err := parse(fs, args); err != nil {
		return err
	}
	if fs.NArg() > 0 {
		return &usageError{fmt.Errorf("takes no argument, but got %q", fs.Arg(0))}
	}
	return nil
}

// isGiven reports whether a flag is on the command line, with any value.
func isGiven(fs *flag.FlagSet, name string) (given bool) {
	fs.Visit(func(f *flag.Flag) { given = given || f.Name == name })
	return given
}
