// Package conf reads the configuration of dnstap-pdns: HCL in, the Config struct
// of each room of the house out, every error at once and at its place.
//
// It knows what an operator may write, what it means and what is set where
// nothing is written. It does not know whether a user, a host or a folder
// exists, opens no socket and no sink, and nothing below it imports it.
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

// Config is what a configuration means, for each part that is configured.
type Config struct {
	Sources    []collector.Config
	Packets    []pcap.Config // sources too; their resolvers are in Policy as well
	MaxQueries int           // pending queries, all lanes together
	Policy     transform.Config
	Sinks      []forward.SinkConfig
	IDs        nmsg.IDs // of the sensor, as each sink has them
	Admin      Admin
	Log        Log
}

// Admin says where a running sensor shows what it does.
type Admin struct {
	Listen  string // host:port, for HTTP; empty: nowhere
	Samples bool   // the last records that left, too
	Pprof   bool   // profiles too
}

// Log says what is logged and how.
type Log struct {
	Level  slog.Level
	Format string // "text" or "json"
}

// File is a configuration as it was written, and what it means.
type File struct {
	Config

	// LocalNamesFile is the path of scrub.local_names_file, empty where none is named.
	LocalNamesFile string

	written   []string       // local_names, without those of the file
	lines     []int          // of the file, at which its names are
	resolvers []netip.Prefix // scrub.resolvers, without those of packet sources
	naming    *section       // that names the file

	secrets  secrets
	sections []*section        // in the order in which Effective prints them
	sources  map[string][]byte // texts that diagnostics may point into, by file name
}

// Runnable returns an error if a sensor has nothing to read or nowhere to write;
// commands that bring their own input and output do not ask.
func (c *Config) Runnable() error {
	var errs []error
	if len(c.Sources) == 0 && len(c.Packets) == 0 {
		errs = append(errs, errors.New(`the configuration has no source, so there is nothing to read: `+
			`add source "dnstap" "local" { listen = "unix:///run/dnstap-pdns/dnstap.sock" }`))
	}
	for _, p := range c.Packets {
		if len(p.Interfaces) == 0 {
			errs = append(errs, fmt.Errorf(`source "pcap" %q has no interface to capture on: `+
				`add interfaces = ["eth0"], or ["any"] for all there are`, p.Name))
		}
	}
	if len(c.Sinks) == 0 {
		errs = append(errs, errors.New(`the configuration has no sink, so records have nowhere to go: `+
			`add sink "nmsg" "files" { to = "file:///var/lib/dnstap-pdns/%Y%m%dT%H%M%S.nmsg" }`))
	}
	return errors.Join(errs...)
}
