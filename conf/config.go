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
	"slices"

	"github.com/dnstap-pdns/dnstap-pdns/collector"
	"github.com/dnstap-pdns/dnstap-pdns/collector/kafka"
	"github.com/dnstap-pdns/dnstap-pdns/fallback/pcap"
	"github.com/dnstap-pdns/dnstap-pdns/forward"
	"github.com/dnstap-pdns/dnstap-pdns/forward/nmsg"
	"github.com/dnstap-pdns/dnstap-pdns/transform"
)

// Config is a decoded configuration: the Config of each configured part.
type Config struct {
	Sources    []collector.Config
	Packets    []pcap.Config  // packet sources; Policy contains their resolvers too
	Kafka      []kafka.Config // without other sources; Sinks wait for room then
	MaxQueries int            // pending queries, all lanes together
	Policy     transform.Config
	Sinks      []forward.SinkConfig // the aggregate blocks, then the sinks
	IDs        nmsg.IDs             // of the sensor
	SourceIDs  map[string]nmsg.IDs  // of the sources that have others, by name
	Admin      Admin
	Log        Log
}

// Admin configures the HTTP server of a running sensor.
type Admin struct {
	Listen  string // host:port; empty: no HTTP server
	Samples bool   // the status page shows the last records that left
	Pprof   bool   // the server also answers /debug/pprof

	HostNames []string // accepted as the host of a URL, in addition to addresses and localhost; lowercase
}

// Log configures the log.
type Log struct {
	Level  slog.Level
	Format string // "text" or "json"
}

// File is a configuration: its text and what was decoded from it.
type File struct {
	Config

	// LocalNamesFile is the path of scrub.local_names_file, or empty.
	LocalNamesFile string

	// ReadFiles are the files whose content file() returned.
	ReadFiles []string

	ownNames  []string       // local_names, without the names in LocalNamesFile
	fileLines []int          // line numbers of the names in LocalNamesFile
	resolvers []netip.Prefix // scrub.resolvers, without those of packet sources
	scrub     *section       // contains local_names_file
	found     []Warning      // that refer to one place in the file

	secrets  secrets
	sections []*section        // in the order of Effective
	sources  map[string][]byte // content of the files that diagnostics refer to, by file name
}

// IDsOf returns the IDs of a source.
func (c *Config) IDsOf(source string) nmsg.IDs {
	if ids, ok := c.SourceIDs[source]; ok {
		return ids
	}
	return c.IDs
}

// NumSources returns the number of sources of any type.
func (c *Config) NumSources() int { return len(c.Sources) + len(c.Packets) + len(c.Kafka) }

// Outputs returns the sinks whose output leaves the sensor: all but the aggregate blocks.
func (c *Config) Outputs() []forward.SinkConfig {
	return slices.DeleteFunc(slices.Clone(c.Sinks), func(s forward.SinkConfig) bool { return s.Target.Scheme == forward.Aggregate })
}

// Runnable returns an error if the configuration has no source, no interface for
// a packet source, or no sink. Only run and check need them: other commands have inputs
// and outputs of their own.
func (c *Config) Runnable() error {
	var errs []error
	if c.NumSources() == 0 {
		errs = append(errs, errors.New(`the configuration has no source, so there is nothing to read: `+
			`add source "dnstap" "local" { listen = "unix:///run/dnstap-pdns/dnstap.sock" }`))
	}
	for _, p := range c.Packets {
		if len(p.Interfaces) == 0 {
			errs = append(errs, fmt.Errorf(`source "pcap" %q has no interface to capture on: `+
				`add interfaces = ["eth0"], or ["any"] for all interfaces`, p.Name))
		}
	}
	if len(c.Outputs()) == 0 {
		errs = append(errs, errors.New(`the configuration has no sink, so records have nowhere to go: `+
			`add sink "nmsg" "files" { to = "file:///var/lib/dnstap-pdns/%Y%m%dT%H%M%S.nmsg" }`))
	}
	return errors.Join(errs...)
}
