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
	randomLen = 16 // bytes, of which each makes two digits
)

// Draw returns a name below the zone that is unique to this run: in lower case, with
// the final dot.
func Draw(zone string) (string, error) {
	random := make([]byte, randomLen)
	rand.Read(random) // which never fails
	name := prefix + hex.EncodeToString(random) + "." + strings.ToLower(dns.Fqdn(zone))
	if _, err := parseTarget(name); err != nil {
		return "", fmt.Errorf("no name can be made below %q: %w", zone, err)
	}
	return name, nil
}

// pattern is what may be watched for. The zone is a name as hosts and services have it.
var pattern = regexp.MustCompile(`\A` + prefix + `[0-9a-f]{16,42}(\.[a-z0-9_-]{1,63})+\.\z`)

// A target is a name that is watched for, in lowercase wire form.
type target struct {
	name  []byte
	label []byte // the first, with its length: nothing else has it
}

func parseTarget(name string) (target, error) {
	name = strings.ToLower(dns.Fqdn(name))
	if !pattern.MatchString(name) {
		return target{}, fmt.Errorf("%q is not "+prefix+", 16 hexadecimal digits or more, and a zone", name)
	}
	wire := make([]byte, 255)
	n, err := dns.PackDomainName(name, wire, 0, nil, false)
	if err != nil {
		return target{}, fmt.Errorf("%q is no domain name: %w", name, err)
	}
	return target{name: wire[:n], label: wire[:1+wire[0]]}, nil
}
