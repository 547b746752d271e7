package conf

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/dnstap-pdns/dnstap-pdns/conf/certs"
	"github.com/dnstap-pdns/dnstap-pdns/forward"
	"github.com/dnstap-pdns/dnstap-pdns/forward/cof"
	"github.com/dnstap-pdns/dnstap-pdns/forward/fstrm"
	"github.com/dnstap-pdns/dnstap-pdns/forward/jsonl"
	"github.com/dnstap-pdns/dnstap-pdns/forward/kafka"
	"github.com/dnstap-pdns/dnstap-pdns/forward/nmsg"
	"github.com/dnstap-pdns/dnstap-pdns/forward/stdout"
	"github.com/dnstap-pdns/dnstap-pdns/forward/udp"
)

// longestUDP is the payload of the longest datagram that IPv4 carries.
const longestUDP = 65507

// sink reads a sink block of any type. resolution is scrub.time_resolution.
func (s *section) sink(resolution time.Duration) forward.SinkConfig {
	c := s.anySink()
	c.Name = s.name
	switch s.schema.typ {
	case "dnstap":
		s.dnstapSink(&c, resolution)
	case "json":
		s.jsonSink(&c, resolution)
	default:
		s.nmsgSink(&c, resolution)
	}
	return c
}

// anySink reads the attributes of all sinks.
func (s *section) anySink() forward.SinkConfig {
	return forward.SinkConfig{Flush: s.readDuration("flush"), Queue: s.readSize("queue")}
}

func (s *section) nmsgSink(c *forward.SinkConfig, resolution time.Duration) {
	to := s.target(forward.UDP, forward.File, forward.Stdout, forward.WSS, forward.WS, forward.Kafka)
	c.Target = to.Target
	of := readText(s, "message", parseMessage)
	c.Filter, resolution = s.narrowing(resolution, of.rrsets)
	if of.rrsets {
		c.Format = forward.DNSDedupe{Resolution: resolution, Buckets: to.Scheme == forward.Kafka}
		s.feedRRsets(c, "message")
	} else {
		c.Format = forward.NMSG{Message: of.records, Resolution: resolution}
		s.doesNotApply(`it applies only to message = "dnsdedupe"`, "from")
	}
	c.Zlib = s.readFlag("zlib")
	c.MTU = s.mtu(to)
	var datagrams udp.Config
	if s.appliesTo(to, "it applies only to udp:// targets", []forward.Scheme{forward.UDP}, "rate") {
		datagrams.Rate = int(s.readNumber("rate"))
	}
	files := s.files(to)
	var certificates *certs.ClientFiles
	if s.appliesTo(to, "it applies only to wss:// and kafka:// targets", []forward.Scheme{forward.WSS, forward.Kafka}, "tls") {
		certificates = s.clientTLS()
	}
	submission, topic := s.submission(to, certificates), s.topic(to, certificates)
	spool := s.spool(to)
	switch to.Scheme {
	case forward.UDP:
		c.Transport = datagrams
	case forward.WSS, forward.WS:
		c.Transport = spooled(spool, submission)
	case forward.Kafka:
		c.Transport = spooled(spool, topic)
	default:
		c.Transport = fileOrStdout(to.Target, files)
	}
}

func (s *section) dnstapSink(c *forward.SinkConfig, resolution time.Duration) {
	to := s.target(forward.Unix, forward.TCP, forward.File, forward.Stdout)
	c.Target, c.MTU = to.Target, to.DefaultMTU()
	c.Filter, resolution = s.narrowing(resolution, false)
	c.Format = fstrm.Format{
		Identity:   readText(s, "identity", parseIdentity),
		Version:    readText(s, "version", parseIdentity),
		Resolution: resolution,
	}
	files := s.files(to)
	var stream fstrm.Config
	if s.appliesTo(to, "it applies only to tcp:// targets", []forward.Scheme{forward.TCP}, "tls") {
		if files := s.clientTLS(); files != nil {
			stream.TLS, stream.Files = true, *files
		}
	}
	if to.Scheme == forward.TCP && !stream.TLS {
		s.warnIfUnencrypted(to, "Set tls {}, or use a Unix socket or a loopback address.")
	}
	if to.Scheme == forward.Unix || to.Scheme == forward.TCP {
		c.Transport = stream
		return
	}
	c.Transport = fileOrStdout(to.Target, files)
}

func (s *section) jsonSink(c *forward.SinkConfig, resolution time.Duration) {
	to := s.target(forward.File, forward.Stdout)
	c.Target, c.MTU = to.Target, to.DefaultMTU()
	of := readText(s, "format", parseJSONFormat)
	c.Filter, resolution = s.narrowing(resolution, of.rrsets)
	if of.rrsets {
		c.Format = jsonl.COF{Profile: of.profile, Resolution: resolution}
		s.doesNotApply(`it applies only to format = "nmsg"`, "message")
		s.feedRRsets(c, "format")
	} else {
		c.Format = jsonl.Format{Message: readText(s, "message", nmsg.ParseMessageType), Resolution: resolution}
		s.doesNotApply(`it applies only to format = "cof" and "circl"`, "from")
	}
	c.Transport = fileOrStdout(to.Target, s.files(to))
}

