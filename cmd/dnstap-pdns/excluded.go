package main

import (
	"fmt"
	"log/slog"

	"github.com/dnstap-pdns/dnstap-pdns/cmd/dnstap-pdns/internal/sensor"
	"github.com/dnstap-pdns/dnstap-pdns/collector"
)

// printExcluded says which resolvers of this machine could not connect to a source
// that this user were to start.
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

// logExcluded says the same of sources that are open, of their sockets as they are.
func logExcluded(log *slog.Logger, all []sensor.Excluded) {
	for _, x := range all {
		if x.Err != nil {
			log.Warn("whether resolvers may connect cannot be told", "source", x.Source, "error", x.Err)
		}
		for _, e := range x.Exclusions {
			log.Warn("a resolver of this machine cannot connect", "source", x.Source,
				"resolver", e.Resolver, "user", e.User, "problem", e.Problem, "remedy", e.Advice)
		}
	}
}
