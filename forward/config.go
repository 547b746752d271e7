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
	IDs       nmsg.IDs        // of the payloads that lanes make for the sink
	MTU       int             // bytes of one container at most; a single larger payload is fragmented on UDP, else alone in its container
	Flush     time.Duration   // how long a record waits for its container to fill
	Queue     int64           // bytes of finished batches that wait for the sink at most
	Zlib      bool            // compress containers
	Transport TransportConfig // what only this kind of transport has
}

// Equal reports whether both describe the same sink in every field.
func (c *SinkConfig) Equal(o *SinkConfig) bool { return reflect.DeepEqual(c, o) }

// limit is the size, in bytes, that a unit is filled up to.
func (c *SinkConfig) limit() int { return min(c.MTU, BatchSize) }

// carries reports whether batches that were made for old can be sent as c says: the
// format is the same, and no unit was filled beyond c's limit.
func (c *SinkConfig) carries(old *SinkConfig) bool {
	return c.Format == old.Format && c.limit() >= old.limit()
}

// Scheme is how a sink's bytes travel.
type Scheme uint8

const (
	UDP Scheme = iota
	File
	Stdout
)

// Target is where a sink's bytes go, as its URL says.
type Target struct {
	Scheme  Scheme
	Address string // UDP: host:port; file: absolute path, a strftime pattern; stdout: empty
}

// ParseTarget reads udp://HOST:PORT, file:///DIR/PATTERN or stdout:. The host is
// not resolved here. Errors say what is wrong with the URL.
func ParseTarget(url string) (Target, error) {
	switch {
	case url == "stdout:":
		return Target{Scheme: Stdout}, nil
	case strings.HasPrefix(url, "udp://"):
		return parseUDP(strings.TrimPrefix(url, "udp://"))
	case strings.HasPrefix(url, "file://"):
		return parseFile(strings.TrimPrefix(url, "file://"))
	}
	return Target{}, fmt.Errorf("%q is no target: want stdout:, udp://HOST:PORT or file:///DIR/NAME", url)
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
		return Target{}, fmt.Errorf("file://%s: a file name is missing behind the directory", path)
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

// DefaultMTU is the container size, in bytes, that suits the way: what loopback
// and a file take whole, and what an Ethernet frame carries unfragmented.
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
