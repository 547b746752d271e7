package main

import (
	"context"
	"fmt"
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
	if len(file.Sources) > 0 && len(file.Policy.Resolvers) == 0 {
		fmt.Fprint(std.err, noResolver)
	}
	printExcluded(std.err, file.Sources)
	if err := file.Write(std.out); err != nil {
		return fmt.Errorf("printing the configuration: %w", err)
	}
	return nil
}
