package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/dnstap-pdns/dnstap-pdns/cmd/dnstap-pdns/internal/setup"
	"github.com/dnstap-pdns/dnstap-pdns/conf"
	"github.com/dnstap-pdns/dnstap-pdns/forward"
)

var initUsage = usage{
	name:      "init",
	arguments: "[RESOLVER]",
	does:      "Writes a configuration for unbound, bind, pdns or knot, and prints the remaining steps as a shell script.",
	details:   "--apply performs the steps, and ends with selftest.",
	examples: []string{"dnstap-pdns init unbound", "dnstap-pdns init --apply unbound",
		"dnstap-pdns init -c - knot --resolvers 192.0.2.53 >site.hcl",
		"dnstap-pdns init --apply --sie wss://HOST/session/NAME --channel 202 unbound"},
	exits: []string{"the configuration was written or every step performed", "the configuration could not be written, or a step failed",
		"bad usage, or no resolver was found"},
}

func initialise(ctx context.Context, args []string, std stdio) error {
	o := newOptions(initUsage, std)
	path := o.StringP("config", "c", defaultConfig, "write the configuration to this `FILE`; - is standard output")
	apply := o.flag("apply", "perform all steps on this machine, with backups; on a terminal, ask before each file")
	dryRun := o.flag("dry-run", "print every file and command, and change nothing")
	force := o.flag("force", "replace an existing file")
	resolvers := o.String("resolvers", "",
		"addresses of the resolver, a comma-separated `LIST`; default: the addresses of this machine towards the Internet")
	sie := o.String("sie", "", "add a sink that submits records to the collection at this `URL`, wss://HOST/session/NAME, whose key is in "+conf.Collection{}.KeyPath())
	channel := o.Uint32("channel", 0, "`NUMBER` of the channel, which the collection assigned; with --sie")
	if err := o.parse(args, 1); err != nil {
		return err
	}
	collection, err := collectionFor(*sie, *channel)
	if err != nil {
		return &usageError{err}
	}
	if *apply && *path != defaultConfig {
		return &usageError{fmt.Errorf("--apply sets up the service, which reads %s: omit -c", defaultConfig)}
	}
	if *dryRun && *path == "-" {
		return &usageError{errors.New("--dry-run prints the configuration: omit -c -")}
	}
	chosen, err := chooseSetup(o.Arg(0), isInstalled, isRunning)
	if err != nil {
		return &usageError{err}
	}
	site, err := siteFor(ctx, chosen, *resolvers)
	if err != nil {
		return &usageError{err}
	}
	request, err := requestFor(setup.Request{Setup: chosen, Site: site, Path: *path, Collection: collection}, *force, std)
	if err != nil {
		return err
	}
	plan, err := setup.New(request)
	if err != nil {
		return &usageError{err}
	}
	switch {
	case *dryRun:
		_, err = io.WriteString(std.out, plan.Script())
	case *apply:
		err = applyPlan(ctx, plan, std)
	default:
		err = writeConfig(plan, std)
	}
	return err
}

// collectionFor returns the collection of --sie, nil without it. Commands of the sensor get its
// key as the service does.
func collectionFor(url string, channel uint32) (*conf.Collection, error) {
	switch {
	case url == "" && channel == 0:
		return nil, nil
	case url == "" || channel == 0:
		return nil, errors.New("--sie and --channel need each other: the collection assigns both")
	}
	to, err := forward.ParseTarget(url, forward.WSS)
	if err != nil {
		return nil, fmt.Errorf("--sie: %w", err)
	}
	c := &conf.Collection{To: to, Channel: channel}
	if os.Getenv("CREDENTIALS_DIRECTORY") != "" {
		return c, nil
	}
	if _, err := os.Stat(c.KeyPath()); err != nil {
		return nil, fmt.Errorf("the key of the collection is missing: put it into the file (install -m 600 /dev/stdin %s), and run init again: %w", c.KeyPath(), err)
	}
	return c, os.Setenv("CREDENTIALS_DIRECTORY", conf.KeyFolder)
}

