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
	force := flags.Bool("force", false, "replace an existing file")
	resolvers := flags.String("resolvers", "",
		"addresses of the resolver, a comma-separated `LIST`; default: the addresses of this machine towards the Internet")
	if err := parse(flags, args); err != nil {
		return err
	}
	if flags.NArg() > 1 {
		return &usageError{fmt.Errorf("takes one RESOLVER, but also got %q", flags.Arg(1))}
	}
	setup, err := chooseSetup(flags.Arg(0), isInstalled)
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

// writeSetup writes the configuration, and prints the remaining steps.
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
	_, err = fmt.Fprintf(std.out, "%s was written. Add your own names and networks to it.\n\n%s", conf.Escape(path), steps)
	return err
}

// chooseSetup returns the set-up of that name, or without a name the set-up of the only installed
// resolver.
func chooseSetup(name string, installed func(conf.Setup) bool) (conf.Setup, error) {
	var names, titles []string
	var found []conf.Setup
	for _, s := range conf.Setups() {
		if s.Name == name {
			return s, nil
		}
		names = append(names, s.Name)
		if name == "" && installed(s) {
			found, titles = append(found, s), append(titles, s.Title)
		}
	}
	choices := strings.Join(names, ", ")
	switch {
	case name != "":
		return conf.Setup{}, fmt.Errorf("unknown resolver %q: name one of %s", name, choices)
	case len(found) == 0:
		return conf.Setup{}, fmt.Errorf("found no resolver on this machine: name one of %s", choices)
	case len(found) > 1:
		return conf.Setup{}, fmt.Errorf("found %s on this machine: name one of %s", strings.Join(titles, " and "), choices)
	}
	return found[0], nil
}

func isInstalled(s conf.Setup) bool {
	_, err := os.Stat(s.Program)
	return err == nil
}

// siteFor returns the properties of this machine that the set-up needs.
func siteFor(setup conf.Setup, resolvers string) (conf.Site, error) {
	site := conf.Site{Interface: "any"}
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
	if setup.Name == "knot" && len(site.Addresses) == 0 {
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

// interfaceOf returns the name of an interface with one of the addresses, or nothing.
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

// writeNew writes a file completely or not at all.
func writeNew(path, text string, replace bool) error {
	dir := filepath.Dir(path)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("making the folder of the configuration: %w", err)
	}
	temp, err := os.CreateTemp(dir, ".init")
	if err != nil {
		return fmt.Errorf("writing the configuration: %w", err)
	}
	defer os.Remove(temp.Name())
	_, err = temp.WriteString(text)
	err = errors.Join(err, temp.Chmod(0o644), temp.Sync(), temp.Close()) // the sensor may run as another user
	if err != nil {
		return fmt.Errorf("writing the configuration: %w", err)
	}
	if replace {
		err = os.Rename(temp.Name(), path)
	} else {
		err = os.Link(temp.Name(), path)
	}
	if errors.Is(err, fs.ErrExist) && !replace {
		return fmt.Errorf("%s exists: move it, choose another file with -c, or replace it with --force", conf.Escape(path))
	}
	if err != nil {
		return fmt.Errorf("writing the configuration: %w", err)
	}
	return nil
}
