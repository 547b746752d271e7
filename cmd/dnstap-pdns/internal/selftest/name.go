package selftest

import (
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"regexp"
	"strings"

	"github.com/miekg/dns"
)

const (
	prefix    = "dnstap-pdns-selftest-"
	randomLen = 16 // bytes, with two digits each
)

// RandomName returns a name below the zone that is unique to this run, in lower case and with
// the final dot.
func RandomName(zone string) (string, error) {
	random := make([]byte, randomLen)
	rand.Read(random) // never fails
	name := prefix + hex.EncodeToString(random) + "." + strings.ToLower(dns.Fqdn(zone))
	if _, err := parseTarget(name); err != nil {
		return "", fmt.Errorf("making a name below %q: %w", zone, err)
	}
	return name, nil
}

// pattern matches the names that may be observed. Labels of the zone are those of hosts and
// services.
var pattern = regexp.MustCompile(`\A` + prefix + `[0-9a-f]{16,42}(\.[a-z0-9_-]{1,63})+\.\z`)

// A target is a name to observe, in lowercase wire form.
type target struct {
	name  []byte
	label []byte // the octets of the first label, which are unique to this run
}

func parseTarget(name string) (target, error) {
	name = strings.ToLower(dns.Fqdn(name))
	if !pattern.MatchString(name) {
		return target{}, fmt.Errorf("%q is not "+prefix+", 16 to 42 hexadecimal digits, and a zone", name)
	}
	wire := make([]byte, 255)
	n, err := dns.PackDomainName(name, wire, 0, nil, false)
	if err != nil {
		return target{}, fmt.Errorf("%q is not a domain name: %w", name, err)
	}
	return target{name: wire[:n], label: wire[1 : 1+wire[0]]}, nil
}
