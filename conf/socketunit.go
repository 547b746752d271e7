package conf

import (
	"fmt"
	"strings"

	"github.com/dnstap-pdns/dnstap-pdns/collector"
)

// SocketDropInPath is the file for SocketDropIn.
const SocketDropInPath = "/etc/systemd/system/dnstap-pdns.socket.d/listen.conf"

// SocketDropIn returns the drop-in with which systemd makes the socket of a source, with the
// access rights that the source has.
func SocketDropIn(c collector.Config) string {
	lines := []string{"[Socket]", "ListenStream=", "ListenStream=" + strings.ReplaceAll(c.Address, "%", "%%")}
	if c.Network == "unix" {
		if c.Owner != "" {
			lines = append(lines, "SocketUser="+c.Owner)
		}
		if c.Group != "" {
			lines = append(lines, "SocketGroup="+c.Group)
		}
		lines = append(lines, fmt.Sprintf("SocketMode=%04o", c.Mode))
	}
	return strings.Join(lines, "\n") + "\n"
}
