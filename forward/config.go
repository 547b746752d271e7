package forward

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"
)

// SinkConfig describes one sink. A reload that changes any field swaps the sink's
// transport.
type SinkConfig struct {
	Name      string // the block's label
	Target    Target
	From      string // the aggregate sink that feeds this one with RRsets; empty: lanes feed it with records
	Format    Format
	Filter    Filter
	MTU       int             // bytes of one container at most; a larger payload is fragmented on UDP, else alone in its container
	Flush     time.Duration   // longest time that a record waits for its container to fill
	Queue     int64           // bytes of sealed batches in the queue at most
	Zlib      bool            // compress containers
	Waits     bool            // the input waits for room in the queue, which then drops nothing (a Kafka source)
	Transport TransportConfig // attributes of this kind of transport
}

// Equal reports whether both configurations are equal in every field.
func (c *SinkConfig) Equal(o *SinkConfig) bool { return reflect.DeepEqual(c, o) }

// limit returns the size, in bytes, up to which a unit is filled.
func (c *SinkConfig) limit() int { return min(c.MTU, BatchSize) }

// carries reports whether batches made for old can be sent by c: the format is the same,
// and no unit is larger than c's limit.
func (c *SinkConfig) carries(old *SinkConfig) bool {
	return c.Format == old.Format && c.limit() >= old.limit()
}

// Scheme is the kind of a target, as the scheme of its URL states it.
type Scheme uint8

const (
	UDP Scheme = iota
	File
	Stdout
	WSS  // WebSocket over TLS
	WS   // WebSocket without TLS
	Unix // a Unix stream socket
	TCP
	Kafka // a topic

	// Aggregate is not the scheme of a URL: the target is the sensor itself, where the sink with
	// this target collects RRsets for those whose From is its name.
	Aggregate
)

// schemes lists the form of each scheme's URL, what follows the scheme, and the function that
// reads what follows and returns the target's address.
var schemes = [...]struct {
	prefix, rest string
	parse        func(rest string) (address string, err error)
}{
	UDP:    {"udp://", "HOST:PORT", parseHostPort},
	File:   {"file://", "/DIR/NAME", parseFile},
	Stdout: {"stdout:", "", parseNothing},
	WSS:    {"wss://", "HOST/session/NAME", parseSession},
	WS:     {"ws://", "HOST/session/NAME", parseSession},
	Unix:   {"unix://", "/PATH", parseSocket},
	TCP:    {"tcp://", "HOST:PORT", parseHostPort},
	Kafka:  {"kafka://", "BROKER[,BROKER]/TOPIC", parseTopic},

	Aggregate: {prefix: "aggregate"}, // ParseTarget does not know it
}

// Target is the destination of a sink's bytes: its URL, parsed.
type Target struct {
	Scheme Scheme

	// Address is what follows the scheme. UDP and TCP: host:port; File: absolute path, a
	// strftime pattern; WSS and WS: host or host:port, and the path; Unix: absolute path;
	// Stdout: empty.
	Address string
}

// ParseTarget reads a URL of one of the allowed schemes; of any scheme if none is named. It does
// not resolve the host. Errors state what is wrong with the URL; they do not contain a URL that
// may contain a password.
func ParseTarget(url string, allowed ...Scheme) (Target, error) {
	if len(allowed) == 0 {
		allowed = []Scheme{UDP, File, Stdout, WSS, WS, Kafka, Unix, TCP}
	}
	if mayHoldSecret(url) {
		return Target{}, errors.New("a URL with a user, a password or a query is refused: it would appear in logs; give a secret in an attribute, with file(), env() or credential()")
	}
	var forms []string
	for _, scheme := range allowed {
		form := schemes[scheme]
		rest, ok := strings.CutPrefix(url, form.prefix)
		if !ok {
			forms = append(forms, form.prefix+form.rest)
			continue
		}
		address, err := form.parse(rest)
		if err != nil {
			return Target{}, fmt.Errorf("%s: %w", url, err)
		}
		return Target{scheme, address}, nil
	}
	want := forms[len(forms)-1]
	if others := forms[:len(forms)-1]; len(others) > 0 {
		want = strings.Join(others, ", ") + " or " + want
	}
	return Target{}, fmt.Errorf("%q is not a target: want %s", url, want)
}

// mayHoldSecret reports whether a URL may contain a user, a password or a query, which may be a
// key. A password may contain a slash, although it should not; only the paths of files may contain
// @ or a question mark.
func mayHoldSecret(url string) bool {
	scheme, rest, ok := strings.Cut(url, "://")
	if scheme == "file" || scheme == "unix" {
		rest, _, _ = strings.Cut(rest, "/")
	}
	return ok && strings.ContainsAny(rest, "@?")
}

func parseNothing(rest string) (string, error) {
	if rest != "" {
		return "", errors.New("nothing may follow")
	}
	return "", nil
}

func parseHostPort(hostport string) (string, error) {
	host, port, err := net.SplitHostPort(hostport)
	if err != nil {
		return "", err
	}
	n, err := strconv.ParseUint(port, 10, 16)
	if err != nil || n == 0 {
		return "", errors.New("port must be 1 to 65535")
	}
	if host == "" {
		return "", errors.New("host is missing")
	}
	return net.JoinHostPort(host, port), nil
}

