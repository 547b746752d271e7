// Package setup connects a sensor that runs as a systemd service with a resolver of this
// machine: it plans the files and commands, writes the plan as a shell script, or performs it.
// It also proposes local names and networks, from the configuration of the machine.
//
// It does not know flags, and runs no sensor.
package setup

import (
	"fmt"
	"strings"

	"github.com/dnstap-pdns/dnstap-pdns/conf"
)

// A Subject is a service that a change concerns.
type Subject int

// The subjects.
const (
	Sensor Subject = iota
	Resolver
)

// A Plan lists what to do, in an order that works.
type Plan []Step

// A Step is a part of a plan.
type Step struct {
	Title    string // in lines of at most 100 characters
	Files    []File
	Check    []string // a command that fails if the files are not valid
	Commands []Command
}

// A File is a file of a plan.
type File struct {
	Path string
	For  Subject
	Text string // the whole content, unless Edit is set
	Edit *Edit
}

// A Command is a command of a plan.
type Command struct {
	Args []string

	// If is set for a command that is necessary only after a change of a file of For, and Else
	// is its replacement without a change; nil: none.
	If   bool
	For  Subject
	Else []string

	Twice bool // run it once more if it fails
}

// Request contains what a Plan depends on.
type Request struct {
	Setup  conf.Setup
	Site   conf.Site
	Path   string     // of the sensor's configuration
	Text   string     // of a new configuration; empty: the file at Path stays
	Config *conf.File // the meaning of the configuration

	Collection *conf.Collection // to which a sink submits records; nil: none
}

const (
	service  = "dnstap-pdns.service"
	socket   = "dnstap-pdns.socket"
	pcapPath = "/etc/systemd/system/dnstap-pdns.service.d/pcap.conf"
)

// Self is the command name of the sensor's own commands in a plan.
const Self = "dnstap-pdns"

// New returns the plan for a resolver.
func New(r Request) (Plan, error) {
	directives, err := r.Setup.Directives(r.Site)
	if err != nil {
		return nil, err
	}
	plan := Plan{r.configuration()}
	if r.Collection != nil {
		if !r.hasSink() {
			return nil, r.missingSink()
		}
		plan = append(plan, r.key())
	}
	if directives == "" && len(r.Config.Packets) == 0 {
		return nil, r.missingSource()
	}
	if directives == "" {
		return append(plan, packets(), r.startWithPackets(), r.prove()), nil
	}
	source, ok, err := r.source()
	if err != nil {
		return nil, err
	}
	if !ok {
		return nil, r.missingSource()
	}
	return append(plan, Step{
		Title: fmt.Sprintf("The socket. systemd creates it for %s.", r.Setup.Title),
		Files: []File{{Path: conf.SocketDropInPath, For: Sensor, Text: conf.SocketDropIn(source)}},
	}, r.resolver(directives), r.start(), r.prove()), nil
}

func (r Request) configuration() Step {
	s := Step{Check: r.self("check")}
	if r.Text == "" {
		s.Title = fmt.Sprintf("The configuration of the sensor is in %s, which stays as it is.", conf.Escape(r.Path))
		return s
	}
	s.Title = "The configuration of the sensor. Confirm or correct scrub.local_names and scrub.local_networks."
	if r.Collection != nil {
		s.Title += fmt.Sprintf("\n#    When the sensor starts, records leave to %s.", r.Collection.To.Host())
	}
	s.Files = []File{{Path: r.Path, For: Sensor, Text: r.Text}}
	return s
}

// self returns a command of the sensor. With a key it gets the credential that the service has.
func (r Request) self(name string) []string {
	var args []string
	if r.Collection != nil {
		args = []string{"env", "CREDENTIALS_DIRECTORY=" + conf.KeyFolder}
	}
	args = append(args, Self, name)
	if r.Path == conf.DefaultPath {
		return args
	}
	return append(args, "-c", r.Path)
}