// requestFor completes a request for a plan. The configuration at its path is used if it exists,
// unless force is set.
func requestFor(r setup.Request, force bool, std stdio) (setup.Request, error) {
	if _, err := os.Stat(r.Path); err == nil && !force {
		r.Config, err = loadFile(r.Path, std)
		return r, err
	}
	var err error
	if r.Text, err = r.Setup.Config(r.Site); err != nil {
		return r, err
	}
	if r.Collection != nil {
		sink, err := r.Collection.Sink()
		if err != nil {
			return r, err
		}
		r.Text += sink
	}
	file, diags := conf.Parse(r.Path, []byte(r.Text))
	r.Config, err = printDiagnostics(file, diags, std)
	return r, err
}

// writeConfig writes only the configuration, and prints the plan.
func writeConfig(plan setup.Plan, std stdio) error {
	first := &plan[0]
	if len(first.Files) > 0 {
		config := first.Files[0]
		if config.Path == "-" {
			first.Files, first.Check = nil, nil
			fmt.Fprint(std.err, plan.Script())
			_, err := io.WriteString(std.out, config.Text)
			return err
		}
		if err := setup.Replace(config.Path, config.Text); err != nil {
			return err
		}
		first.Files = nil
		_, more, _ := strings.Cut(first.Title, ". ")
		first.Title = fmt.Sprintf("The configuration of the sensor was written to %s.\n#    %s", conf.Escape(config.Path), more)
	}
	_, err := fmt.Fprintf(std.out, "# The steps, for a shell of root. dnstap-pdns init --apply performs them.\n%s", plan.Script())
	return err
}

// applyPlan performs the plan.
func applyPlan(ctx context.Context, plan setup.Plan, std stdio) error {
	if os.Geteuid() != 0 {
		return errors.New("--apply writes system files and restarts services: run it as root")
	}
	if _, err := os.Stat("/run/systemd/system"); err != nil {
		return errors.New("--apply needs systemd, which does not run here: perform the steps of docs/resolvers.md")
	}
	if err := exec.CommandContext(ctx, "systemctl", "cat", "dnstap-pdns.service", "dnstap-pdns.socket").Run(); err != nil {
		return errors.New("the units are not installed: install the package, or copy conf/systemd/dnstap-pdns.service and " +
			"conf/systemd/dnstap-pdns.socket to /usr/local/lib/systemd/system")
	}
	a := setup.Applier{Out: std.out, Now: time.Now(), Run: func(ctx context.Context, args []string) error { return runCommand(ctx, args, std) }}
	if isTerminal(std.in) {
		answers := bufio.NewReader(std.in)
		a.Ask = func(question string) (bool, error) { return ask(answers, std.out, question) }
	}
	return a.Apply(ctx, plan)
}

// runCommand runs a command; the sensor's own commands are run by this executable.
func runCommand(ctx context.Context, args []string, std stdio) error {
	args = slices.Clone(args)
	if i := slices.Index(args, setup.Self); i >= 0 {
		var err error
		if args[i], err = os.Executable(); err != nil {
			return err
		}
	}
	cmd := exec.CommandContext(ctx, args[0], args[1:]...)
	cmd.Stdout, cmd.Stderr = std.out, std.err
	return cmd.Run()
}

// ask asks a question until the answer is yes or no; no answer is no.
func ask(answers *bufio.Reader, out io.Writer, question string) (bool, error) {
	for {
		fmt.Fprintf(out, "%s [y/n] ", question)
		line, err := answers.ReadString('\n')
		switch strings.ToLower(strings.TrimSpace(line)) {
		case "y", "yes":
			return true, nil
		case "n", "no":
			return false, nil
		}
		if err != nil {
			return false, fmt.Errorf("reading an answer: %w", err)
		}
	}
}

