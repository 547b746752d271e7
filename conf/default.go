package conf

import (
	_ "embed"

	"github.com/hashicorp/hcl/v2"

	"github.com/dnstap-pdns/dnstap-pdns/collector"
	"github.com/dnstap-pdns/dnstap-pdns/forward"
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

// AdminDefault is where a sensor shows what it does if its configuration says
// nothing of that.
func AdminDefault() Admin { return defaults("admin").admin() }

// SinkFor returns a sink to a target that a command line names, all else at its
// default. It is one file, unless its name changes with the time.
func SinkFor(name string, target forward.Target) forward.SinkConfig {
	s := defaults("sink")
	c := s.encoding()
	c.Name, c.Target, c.MTU = name, target, target.DefaultMTU()
	rotate := s.readDuration("rotate")
	if target.Scheme == forward.File && !sameName(target.Address, rotate) {
		c.Rotate = rotate
	}
	return c
}

// defaults returns a block in which nothing is written.
func defaults(block string) *section {
	d := decoder{file: &File{}}
	return d.section(schemaOf(block), nil)
}
