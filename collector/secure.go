package collector

import (
	"context"
	"crypto/tls"
	"fmt"
	"net/netip"
	"os"
	"strings"
	"time"
)

// secure does the TLS handshake, up to the deadline or until ctx ends.
func (c *conn) secure(ctx context.Context, deadline time.Time) error {
	inTime, cancel := context.WithDeadline(ctx, deadline)
	defer cancel()
	nc := tls.Server(c.nc, c.tls.Config())
	err := nc.HandshakeContext(inTime)
	switch {
	case err == nil:
		c.nc = nc
		c.identify(nc.ConnectionState())
		return nil
	case ctx.Err() != nil:
		return errStopped
	case inTime.Err() != nil:
		return os.ErrDeadlineExceeded
	}
	err = withoutAddress(err)
	if strings.HasSuffix(err.Error(), "tls: bad record MAC") {
		// In TLS 1.3 OpenSSL sends its alert as nothing that package tls can read.
		return fmt.Errorf("TLS: the peer seems to refuse our certificate: %w", err)
	}
	return fmt.Errorf("TLS: %w", err)
}

// identify names the peer in its log lines as its certificate does, unless that is
// by an address.
func (c *conn) identify(s tls.ConnectionState) {
	if len(s.VerifiedChains) == 0 {
		return
	}
	name := s.PeerCertificates[0].Subject.CommonName
	name = name[:min(len(name), maxLabel)]
	c.mu.Lock()
	c.shown.Peer.Name = name
	c.mu.Unlock()
	if _, err := netip.ParseAddr(name); err != nil {
		c.log = c.log.With("client", name)
	}
}

// close closes the connection. TLS says so to the peer, and would wait 5 s for one
// that does not read.
func (c *conn) close() {
	if nc, ok := c.nc.(*tls.Conn); ok {
		enough := time.AfterFunc(finishTime, func() { nc.NetConn().Close() })
		defer enough.Stop()
	}
	c.nc.Close()
}
