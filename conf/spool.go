package conf

import (
	"errors"
	"path/filepath"

	"github.com/dnstap-pdns/dnstap-pdns/forward"
	"github.com/dnstap-pdns/dnstap-pdns/forward/spool"
)

// spool reads the block spool of a sink; nil: there is none.
func (s *section) spool(to target) *spool.Config {
	acknowledge := []forward.Scheme{forward.WSS, forward.WS, forward.Kafka}
	if !s.appliesTo(to, "it applies only to wss://, ws:// and kafka:// targets", acknowledge, "spool") {
		return nil
	}
	in := s.innerBlock("spool")
	if in == nil {
		return nil
	}
	return &spool.Config{
		Dir:      readText(in, "dir", parseFolder),
		MaxBytes: in.readSize("max_bytes"),
		MaxAge:   in.readDurationOrZero("max_age"),
	}
}

// spooled returns a transport with a spool; nil: it has none.
func spooled(c *spool.Config, t forward.TransportConfig) forward.TransportConfig {
	if c == nil {
		return t
	}
	c.Transport = t
	return *c
}

// parseFolder reads the path of a folder, which need not exist.
func parseFolder(v string) (string, error) {
	if !filepath.IsAbs(v) {
		return "", errors.New("the path must be absolute")
	}
	v, err := parsePath(v)
	return filepath.Clean(v), err
}
