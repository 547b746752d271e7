package forward

import (
	"fmt"
	"net"
	"net/netip"
	"path/filepath"
	"strconv"
	"strings"
)

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
