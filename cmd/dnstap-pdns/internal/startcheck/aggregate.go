package startcheck

import (
	"fmt"
	"os"
	"strings"

	"github.com/dnstap-pdns/dnstap-pdns/forward"
	"github.com/dnstap-pdns/dnstap-pdns/forward/aggregate"
	"github.com/dnstap-pdns/dnstap-pdns/transform/rrset"
)

// aggregate checks the files of an aggregate: the folder of its state, and the root zone file.
func (c *check) aggregate(s *forward.SinkConfig) {
	a, ok := s.Transport.(aggregate.Config)
	if !ok {
		return
	}
	name := fmt.Sprintf("aggregate %q", s.Name)
	if a.State != "" {
		if dir := c.folder(name, strings.ReplaceAll(a.State, "%", "%%")); dir != "" {
			c.room(dir, a.MaxBytes, name+": only %d MiB are free in the folder of its state file, less than max_bytes",
				"Free some space, or set a smaller max_bytes: a state file that cannot be saved is missing after a restart.")
		}
	}
	if a.RootZone != "" {
		c.readable("root_zone", a.RootZone)
		if err := readRootZone(a.RootZone); err != nil {
			c.fail(fmt.Errorf("%s: root_zone: %w", name, err))
		}
	}
}

func readRootZone(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	if _, err := rrset.ReadSeed(f); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	return nil
}
