// Dnstap-pdns is a passive DNS sensor: it reads the messages between a recursive resolver and
// authoritative servers, removes what concerns the organisation, and sends the rest as NMSG.
//
// This package is the user interface: commands, flags, exit codes, signals and output. It does
// not know how a sensor works.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"

	"github.com/spf13/pflag"

	"github.com/dnstap-pdns/dnstap-pdns/cmd/dnstap-pdns/internal/service"
	"github.com/dnstap-pdns/dnstap-pdns/conf"
)

// Exit codes.
const (
	exitDone   = 0
	exitFailed = 1 // at run time
	exitUsage  = 2 // bad usage or configuration
	exitCanary = 3 // explain found in its output what must not leave
)

// about precedes the list of the commands in the help.
const about = `dnstap-pdns is a passive DNS sensor: dnstap or packets in, scrubbed outward-only records out as NMSG.

Usage: dnstap-pdns COMMAND [OPTION]... [ARGUMENT]...

Commands:
`

// optionRules follows the list of the commands in the help.
const optionRules = `  help      Prints this text, or the help of a command.

dnstap-pdns help COMMAND, or COMMAND --help, shows the options, examples and exit codes of a command.
Options may be given before and after arguments; -- ends them.
Default of -c: ` + defaultConfig + ` if it exists, or else the built-in configuration.
`

// A command is a subcommand of dnstap-pdns.
type command struct {
	usage usage
	run   func(ctx context.Context, args []string, std stdio) error

	// stops means that the command has work to finish after a signal, which ends ctx, or after
	// the reader of its output has closed the pipe. Signals kill other commands.
	stops bool

	// accounts means that the ledger and the queue of the log count what could not be written,
	// and that the command survives it.
	accounts bool
}

type stdio struct {
	in       *os.File
	out, err io.Writer
	secrets  *secrets // must not appear in err

	outTerminal bool      // out is a terminal
	progress    *progress // on the terminal that err is; nil if it is none

	journal bool         // err is read by the journal
	log     *slog.Logger // of a command that writes nothing but log lines to err; nil: it prints text too
}

// commands are in the order of the help.
var commands = []command{
	{usage: demoUsage, run: demo, stops: true},
	{usage: runUsage, run: run, stops: true, accounts: true},
	{usage: checkUsage, run: check},
	{usage: replayUsage, run: replay, stops: true},
	{usage: explainUsage, run: runExplain, stops: true},
	{usage: catUsage, run: cat},
	{usage: statusUsage, run: status},
	{usage: selftestUsage, run: runSelftest},
	{usage: initUsage, run: initialise},
	{usage: versionUsage, run: version},
}

func main() {
	os.Exit(realMain(os.Args[1:], stdio{in: os.Stdin, out: os.Stdout, err: os.Stderr, journal: service.LogsToJournal()}))
}

// realMain runs one command and returns its exit code.
func realMain(args []string, std stdio) int {
	out, errs := &output{w: std.out}, &output{w: std.err}
	std.secrets = new(secrets)
	std.outTerminal = isTerminal(std.out)
	std.out, std.err = out, plainWriter{errs}
	if isTerminal(errs.w) {
		std.progress = newProgress(errs)
		std.err = plainWriter{std.progress}
	}
	if len(args) == 0 {
		fmt.Fprint(std.err, about, commandList(), optionRules)
		return exitUsage
	}
	name, err, survives := args[0], error(nil), false
	switch c, known := find(name); {
	case known:
		err, survives = c.start(args[1:], std), c.accounts
	case name == "--version":
		err = version(context.Background(), args[1:], std)
	case name == "help" || name == "-h" || name == "--help":
		name, err = "help", help(args[1:], std)
	default:
		fmt.Fprintf(std.err, "dnstap-pdns: %s\n", unknownCommand(name))
		return exitUsage
	}
	if lost := out.err(); lost != nil && (errors.Is(err, pflag.ErrHelp) || err == nil && !survives) {
		err = fmt.Errorf("writing the output: %w", lost)
	}
	code := exitCode(name, err, std)
	if code == exitDone && errs.err() != nil && !survives {
		return exitFailed
	}
	return code
}

// find returns the command of that name.
func find(name string) (command, bool) {
	i := slices.IndexFunc(commands, func(c command) bool { return c.usage.name == name })
	if i < 0 {
		return command{}, false
	}
	return commands[i], true
}

// unknownCommand returns the error for a first argument that is not a command, with advice.
func unknownCommand(name string) error {
	known := []string{"help"}
	for _, c := range commands {
		known = append(known, c.usage.name)
	}
	if strings.HasPrefix(name, "-") {
		return fmt.Errorf("the option %s comes before the command: write the command first; see dnstap-pdns help", conf.Escape(name))
	}
	if near := nearest(name, known); near != "" {
		return fmt.Errorf("unknown command %q: did you mean %s?", name, near)
	}
	return fmt.Errorf("unknown command %q: see dnstap-pdns help", name)
}

// commandList returns one line for each command.
func commandList() string {
	var b strings.Builder
	for _, c := range commands {
		fmt.Fprintf(&b, "  %-9s %s\n", c.usage.name, c.usage.does)
	}
	return b.String()
}

// help prints the help of the named command, or of all commands.
func help(args []string, std stdio) error {
	if len(args) > 0 {
		if c, known := find(args[0]); known {
			return c.run(context.Background(), []string{"--help"}, std)
		}
		return &usageError{unknownCommand(args[0])}
	}
	_, err := fmt.Fprint(std.out, about, commandList(), optionRules)
	return err
}

func (c command) start(args []string, std stdio) error {
	ctx := context.Background()
	if c.stops {
		var stop context.CancelFunc
		ctx, stop = untilSignal(ctx)
		defer stop()
		// With SIGPIPE caught, a closed pipe is a failed write, and the ledger is still printed.
		// Programs of on_rotate would inherit it if it were ignored.
		signal.Notify(make(chan os.Signal, 1), syscall.SIGPIPE)
	}
	return c.run(ctx, args, std)
}

// untilSignal returns a context that ends at a signal. A second signal kills the process.
func untilSignal(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, stop := signal.NotifyContext(ctx, syscall.SIGTERM, os.Interrupt)
	context.AfterFunc(ctx, stop)
	return ctx, stop
}

// exitCode prints an error of a command, and returns the exit code.
func exitCode(name string, err error, std stdio) int {
	var bad *usageError
	var status exitStatus
	switch {
	case errors.As(err, &status):
		return int(status)
	case err == nil, errors.Is(err, pflag.ErrHelp):
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
