package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"

	"github.com/dnstap-pdns/dnstap-pdns/conf"
)

func initialise(_ context.Context, args []string, std stdio) error {
	flags := newFlags("init", "[-c FILE] [--force] [--resolvers LIST] [RESOLVER]", std)
	path := flags.String("c", defaultConfig, "write the configuration to this `FILE`; - is standard output")
	force := flags.Bool("force", false, "replace a file that is there")
	resolvers := flags.String("resolvers", "",
		"what the resolver asks from: a comma-separated `LIST` of addresses; without it this machine's own towards the Internet")
	if err := parse(flags, args); err != nil {
		return err
	}
	if flags.NArg() > 1 {
		return &usageError{fmt.Errorf("takes one resolver, but got %q too", flags.Arg(1))}
	}
	setup, err := chooseSetup(flags.Arg(0), installed)
	if err != nil {
		return &usageError{err}
	}
	site, err := siteFor(setup, *resolvers)
	if err != nil {
		return &usageError{err}
	}
	site.Check = "dnstap-pdns check"
	if *path != defaultConfig && *path != "-" {
		site.Check += " -c " + conf.Escape(*path)
	}
	return writeSetup(setup, site, *path, *force, std)
}

// writeSetup writes the configuration, and then prints what else there is to do.
func writeSetup(setup conf.Setup, site conf.Site, path string, force bool, std stdio) error {
	config, err := setup.Config(site)
	if err != nil {
		return err
	}
	steps, err := setup.Steps(site)
	if err != nil {
		return err
	}
	if path == "-" {
		fmt.Fprint(std.err, steps)
		_, err = fmt.Fprint(std.out, config)
		return err
	}
	if err := writeNew(path, config, force); err != nil {
		return err
	}
	_, err = fmt.Fprintf(std.out, "%s is written. Say there which names and networks are your own.\n\n%s", conf.Escape(path), steps)
	return err
}

// chooseSetup returns the set-up of that name, else of the one resolver that is there.
func chooseSetup(name string, there func(conf.Setup) bool) (conf.Setup, error) {
	var names, titles []string
	var found []conf.Setup
	for _, s := range conf.Setups() {
		if s.Name == name {
			return s, nil
		}
		names = append(names, s.Name)
		if name == "" && there(s) {
			found, titles = append(found, s), append(titles, s.Title)
		}
	}
	these := strings.Join(names, ", ")
	switch {
	case name != "":
		return conf.Setup{}, fmt.Errorf("knows no resolver %q: name one of %s", name, these)
	case len(found) == 0:
		return conf.Setup{}, fmt.Errorf("finds no resolver on this machine: name one of %s", these)
	case len(found) > 1:
		return conf.Setup{}, fmt.Errorf("finds %s on this machine: name one of %s", strings.Join(titles, " and "), these)
	}
	return found[0], nil
}

func installed(s conf.Setup) bool {
	_, err := os.Stat(s.Program)
	return err == nil
}

// siteFor finds out what the set-up has to know of this machine.
func siteFor(setup conf.Setup, resolvers string) (conf.Site, error) {
	site := conf.Site{Interface: "any"}
	if resolvers == "" {
		site.Addresses = ownAddresses()
	} else {
		for part := range strings.SplitSeq(resolvers, ",") {
			addr, err := netip.ParseAddr(strings.TrimSpace(part))
			if err != nil || addr.Zone() != "" {
				return site, fmt.Errorf("--resolvers: %q is no IP address", part)
			}
			site.Addresses = append(site.Addresses, addr.Unmap())
		}
	}
	if setup.Name == "knot" && len(site.Addresses) == 0 {
		return site, errors.New("cannot tell what the resolver asks from, which packets are known by: " +
			"name its addresses, as in --resolvers 192.0.2.53,2001:db8:53::53")
	}
	if name := interfaceOf(site.Addresses); name != "" {
		site.Interface = name
	}
	return site, nil
}

// ownAddresses are those that this machine asks root servers from, one of each family
// at most. Nothing is sent.
func ownAddresses() (all []netip.Addr) {
	for _, root := range []string{"198.41.0.4", "2001:503:ba3e::2:30"} {
		conn, err := net.Dial("udp", net.JoinHostPort(root, "53"))
		if err != nil {
			continue // it has no route there
		}
		if at, err := netip.ParseAddrPort(conn.LocalAddr().String()); err == nil {
			all = append(all, at.Addr().Unmap())
		}
		conn.Close()
	}
	return all
}

// interfaceOf names the interface that has one of the addresses; empty: none here.
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

// writeNew writes a file whole or not at all.
func writeNew(path, text string, replace bool) error {
	dir := filepath.Dir(path)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("making the configuration's folder: %w", err)
	}
	temp, err := os.CreateTemp(dir, ".init")
	if err != nil {
		return fmt.Errorf("writing the configuration: %w", err)
	}
	defer os.Remove(temp.Name())
	_, err = temp.WriteString(text)
	err = errors.Join(err, temp.Chmod(0o644), temp.Sync(), temp.Close()) // for a user of its own to read
	if err != nil {
		return fmt.Errorf("writing the configuration: %w", err)
	}
	if replace {
		err = os.Rename(temp.Name(), path)
	} else {
		err = os.Link(temp.Name(), path)
	}
	if errors.Is(err, fs.ErrExist) && !replace {
		return fmt.Errorf("%s is there already: move it, write to another with -c, or replace it with --force", conf.Escape(path))
	}
	if err != nil {
		return fmt.Errorf("writing the configuration: %w", err)
	}
	return nil
}
