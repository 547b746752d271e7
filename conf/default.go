package conf

import (
	_ "embed"

	"github.com/hashicorp/hcl/v2"

	"github.com/dnstap-pdns/dnstap-pdns/collector"
	"github.com/dnstap-pdns/dnstap-pdns/forward"
	"github.com/dnstap-pdns/dnstap-pdns/forward/file"
	"github.com/dnstap-pdns/dnstap-pdns/forward/udp"
)

//go:embed default.hcl
var defaultHCL []byte

// Default returns the configuration that holds where no file is given, read as
// one that is.
func Default() (*File, hcl.Diagnostics) {
	return Parse("built-in configuration", defaultHCL)
}

// SourceDefaults returns the limits of a dnstap source that says nothing of
// them; it listens nowhere.
func SourceDefaults() collector.Config { return defaults("source").limits() }

// SourceFor returns a dnstap source that listens where a command line says, as its
// attribute "listen" does, all else at its default.
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

// AdminDefault is where a sensor shows what it does if its configuration says
// nothing of that.
func AdminDefault() Admin { return defaults("admin").admin() }

// SinkFor returns a sink to a target that a command line names, all else at its
// default. It is one file, unless its name changes with the time.
func SinkFor(name string, target forward.Target) forward.SinkConfig {
	s := defaults("sink")
	c := s.encoding()
	c.Name, c.Target, c.MTU = name, target, target.DefaultMTU()
	var files file.Config
	rotate := s.readDuration("rotate")
	if target.Scheme == forward.File && !sameName(target.Address, rotate) {
		files.Rotate = rotate
	}
	c.Transport = transportFor(target, udp.Config{}, files)
	return c
}

// defaults returns a block in which nothing is written.
func defaults(block string) *section {
	d := decoder{file: &File{}}
	return d.section(schemaOf(block), nil)
}