// DNSDedupe is the value of the attribute message of a sink "nmsg" that gets RRsets.
const DNSDedupe = "dnsdedupe"

// A message is a value of the attribute message.
type message struct {
	records nmsg.MessageType
	rrsets  bool // instead of records
}

func parseMessage(v string) (message, error) {
	if v == DNSDedupe {
		return message{rrsets: true}, nil
	}
	t, err := nmsg.ParseMessageType(v)
	return message{records: t}, err
}

// A jsonFormat is a value of the attribute format.
type jsonFormat struct {
	profile cof.Profile
	rrsets  bool // in the Common Output Format; otherwise records
}

func parseJSONFormat(v string) (jsonFormat, error) {
	switch v {
	case "nmsg":
		return jsonFormat{}, nil
	case "cof":
		return jsonFormat{cof.Draft, true}, nil
	case "circl":
		return jsonFormat{cof.CIRCL, true}, nil
	}
	return jsonFormat{}, errors.New("unknown value")
}

// longestIdentity is the limit of identity and version in bytes.
const longestIdentity = 255

func parseIdentity(v string) (string, error) {
	if len(v) > longestIdentity || hasControl(v) {
		return "", errors.New("it is too long, or contains a control character")
	}
	return v, nil
}

// A target is the target of a sink, which may be invalid.
type target struct {
	forward.Target
	known bool // it is valid
}

// target reads the attribute to. It takes the schemes that this type of sink has.
func (s *section) target(schemes ...forward.Scheme) target {
	t := readText(s, "to", func(v string) (forward.Target, error) { return parseTarget(v, schemes...) })
	return target{t, t != (forward.Target{})}
}

// appliesTo reports whether attributes and blocks apply to a target: its scheme is one of
// schemes, or not known. Otherwise it removes them, and it is an error if the file contains one.
func (s *section) appliesTo(to target, why string, schemes []forward.Scheme, names ...string) bool {
	if !to.known || slices.Contains(schemes, to.Scheme) {
		return true
	}
	s.doesNotApply(why, names...)
	return false
}

// mtu returns the attribute mtu, or the target's default.
func (s *section) mtu(to target) int {
	if !s.isWritten("mtu") {
		return int(s.setDefault("mtu", to.DefaultMTU()))
	}
	n := s.readSize("mtu")
	switch set := s.settings["mtu"]; {
	case !to.known:
	case to.Scheme == forward.UDP && n > longestUDP:
		s.refuse(set, set.at, fmt.Sprintf("a datagram holds at most %d bytes", longestUDP))
	case to.Scheme == forward.Kafka && n > kafka.MaxContainer:
		s.refuse(set, set.at, fmt.Sprintf("a container in a Kafka message has at most %d bytes", kafka.MaxContainer))
	}
	return int(n)
}

// warnIfUnencrypted warns of a target that other hosts reach without TLS.
func (s *section) warnIfUnencrypted(to target, advice string) {
	if !to.IsLoopback() {
		s.warn(unencryptedSink, s.settings["to"].at, "to: records leave without encryption, and any host on the way can read or change them", advice)
	}
}

// ParseTarget reads the target of a sink "nmsg" that needs no other attribute, for command
// lines.
func ParseTarget(url string) (forward.Target, error) {
	return parseTarget(url, forward.UDP, forward.File, forward.Stdout)
}

// parseTarget reads a target of one of the schemes. Unlike forward.ParseTarget, it also checks
// the name pattern of a file and the path of a socket.
func parseTarget(url string, schemes ...forward.Scheme) (forward.Target, error) {
	t, err := forward.ParseTarget(url, schemes...)
	if err != nil {
		return forward.Target{}, err
	}
	switch {
	case hasControl(t.Address):
		err = errors.New("it contains a control character")
	case t.Scheme == forward.File:
		err = checkPattern(t.Address)
	case t.Scheme == forward.Unix:
		_, err = parseSocketPath(t.Address)
	}
	if err != nil {
		return forward.Target{}, err
	}
	return t, nil
}

// fileOrStdout returns the transport of a target that is not on a network.
func fileOrStdout(t forward.Target, files forward.TransportConfig) forward.TransportConfig {
	if t.Scheme == forward.File {
		return files
	}
	return stdout.Config{}
}

// messageTypes returns the names of the message types of records.
func messageTypes() (names []string) {
	for _, t := range nmsg.MessageTypes() {
		names = append(names, t.String())
	}
	return names
}

// listOf lists values of an attribute.
func listOf(values ...string) string {
	var quoted []string
	for _, v := range values {
		quoted = append(quoted, strconv.Quote(v))
	}
	last := len(quoted) - 1
	return strings.Join(quoted[:last], ", ") + " or " + quoted[last]
}
