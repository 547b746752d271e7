package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/dnstap-pdns/dnstap-pdns/collector"
)

// noResolver is what only the operator can mend.
const noResolver = `warning: scrub.resolvers is empty, so the resolver's own address is known only as far as dnstap tells it.
  Unbound without outgoing-interface and BIND without query-source tell 0.0.0.0 or ::. Answers that hold the address
  (who-am-I services, your own name servers) are not recognised then: name in scrub.resolvers what the resolver asks from.
`

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
	if len(file.Sources) > 0 && len(file.Policy.Resolvers) == 0 {
		fmt.Fprint(std.err, noResolver)
	}
	printExcluded(std.err, file.Sources)
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