func parseFile(path string) (string, error) {
	if !filepath.IsAbs(path) {
		return "", errors.New("the path must be absolute (file:///DIR/NAME)")
	}
	switch path[strings.LastIndexByte(path, '/')+1:] {
	case "", ".", "..":
		return "", errors.New("the file name after the directory is missing")
	}
	return filepath.Clean(path), nil
}

func parseSocket(path string) (string, error) {
	if !filepath.IsAbs(path) {
		return "", errors.New("the path must be absolute (unix:///PATH)")
	}
	return filepath.Clean(path), nil
}

// parseSession reads the address of a submission server. The port may be absent: then SRV
// records or the scheme's default give it.
func parseSession(rest string) (string, error) {
	host, path, _ := strings.Cut(rest, "/")
	if path == "" {
		return "", errors.New("the path after the host is missing (wss://HOST/session/NAME)")
	}
	if strings.Contains(path, "#") {
		return "", errors.New("a fragment is not allowed")
	}
	if u, err := url.Parse("//" + rest); err != nil || u.Host != host {
		return "", errors.New("the host or the path is not one of a URL: in a path, write a special character as %XX")
	}
	if _, _, err := net.SplitHostPort(host); err == nil {
		if host, err = parseHostPort(host); err != nil {
			return "", err
		}
	} else if host == "" || strings.ContainsAny(host, ":[] ") {
		return "", errors.New("want a host name, an IPv4 address, or HOST:PORT")
	}
	return host + "/" + path, nil
}

// defaultBrokerPort is the port of a broker whose address has none.
const defaultBrokerPort = "9092"

// parseTopic reads the address of a topic: brokers, separated by commas, and the topic.
func parseTopic(rest string) (string, error) {
	authority, name, _ := strings.Cut(rest, "/")
	topic, err := ParseTopic(name)
	if err != nil {
		return "", fmt.Errorf("after the brokers and a slash: %w", err)
	}
	brokers := strings.Split(authority, ",")
	for i := range brokers {
		if brokers[i], err = ParseBroker(brokers[i]); err != nil {
			return "", fmt.Errorf("broker %d: %w", i+1, err)
		}
	}
	return strings.Join(brokers, ",") + "/" + topic, nil
}

// ParseBroker reads the address of a Kafka broker, HOST:PORT or HOST, and returns it with its port.
func ParseBroker(address string) (string, error) {
	if address != "" && !strings.ContainsAny(address, ":[]") {
		address = net.JoinHostPort(address, defaultBrokerPort)
	}
	if strings.ContainsAny(address, "/, ") {
		return "", errors.New("want HOST:PORT or HOST")
	}
	return parseHostPort(address)
}

// longestTopic is the limit of brokers for the name of a topic, in bytes.
const longestTopic = 249

// ParseTopic returns the name of a topic, or an error if brokers do not accept it.
func ParseTopic(name string) (string, error) {
	const letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-"
	if name == "" || len(name) > longestTopic || name == "." || name == ".." || strings.Trim(name, letters) != "" {
		return "", fmt.Errorf("the name of a topic has 1 to %d of the characters a-z, A-Z, 0-9, dot, underscore and hyphen", longestTopic)
	}
	return name, nil
}

// Topic returns the brokers (HOST:PORT) and the topic of a Kafka target.
func (t Target) Topic() (brokers []string, topic string) {
	authority, topic, _ := strings.Cut(t.Address, "/")
	return strings.Split(authority, ","), topic
}

// String returns the target as its URL.
func (t Target) String() string { return schemes[t.Scheme].prefix + t.Address }

// Host returns the host of a target on a network: a name or an address without brackets. It is
// empty for other targets, and for Kafka the host of the first broker.
func (t Target) Host() string {
	hosts := t.Hosts()
	if len(hosts) == 0 {
		return ""
	}
	return hosts[0]
}

// Hosts returns the hosts of a target on a network: one, or for Kafka one for each broker.
func (t Target) Hosts() []string {
	switch t.Scheme {
	case File, Stdout, Unix, Aggregate:
		return nil
	case Kafka:
		brokers, _ := t.Topic()
		for i := range brokers {
			brokers[i] = hostOf(brokers[i])
		}
		return brokers
	}
	authority, _, _ := strings.Cut(t.Address, "/")
	return []string{hostOf(authority)}
}

// hostOf returns the host of HOST:PORT or HOST, without brackets.
func hostOf(authority string) string {
	if host, _, err := net.SplitHostPort(authority); err == nil {
		return host
	}
	return authority
}

// IsLoopback reports whether every host of the target is this machine by its name or address.
func (t Target) IsLoopback() bool {
	hosts := t.Hosts()
	return len(hosts) > 0 && !slices.ContainsFunc(hosts, func(host string) bool {
		addr, err := netip.ParseAddr(host)
		return host != "localhost" && (err != nil || !addr.Unmap().IsLoopback())
	})
}

// DefaultMTU returns the default size of a container in bytes: 1 MiB, for Kafka
// 256 KiB, on UDP 8192 to loopback and 1280 elsewhere, which fits an Ethernet frame.
func (t Target) DefaultMTU() int {
	switch {
	case t.Scheme == Kafka:
		return 256 << 10
	case t.Scheme != UDP:
		return 1 << 20
	case t.IsLoopback():
		return 8192
	}
	return 1280
}
