package collector

import (
	"os"
	"time"
)

// Config describes one dnstap source: where it listens and what it grants to
// those who connect.
type Config struct {
	Name    string // the block's label
	Network string // "unix" or "tcp"
	Address string // absolute socket path, or host:port

	TLS TLS // TCP only; the zero value: none

	// Unix socket only.
	Mode  os.FileMode // permission bits of the socket
	Owner string      // user name or number; empty: as created
	Group string      // group name or number; empty: as created

	MaxConnections   int           // at once; then newcomers are refused, or take the place of a peer that has more
	MaxFrame         int           // bytes of one data frame; larger ones are skipped and counted
	HandshakeTimeout time.Duration // from accept to START
}
