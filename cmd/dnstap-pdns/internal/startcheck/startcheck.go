// Package startcheck decides whether a configuration can take effect on this machine, for the
// user of this process. The start, each reload and the command check use it.
//
// It tries what the sensor will do, and undoes it: it leaves no file and no socket, connects
// to nothing, and sends only lookups of names. It does not know how a sensor is run or
// reloaded.
package startcheck

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"

	"github.com/dnstap-pdns/dnstap-pdns/cmd/dnstap-pdns/internal/service"
	"github.com/dnstap-pdns/dnstap-pdns/collector"
	"github.com/dnstap-pdns/dnstap-pdns/conf"
	"github.com/dnstap-pdns/dnstap-pdns/forward"
)

// Options describe the process that will use the configuration.
type Options struct {
	// Listens reports whether this process already listens at an address, so that it will
	// not listen there again. Nil: it does not.
	Listens func(network, address string) bool

	// InForce are the sinks that a reload changes. The spools of those that it removes may
	// contain records.
	InForce []forward.SinkConfig

	// Later is set if another process will use the configuration: the command check.
	Later *Later
}

// Later describes the process that will use the configuration.
type Later struct {
	Path    string        // of the configuration; empty: the built-in one
	Units   service.Units // that start it
	Inside  bool          // this process has the user and the rights that the units give
	Running bool          // a sensor runs on this machine: addresses in use are probably its own
}

// Run returns the warnings about f, also those of f itself, and an error if the configuration
// cannot take effect. The error contains all reasons.
func Run(ctx context.Context, f *conf.File, o Options) ([]conf.Warning, error) {
	c := check{o: o, uid: os.Geteuid(), warnings: f.Warnings()}
	if err := f.Runnable(); err != nil {
		c.errs = append(c.errs, err)
	}
	for i := range f.Sources {
		c.dnstap(&f.Sources[i])
	}
	for i := range f.Packets {
		c.packets(&f.Packets[i])
	}
	for i := range f.Sinks {
		c.files(&f.Sinks[i])
		c.aggregate(&f.Sinks[i])
		c.server(&f.Sinks[i])
	}
	c.orphans(f.Sinks)
	for i := range f.Kafka {
		c.cluster(fmt.Sprintf("source %q", f.Kafka[i].Name), f.Kafka[i].Brokers)
	}
	c.names(ctx, peers(&f.Config))
	c.admin(f.Admin)
	c.memory(&f.Config)
	c.readable("the configuration", o.path())
	c.readable("local_names_file", f.LocalNamesFile)
	for _, path := range f.ReadFiles {
		c.readable("file()", path)
	}
	return c.warnings, errors.Join(c.errs...)
}

func (o *Options) path() string {
	if o.Later == nil {
		return ""
	}
	return o.Later.Path
}

// A check collects what Run returns.
type check struct {
	o        Options
	uid      int // of this process
	warnings []conf.Warning
	errs     []error
}

func (c *check) warn(problem, advice string) {
	c.warnings = append(c.warnings, conf.Warning{Problem: problem, Advice: advice})
}

// fail adds an error. If units will run the sensor as another user than that of this process,
// missing rights of this user are only a warning.
func (c *check) fail(err error) {
	denied := errors.Is(err, fs.ErrPermission)
	if l := c.o.Later; denied && l != nil && l.Units.User != "" && !l.Inside && c.uid != 0 {
		c.warn("not checked, for lack of rights: "+err.Error(),
			fmt.Sprintf("Run dnstap-pdns check as root. The sensor will run as user %s.", l.Units.User))
		return
	}
	c.errs = append(c.errs, err)
}

// inUse warns of an address at which a process listens.
func (c *check) inUse(at string) {
	if c.o.Later != nil && !c.o.Later.Running {
		c.warn(at+": another process listens there",
			"If it is not the running sensor, stop it or configure another address: the sensor would not start.")
	}
}

// listens reports whether this process listens at the address already.
func (c *check) listens(network, address string) bool {
	return c.o.Listens != nil && c.o.Listens(network, address)
}

func (c *check) admin(a conf.Admin) {
	if a.Listen == "" || c.listens("tcp", a.Listen) {
		return
	}
	inUse, err := collector.ProbeTCP(a.Listen)
	if op, ok := errors.AsType[*net.OpError](err); ok {
		err = op.Err // without the address
	}
	switch {
	case err != nil:
		c.fail(fmt.Errorf("admin: listening on %s: %w; name another address in admin.listen, or \"\" for none", a.Listen, err))
	case inUse:
		c.inUse("admin.listen")
	}
}
