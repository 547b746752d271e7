package conf

import (
	"fmt"
	"path/filepath"

	"github.com/dnstap-pdns/dnstap-pdns/forward"
)

// A Collection is where init --sie submits records: the URL and the channel that it gave to the
// contributor.
type Collection struct {
	To      forward.Target
	Channel uint32
}

// KeyFolder is the folder of the file with the key of a collection, which systemd passes to the
// service.
const KeyFolder = "/etc/dnstap-pdns"

// SIEDropInPath is the file for SIEDropIn.
const SIEDropInPath = "/etc/systemd/system/dnstap-pdns.service.d/sie.conf"

const sieCredential = "sie-key"

// KeyPath returns the file with the key.
func (Collection) KeyPath() string { return filepath.Join(KeyFolder, sieCredential) }

// Name returns the name of the sink.
func (Collection) Name() string { return "sie" }

// Credential returns the name under which systemd passes the key.
func (Collection) Credential() string { return sieCredential }

// Sink returns the block of the sink.
func (c Collection) Sink() (string, error) { return execute("sie.hcl", nil, c) }

// SIEDropIn returns the drop-in with which systemd passes the key to the service.
func (c Collection) SIEDropIn() string {
	return fmt.Sprintf("[Service]\nLoadCredential=%s:%s\n", sieCredential, c.KeyPath())
}
