package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/dnstap-pdns/dnstap-pdns/collector"
)

func check(_ context.Context, args []string, std stdio) error {
	fs := newFlags("check", "[-c FILE]", std)
	path := fs.String("c", "", configUsage)
	if err := parseFlagsOnly(fs, args); err != nil {
		return err
	}
	file, err := loadConfig(*path, std)
	if err != nil {
		return err
	}
	if err := checkTLS(file.Sources); err != nil {
		return &usageError{err}
	}
	for _, w := range file.Warnings() {
		fmt.Fprintf(std.err, "warning: %s\n  %s\n", w.Problem, w.Advice)
	}
	printExcluded(std, file.Sources)
	if err := file.Write(std.out); err != nil {
		return fmt.Errorf("printing the configuration: %w", err)
	}
	return nil
}

// checkTLS reads the certificates of the sources, without which run does not start.
func checkTLS(sources []collector.Config) error {
	var errs []error
	for _, c := range sources {
		if err := c.TLS.Check(); err != nil {
			errs = append(errs, fmt.Errorf("source %q: %w", c.Name, err))
		}
	}
	return errors.Join(errs...)
}

// printExcluded prints which resolvers of this machine could not connect to a source that this
// user starts.
func printExcluded(std stdio, sources []collector.Config) {
	mask := std.secrets.mask
	for _, source := range sources {
		all, err := collector.Exclusions(source)
		if err != nil {
			fmt.Fprintf(std.err, "warning: source %q: %s\n", source.Name, mask(err.Error()))
		}
		for _, e := range all {
			fmt.Fprintf(std.err, "warning: source %q: %s, as user %s, cannot connect: %s.\n  If it is to: %s.\n",
				source.Name, e.Resolver, e.User, mask(e.Problem), mask(e.Advice))
		}
	}
}
