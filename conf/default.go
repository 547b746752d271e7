package conf

import (
	_ "embed"

	"github.com/hashicorp/hcl/v2"

	"github.com/dnstap-pdns/dnstap-pdns/collector"
	"github.com/dnstap-pdns/dnstap-pdns/forward"
	"github.com/dnstap-pdns/dnstap-pdns/forward/file"
	"github.com/dnstap-pdns/dnstap-pdns/forward/nmsg"
	"github.com/dnstap-pdns/dnstap-pdns/forward/udp"
)

//go:embed default.hcl
var defaultHCL []byte

// Default returns the built-in configuration, which is used if no file is given.
func Default() (*File, hcl.Diagnostics) {
	return Parse("built-in configuration", defaultHCL)
}

// SourceDefaults returns the default limits of a dnstap source, without an address.
func SourceDefaults() collector.Config { return defaults("source").limits() }

// SourceFor returns a dnstap source that listens at an address in the form of the
// attribute "listen", for command lines. Its other attributes have their defaults.
func SourceFor(listen string) (collector.Config, error) {
	at, err := parseListen(listen)
	if err != nil {
		return collector.Config{}, err
	}
	s := defaults("source")
	c := s.limits()
	c.Name, c.Network, c.Address = listen, at.network, at.address
	if at.network == "unix" {
		c.Mode = readText(s, "mode", parseMode)
	}
	return c, nil
}

// AdminDefault returns the block admin with its defaults.
func AdminDefault() Admin { return defaults("admin").admin() }

// SinkFor returns a sink "nmsg" to target, which ParseTarget returned, for command lines. Its other attributes have
// their defaults, but files are rotated only by time, and only if the name changes.
func SinkFor(name string, target forward.Target) forward.SinkConfig {
	s := defaults("sink")
	c := s.anySink()
	c.Name, c.Target, c.MTU = name, target, target.DefaultMTU()
	c.Format = forward.NMSG{Message: readText(s, "message", nmsg.ParseMessageType)}
	var files file.Config
	rotate := s.readDuration("rotate")
	switch {
	case target.Scheme == forward.UDP:
		c.Transport = udp.Config{}
		return c
	case target.Scheme == forward.File && !sameName(target.Address, rotate):
		files.Rotate = rotate
	}
	c.Transport = fileOrStdout(target, files)
	return c
}

// AggregateFor returns an aggregate block with its defaults, for command lines.
func AggregateFor(name string) forward.SinkConfig {
	s := defaults("aggregate")
	s.name = name
	return s.aggregate()
}

// defaults returns a block in which every attribute has its default.
func defaults(block string) *section {
	d := decoder{file: &File{}}
	return d.section(schemaOf(block), nil)
}
