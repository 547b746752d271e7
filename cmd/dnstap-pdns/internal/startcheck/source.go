package startcheck

import (
	"fmt"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/dnstap-pdns/dnstap-pdns/collector"
	"github.com/dnstap-pdns/dnstap-pdns/collector/sockfile"
	"github.com/dnstap-pdns/dnstap-pdns/fallback/pcap"
)

// dnstap checks the address, the socket's access and the TLS files of a source.
func (c *check) dnstap(s *collector.Config) {
	name := fmt.Sprintf("source %q", s.Name)
	for _, file := range []string{s.TLS.Cert, s.TLS.Key, s.TLS.ClientCA} {
		c.readable(name, file)
	}
	if c.listens(s.Network, s.Address) {
		if err := s.TLS.Check(); err != nil {
			c.fail(fmt.Errorf("%s: %w", name, err))
		}
		c.openToAll(name, s)
		return
	}
	if c.isOfSystemd(s) {
		c.openToAll(name, s)
		if _, err := os.Lstat(s.Address); err == nil {
			c.excluded(name)(sockfile.CurrentExclusions(s.Address, true))
		}
		return
	}
	inUse, err := collector.Probe(*s)
	if err != nil {
		c.fail(fmt.Errorf("%s: %w", name, err))
		return
	}
	if inUse {
		c.inUse(name)
	}
	if c.o.Later != nil {
		c.excluded(name)(collector.PredictExclusions(*s))
	}
}

// openToAll warns of a socket that exists, possibly with another mode than the configured one,
// and to which every user may write.
func (c *check) openToAll(name string, s *collector.Config) {
	if s.Network != "unix" || s.Mode&write != 0 {
		return // not a socket file, or a warning about the configuration
	}
	if found, err := os.Lstat(s.Address); err == nil && found.Mode()&write != 0 {
		c.warn(fmt.Sprintf("%s: every user of this machine may write to the socket (mode %04o), and can invent records", name, found.Mode().Perm()),
			"If systemd makes it, set SocketMode=0660 and SocketGroup= to the group of the resolver in its socket unit, and restart that.")
	}
}

// isOfSystemd reports whether systemd makes the socket of the source.
func (c *check) isOfSystemd(s *collector.Config) bool {
	return c.o.Later != nil && s.Network == "unix" && slices.Contains(c.o.Later.Units.Sockets, s.Address)
}

// excluded returns a function that warns of resolvers that cannot connect.
func (c *check) excluded(name string) func([]sockfile.Exclusion, error) {
	return func(all []sockfile.Exclusion, err error) {
		if err != nil {
			c.warn(fmt.Sprintf("%s: %v", name, err), "Without it check cannot predict which resolvers may connect.")
		}
		for _, e := range all {
			c.warn(fmt.Sprintf("%s: %s, as user %s, cannot connect: %s", name, e.Resolver, e.User, e.Problem), "If it is to: "+e.Advice+".")
		}
	}
}

// read is the permission bit to read a file.
const read fs.FileMode = 4

// readable warns of a file that the user of the service cannot read. This process may be
// root's.
func (c *check) readable(what, path string) {
	if path != "" {
		c.permitted(what, path, read, "read", wouldNotStart)
	}
}

const wouldNotStart = "the sensor would not start"

// permitted warns of a file or folder that exists, and on which the user of the service lacks
// a right. effect is the consequence.
func (c *check) permitted(what, path string, want fs.FileMode, verb, effect string) {
	l := c.o.Later
	if l == nil || l.Inside || l.Units.User == "" {
		return
	}
	problem, err := sockfile.Denied(path, want, l.Units.User, l.Units.Groups)
	if err == nil && problem != "" {
		c.warn(fmt.Sprintf("%s: the service runs as user %s, which may not %s %s", what, l.Units.User, verb, problem),
			"Give this right to the user, to others, or to a group in SupplementaryGroups= of a drop-in: "+effect+".")
	}
}

// packets checks the interfaces of a source, and that this process may capture.
func (c *check) packets(s *pcap.Config) {
	if len(s.Interfaces) == 0 {
		return // an error of Runnable
	}
	name := fmt.Sprintf("source %q", s.Name)
	if err := pcap.Probe(*s); err != nil {
		c.fail(fmt.Errorf("%s: %w", name, err))
		return
	}
	if l := c.o.Later; l != nil && !l.Inside && l.Units.User != "" && !l.Units.Captures {
		c.warn(fmt.Sprintf("%s: the service may not capture packets: its unit has no AmbientCapabilities=CAP_NET_RAW", name),
			"Install conf/systemd/pcap.conf as a drop-in: the sensor would not start.")
	}
	for _, i := range s.Interfaces {
		if found, err := net.InterfaceByName(i); err == nil && found.Flags&net.FlagUp == 0 {
			c.warn(fmt.Sprintf("%s: interface %s is down", name, i), "Bring it up, or configure another interface.")
		}
	}
	if !s.Promiscuous && !s.Decapsulate && !forwardsPackets() {
		c.resolvers(name, s.Resolvers)
	}
}

// resolvers warns of addresses that no interface has, if packets of other hosts are not
// captured.
func (c *check) resolvers(name string, resolvers []netip.Prefix) {
	own, err := net.InterfaceAddrs()
	if err != nil {
		c.warn(fmt.Sprintf("%s: the addresses of this machine cannot be read: %v", name, err), "Without them check cannot compare resolvers with them.")
		return
	}
	var foreign []string
	for i, p := range resolvers {
		if !slices.ContainsFunc(own, func(a net.Addr) bool { return contains(p, a) }) {
			foreign = append(foreign, strconv.Itoa(i+1))
		}
	}
	if len(foreign) > 0 {
		c.warn(fmt.Sprintf("%s: no interface of this machine has an address of resolvers (elements: %s)", name, strings.Join(foreign, ", ")),
			"Without promiscuous, only packets from and to this machine are captured. Correct resolvers, or set promiscuous = true if a span port mirrors the traffic of another host.")
	}
}

func contains(p netip.Prefix, a net.Addr) bool {
	own, err := netip.ParsePrefix(a.String())
	return err == nil && p.Contains(own.Addr().Unmap())
}

// forwardsPackets reports whether this machine forwards packets of others, as routers and
// hosts of containers do.
func forwardsPackets() bool {
	for _, path := range []string{"/proc/sys/net/ipv4/ip_forward", "/proc/sys/net/ipv6/conf/all/forwarding"} {
		if b, err := os.ReadFile(path); err == nil && strings.TrimSpace(string(b)) != "0" {
			return true
		}
	}
	return false
}
