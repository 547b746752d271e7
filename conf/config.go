// Package conf reads the configuration of dnstap-pdns from HCL and fills the Config
// structs of the packages that it configures. It reports all errors at once, each
// with its position in the file.
//
// It knows the attributes, their meanings and their defaults. It must not know
// whether a user, a host or a folder exists, opens no socket and no sink, and no
// package that it configures imports it.
package conf

import (
	"errors"
	"fmt"
	"log/slog"
	"net/netip"

	"github.com/dnstap-pdns/dnstap-pdns/collector"
	"github.com/dnstap-pdns/dnstap-pdns/fallback/pcap"
	"github.com/dnstap-pdns/dnstap-pdns/forward"
	"github.com/dnstap-pdns/dnstap-pdns/forward/nmsg"
	"github.com/dnstap-pdns/dnstap-pdns/transform"
)

// Config is the meaning of a configuration: the Config of each configured part.
type Config struct {
	Sources    []collector.Config
	Packets    []pcap.Config // packet sources; Policy contains their resolvers too
	MaxQueries int           // pending queries, all lanes together
	Policy     transform.Config
	Sinks      []forward.SinkConfig
	IDs        nmsg.IDs // of the sensor; each sink has a copy
	Admin      Admin
	Log        Log
}

// Admin configures the HTTP server of a running sensor.
type Admin struct {
	Listen  string // host:port; empty: no HTTP server
	Samples bool   // the status page shows the last records that left
	Pprof   bool   // the server also answers /debug/pprof
}

// Log configures the log.
type Log struct {
	Level  slog.Level
	Format string // "text" or "json"
}

// File is a configuration as it was written, with its meaning.
type File struct {
	Config

	// LocalNamesFile is the path of scrub.local_names_file, or empty.
	LocalNamesFile string

	ownNames  []string       // local_names, without the names in LocalNamesFile
	fileLines []int          // line numbers of the names in LocalNamesFile
	resolvers []netip.Prefix // scrub.resolvers, without those of packet sources
	scrub     *section       // contains local_names_file

	secrets  secrets
	sections []*section        // in the order of Effective
	sources  map[string][]byte // content of the files that diagnostics refer to, by file name
}

// Runnable returns an error if the configuration has no source, no interface for
// a packet source, or no sink. Only run needs them: other commands have inputs and
// outputs of their own.
func (c *Config) Runnable() error {
	var errs []error
	if len(c.Sources) == 0 && len(c.Packets) == 0 {
		errs = append(errs, errors.New(`the configuration has no source, so there is nothing to read: `+
			`add source "dnstap" "local" { listen = "unix:///run/dnstap-pdns/dnstap.sock" }`))
	}
	for _, p := range c.Packets {
		if len(p.Interfaces) == 0 {
			errs = append(errs, fmt.Errorf(`source "pcap" %q has no interface to capture on: `+
				`add interfaces = ["eth0"], or ["any"] for all interfaces`, p.Name))
		}
	}
	if len(c.Sinks) == 0 {
		errs = append(errs, errors.New(`the configuration has no sink, so records have nowhere to go: `+
			`add sink "nmsg" "files" { to = "file:///var/lib/dnstap-pdns/%Y%m%dT%H%M%S.nmsg" }`))
	}
	return errors.Join(errs...)
}