// chooseSetup returns the set-up of that name, or without a name the set-up of the only installed
// resolver, or of the only one that runs.
func chooseSetup(name string, installed, running func(conf.Setup) bool) (conf.Setup, error) {
	all := conf.Setups()
	if i := slices.IndexFunc(all, func(s conf.Setup) bool { return s.Name == name }); i >= 0 {
		return all[i], nil
	}
	var names []string
	var here, active []conf.Setup
	for _, s := range all {
		names = append(names, s.Name)
		if name == "" && installed(s) {
			here = append(here, s)
			if running(s) {
				active = append(active, s)
			}
		}
	}
	choices := strings.Join(names, ", ")
	switch {
	case name != "":
		return conf.Setup{}, fmt.Errorf("unknown resolver %q: name one of %s", name, choices)
	case len(here) == 1:
		return here[0], nil
	case len(active) == 1:
		return active[0], nil
	case len(here) == 0:
		return conf.Setup{}, fmt.Errorf("found no resolver on this machine: name one of %s", choices)
	case len(active) > 1:
		return conf.Setup{}, fmt.Errorf("%s run on this machine: name one of %s", titles(active), choices)
	}
	return conf.Setup{}, fmt.Errorf("found %s on this machine, and none of them runs: name one of %s", titles(here), choices)
}

func titles(all []conf.Setup) string {
	var titles []string
	for _, s := range all {
		titles = append(titles, s.Title)
	}
	return strings.Join(titles, " and ")
}

func isInstalled(s conf.Setup) bool {
	_, err := os.Stat(s.Program)
	return err == nil
}

// isRunning reports whether a process executes the program of this file system, and not of a
// container. Only root sees the processes of other users.
func isRunning(s conf.Setup) bool {
	program, err := os.Stat(s.Program)
	if err != nil {
		return false
	}
	executables, _ := filepath.Glob("/proc/[0-9]*/exe") // its pattern is valid
	return slices.ContainsFunc(executables, func(path string) bool {
		info, err := os.Stat(path)
		return err == nil && os.SameFile(info, program)
	})
}

// siteFor returns the properties of this machine that the set-up needs.
func siteFor(ctx context.Context, chosen conf.Setup, resolvers string) (conf.Site, error) {
	site := conf.Site{Interface: "any"}
	site.Names, site.Networks = setup.Proposals(ctx, chosen, setup.ThisMachine())
	if resolvers == "" {
		site.Addresses = ownAddresses()
	} else {
		for part := range strings.SplitSeq(resolvers, ",") {
			addr, err := netip.ParseAddr(strings.TrimSpace(part))
			if err != nil || addr.Zone() != "" {
				return site, fmt.Errorf("--resolvers: %q is not an IP address", part)
			}
			site.Addresses = append(site.Addresses, addr.Unmap())
		}
	}
	if chosen.Name == "knot" && len(site.Addresses) == 0 {
		return site, errors.New("found no address of the resolver, without which its packets cannot be recognised: " +
			"name its addresses, for example --resolvers 192.0.2.53,2001:db8:53::53")
	}
	if name := interfaceOf(site.Addresses); name != "" {
		site.Interface = name
	}
	return site, nil
}

// ownAddresses returns the addresses from which this machine would query root servers, at most
// one of each family. It sends nothing.
func ownAddresses() (all []netip.Addr) {
	for _, root := range []string{"198.41.0.4", "2001:503:ba3e::2:30"} {
		conn, err := net.Dial("udp", net.JoinHostPort(root, "53"))
		if err != nil {
			continue // no route
		}
		if at, err := netip.ParseAddrPort(conn.LocalAddr().String()); err == nil {
			all = append(all, at.Addr().Unmap())
		}
		conn.Close()
	}
	return all
}

// interfaceOf returns the name of an interface with one of the addresses, or "".
func interfaceOf(addresses []netip.Addr) string {
	interfaces, err := net.Interfaces()
	if err != nil {
		return ""
	}
	for _, i := range interfaces {
		own, err := i.Addrs()
		if err != nil {
			continue
		}
		for _, a := range own {
			prefix, err := netip.ParsePrefix(a.String())
			for _, wanted := range addresses {
				if err == nil && prefix.Addr() == wanted {
					return i.Name
				}
			}
		}
	}
	return ""
}