// key passes the key of the collection to the service, whose user may not read its file.
func (r Request) key() Step {
	return Step{
		Title: fmt.Sprintf("The key in %s. systemd passes it to the service,\n#    and makes the folder of the spool (StateDirectory= in the unit).", r.Collection.KeyPath()),
		Files: []File{{Path: conf.SIEDropInPath, For: Sensor, Text: r.Collection.SIEDropIn()}},
	}
}

// hasSink reports whether the configuration submits records to the collection.
func (r Request) hasSink() bool {
	for i := range r.Config.Sinks {
		if r.Config.Sinks[i].Target == r.Collection.To {
			return true
		}
	}
	return false
}

func (r Request) resolver(directives string) Step {
	s := Step{
		Title: fmt.Sprintf("The directives of %s.", r.Setup.Title),
		Files: []File{{Path: r.Setup.Snippet, For: Resolver, Text: directives}},
	}
	if r.Setup.Check != "" {
		s.Check = []string{r.Setup.Check}
	}
	switch r.Setup.Name {
	case "bind":
		s.Files = append(s.Files, includeInOptions(r.Setup.Snippet))
	case "pdns":
		s.Files = append(s.Files, dofile(r.Setup.Snippet))
	}
	return s
}

func packets() Step {
	return Step{
		Title: "The right to capture packets. Knot Resolver needs no directive: its dnstap has only client messages.",
		Files: []File{{Path: pcapPath, For: Sensor, Text: conf.PcapDropIn}},
	}
}

// start starts the sensor and restarts the resolver. A socket unit refuses to restart while its
// service runs, so both are stopped first.
func (r Request) start() Step {
	return Step{
		Title: fmt.Sprintf("Start the sensor with its socket, and restart %s.", r.Setup.Title),
		Commands: []Command{
			{Args: []string{"systemctl", "unmask", socket}},
			{Args: []string{"systemctl", "daemon-reload"}},
			{Args: []string{"systemctl", "enable", service}},
			{Args: []string{"systemctl", "stop", socket, service}, If: true, For: Sensor},
			{Args: []string{"systemctl", "reset-failed", "dnstap-pdns.*"}},
			{Args: []string{"systemctl", "start", service}},
			{Args: []string{"systemctl", "restart", r.Setup.Unit}, If: true, For: Resolver, Else: []string{"systemctl", "start", r.Setup.Unit}},
		},
	}
}

func (r Request) startWithPackets() Step {
	return Step{
		Title: "Start the sensor, without a socket.",
		Commands: []Command{
			{Args: []string{"systemctl", "daemon-reload"}},
			{Args: []string{"systemctl", "enable", service}},
			{Args: []string{"systemctl", "mask", "--now", socket}},
			{Args: []string{"systemctl", "reset-failed", "dnstap-pdns.*"}},
			{Args: []string{"systemctl", "restart", service}, If: true, For: Sensor, Else: []string{"systemctl", "start", service}},
		},
	}
}

// prove runs selftest, which fails while a resolver that was not restarted has not connected yet.
func (r Request) prove() Step {
	return Step{
		Title:    "Prove that records leave, and that local names stay.",
		Commands: []Command{{Args: r.self("selftest"), Twice: true}},
	}
}

// MissingBlockError reports that a configuration lacks a block.
type MissingBlockError struct{ Path, Missing, Block string }

// Error contains the block, in lines of its own.
func (e *MissingBlockError) Error() string {
	return fmt.Sprintf("%s exists and has no %s. Add this block to it, or replace the file with --force:\n\n%s",
		conf.Escape(e.Path), e.Missing, strings.Trim(e.Block, "\n"))
}

func (r Request) missingSource() error {
	text, err := r.Setup.Source(r.Site)
	if err != nil {
		return err
	}
	return &MissingBlockError{r.Path, "source for this resolver", text}
}

func (r Request) missingSink() error {
	text, err := r.Collection.Sink()
	if err != nil {
		return err
	}
	return &MissingBlockError{r.Path, "sink for this collection", text}
}
