package forward

import (
	"fmt"
	"net"
	"net/netip"
	"path/filepath"
	"reflect"
	"strconv"
	"strings"
	"time"

	"github.com/dnstap-pdns/dnstap-pdns/forward/nmsg"
)

// SinkConfig describes one sink. A reload that changes any field swaps the sink's
// transport.
type SinkConfig struct {
	Name      string // the block's label
	Target    Target
	Format    Format
	IDs       nmsg.IDs        // of the sink's payloads
	MTU       int             // bytes of one container at most; a larger payload is fragmented on UDP, else alone in its container
	Flush     time.Duration   // longest time that a record waits for its container to fill
	Queue     int64           // bytes of sealed batches in the queue at most
	Zlib      bool            // compress containers
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
)

// Target is the destination of a sink's bytes: its URL, parsed.
type Target struct {
	Scheme  Scheme
	Address string // UDP: host:port; file: absolute path, a strftime pattern; stdout: empty
}

// ParseTarget reads udp://HOST:PORT, file:///DIR/PATTERN or stdout:. It does not resolve
// the host. Errors state what is wrong with the URL.
func ParseTarget(url string) (Target, error) {
	switch {
	case url == "stdout:":
		return Target{Scheme: Stdout}, nil
	case strings.HasPrefix(url, "udp://"):
		return parseUDP(strings.TrimPrefix(url, "udp://"))
	case strings.HasPrefix(url, "file://"):
		return parseFile(strings.TrimPrefix(url, "file://"))
	}
	return Target{}, fmt.Errorf("%q is not a target: want stdout:, udp://HOST:PORT or file:///DIR/NAME", url)
}

func parseUDP(hostport string) (Target, error) {
	host, port, err := net.SplitHostPort(hostport)
	if err != nil {
		return Target{}, fmt.Errorf("udp://%s: %w", hostport, err)
	}
	n, err := strconv.ParseUint(port, 10, 16)
	if err != nil || n == 0 {
		return Target{}, fmt.Errorf("udp://%s: port must be 1 to 65535", hostport)
	}
	if host == "" {
		return Target{}, fmt.Errorf("udp://%s: host is missing", hostport)
	}
	return Target{Scheme: UDP, Address: net.JoinHostPort(host, port)}, nil
}

func parseFile(path string) (Target, error) {
	if !filepath.IsAbs(path) {
		return Target{}, fmt.Errorf("file://%s: the path must be absolute (file:///DIR/NAME)", path)
	}
	switch path[strings.LastIndexByte(path, '/')+1:] {
	case "", ".", "..":
		return Target{}, fmt.Errorf("file://%s: the file name after the directory is missing", path)
	}
	return Target{Scheme: File, Address: filepath.Clean(path)}, nil
}

// String returns the target as its URL.
func (t Target) String() string {
	switch t.Scheme {
	case UDP:
		return "udp://" + t.Address
	case File:
		return "file://" + t.Address
	default:
		return "stdout:"
	}
}

// DefaultMTU returns the default size of a container in bytes: 1 MiB for files and
// standard output, 8192 on loopback, and 1280 elsewhere, which fits an Ethernet frame.
func (t Target) DefaultMTU() int {
	if t.Scheme != UDP {
		return 1 << 20
	}
	host, _, _ := net.SplitHostPort(t.Address)
	if addr, err := netip.ParseAddr(host); host == "localhost" || err == nil && addr.IsLoopback() {
		return 8192
	}
	return 1280
}
