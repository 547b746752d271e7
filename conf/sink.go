package conf

import (
	"errors"
	"fmt"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/lestrrat-go/strftime"

	"github.com/dnstap-pdns/dnstap-pdns/forward"
	"github.com/dnstap-pdns/dnstap-pdns/forward/file"
	"github.com/dnstap-pdns/dnstap-pdns/forward/nmsg"
	"github.com/dnstap-pdns/dnstap-pdns/forward/stdout"
	"github.com/dnstap-pdns/dnstap-pdns/forward/udp"
)

// longestUDP is the payload of the longest datagram that IPv4 carries.
const longestUDP = 65507

func (s *section) nmsgSink() forward.SinkConfig {
	c := s.encoding()
	c.Name, c.Target = s.name, readText(s, "to", ParseTarget)
	known := c.Target != (forward.Target{})
	c.MTU = s.mtu(c.Target, known)
	var datagrams udp.Config
	if known && c.Target.Scheme != forward.UDP {
		s.doesNotApply("it applies only to udp:// targets", "rate")
	} else {
		datagrams.Rate = int(s.readNumber("rate"))
	}
	var files file.Config
	if known && c.Target.Scheme != forward.File {
		s.doesNotApply("it applies only to file:// targets", "rotate", "rotate_size", "on_rotate")
	} else {
		files.Rotate = readText(s, "rotate", s.parseRotate)
		files.RotateSize = s.readSize("rotate_size")
		files.OnRotate = s.command("on_rotate")
	}
	if known {
		s.checkTarget(c.Target, files.Rotate)
	}
	c.Transport = transportFor(c.Target, datagrams, files)
	return c
}

// transportFor returns the configuration of the target's transport.
func transportFor(t forward.Target, datagrams udp.Config, files file.Config) forward.TransportConfig {
	switch t.Scheme {
	case forward.UDP:
		return datagrams
	case forward.File:
		return files
	default:
		return stdout.Config{}
	}
}

// encoding reads the attributes that do not depend on the target.
func (s *section) encoding() forward.SinkConfig {
	return forward.SinkConfig{
		Format: forward.NMSG{Message: readText(s, "message", nmsg.ParseMessageType)},
		Flush:  s.readDuration("flush"),
		Queue:  s.readSize("queue"),
		Zlib:   s.readFlag("zlib"),
	}
}

// mtu returns the attribute mtu, or the target's default.
func (s *section) mtu(t forward.Target, known bool) int {
	if !s.isWritten("mtu") {
		return int(s.setDefault("mtu", t.DefaultMTU()))
	}
	n := s.readSize("mtu")
	if known && t.Scheme == forward.UDP && n > longestUDP {
		set := s.settings["mtu"]
		s.refuse(set, set.at, fmt.Sprintf("a datagram holds at most %d bytes", longestUDP))
	}
	return int(n)
}

// checkTarget reports a target whose output would be mixed with that of another sink,
// or would overwrite files.
func (s *section) checkTarget(t forward.Target, rotate time.Duration) {
	set := s.settings["to"]
	switch t.Scheme {
	case forward.File:
		s.unique("sink target", t.Address, set.at,
			"to: another sink writes files of that name", "give each its own directory or name")
		if rotate > 0 && sameName(t.Address, rotate) {
			s.refuse(set, set.at, fmt.Sprintf("each file would overwrite the one before, because the name does not change every %s; "+
				`add what is missing of %%Y%%m%%dT%%H%%M%%S, or set rotate = "0s"`, formatDuration(int64(rotate))))
		}
	case forward.Stdout:
		s.unique("sink target", "stdout", set.at,
			"to: another sink writes to standard output", "let one of them write to a file")
	}
}

// sameName reports whether two successive intervals have the same file name. It uses
// the epoch, at which every unit of time begins, to find a missing unit.
func sameName(pattern string, rotate time.Duration) bool {
	epoch := time.Unix(0, 0).UTC()
	a, _ := strftime.Format(pattern, epoch)
	b, _ := strftime.Format(pattern, epoch.Add(rotate))
	return a == b
}

// ParseTarget reads a target in the form of the attribute "to". Unlike
// forward.ParseTarget, it also checks the name pattern of a file.
func ParseTarget(url string) (forward.Target, error) {
	t, err := forward.ParseTarget(url)
	if err != nil {
		return forward.Target{}, err
	}
	if hasControl(t.Address) {
		return forward.Target{}, errors.New("it contains a control character")
	}
	if t.Scheme == forward.File {
		if _, err := strftime.New(t.Address); err != nil {
			return forward.Target{}, fmt.Errorf("the file name is not a strftime pattern (write a percent sign as %%%%): %w", err)
		}
	}
	return t, nil
}

// parseRotate reads a duration; zero means no rotation.
func (s *section) parseRotate(v string) (time.Duration, error) {
	set := s.settings["rotate"]
	d, err := parseDuration(v)
	if err == nil && d != 0 && (int64(d) < set.lo || int64(d) > set.hi) {
		err = errors.New("out of range")
	}
	return d, err
}

// messageTypes lists the values of the attribute message.
func messageTypes() string {
	var names []string
	for _, t := range nmsg.MessageTypes() {
		names = append(names, strconv.Quote(t.String()))
	}
	last := len(names) - 1
	return strings.Join(names[:last], ", ") + " or " + names[last]
}

// command reads a program and its arguments, or nil.
func (s *section) command(name string) []string {
	argv := readList(s, name, parseArgument)
	if len(argv) > 0 {
		if problem := checkProgram(argv[0]); problem != "" {
			set := s.settings[name]
			s.refuse(set, set.element(0), problem)
		}
	}
	return argv
}

func parseArgument(v string) (string, error) {
	if strings.Contains(v, "\x00") {
		return "", errors.New("an argument cannot contain a zero byte")
	}
	return v, nil
}

// checkProgram returns why a program cannot be found on any machine, or "".
func checkProgram(v string) (problem string) {
	switch {
	case v == "":
		return "the program's name is empty"
	case strings.Contains(v, "/") && !filepath.IsAbs(v):
		return "a path to a program must be absolute"
	case strings.Contains(v, " ") && !filepath.IsAbs(v):
		return "no shell splits this: write each argument as an element of its own"
	}
	return ""
}

func (s *section) sensor() nmsg.IDs {
	return nmsg.IDs{
		Source:   uint32(s.readNumber("source")),
		Operator: uint32(s.readNumber("operator")),
		Group:    uint32(s.readNumber("group")),
	}
}
