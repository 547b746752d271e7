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
	if err := parseAlone(fs, args); err != nil {
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
		fmt.Fprintf(std.err, "warning: %s\n  %s\n", w.Says, w.Do)
	}
	printExcluded(std, file.Sources)
	if err := file.Write(std.out); err != nil {
		return fmt.Errorf("printing the configuration: %w", err)
	}
	return nil
}

// checkTLS reads the sources' certificates: with what is wrong there, run would not
// start.
func checkTLS(sources []collector.Config) error {
	var errs []error
	for _, c := range sources {
		if err := c.TLS.Check(); err != nil {
			errs = append(errs, fmt.Errorf("source %q: %w", c.Name, err))
		}
	}
	return errors.Join(errs...)
}
