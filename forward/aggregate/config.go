package aggregate

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"time"

	"github.com/dnstap-pdns/dnstap-pdns/forward"
	"github.com/dnstap-pdns/dnstap-pdns/transform"
	"github.com/dnstap-pdns/dnstap-pdns/transform/rrset"
)

// Config configures an aggregate sink.
type Config struct {
	Window     time.Duration // from the first sight of an RRset until it is emitted
	MaxEntries int           // RRsets in the window
	MaxBytes   int64         // of their memory
	Insertions bool          // RRsets are also emitted when they are first seen in a window
	Release    int           // NMSG source ids that must have reported an RRset before it is emitted, 2 to 4; 0: all are emitted
	State      string        // path of the file that keeps the window over restarts; empty: none. Replay does not use it

	BailiwickWait time.Duration // how long a response that cannot be verified is held, in record time
	RootServers   []netip.Addr  // addresses that have the authority of the root; empty: those of the root's thirteen servers
	RootZone      string        // path of a root zone file, whose delegations are known from the start; empty: none
}

// Memory in addition to MaxBytes.
const (
	delegationBytes = 64 << 20
	heldBytes       = 16 << 20
)

// New returns the transport of a sink. It reads the root zone file.
func (c Config) New(sink *forward.SinkConfig, env forward.Env) (forward.Transport, error) {
	if _, ok := sink.Format.(Format); !ok {
		return nil, fmt.Errorf("an aggregate sink needs its own format, not %T", sink.Format)
	}
	if c.Release > 0 && c.State != "" {
		return nil, errors.New("state and release exclude each other: the state file does not have the sources that reported an RRset")
	}
	if len(c.RootServers) == 0 {
		c.RootServers = transform.RootServers()
	}
	t := &transport{config: c, env: env, start: time.Now(), now: transform.NoTime}
	t.observe = t.observeVerified
	if env.Mode == forward.Live && c.State != "" {
		t.state = newState(c.State, env.Log)
	}
	var err error
	if t.seed, err = readSeed(c.RootZone); err != nil {
		return nil, err
	}
	if t.table, err = rrset.NewTable(t.limits(), t.emit); err != nil {
		return nil, err
	}
	return t, nil
}

func readSeed(path string) (*rrset.Seed, error) {
	if path == "" {
		return nil, nil
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	s, err := rrset.ReadSeed(f)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return s, nil
}
