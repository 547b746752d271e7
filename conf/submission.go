package conf

import (
	"github.com/dnstap-pdns/dnstap-pdns/conf/certs"
	"github.com/dnstap-pdns/dnstap-pdns/forward"
	"github.com/dnstap-pdns/dnstap-pdns/forward/wss"
)

// submission reads what a sink needs to submit records over a WebSocket: channel and key. files are
// those of its block tls; nil: there is none.
func (s *section) submission(to target, files *certs.ClientFiles) (c wss.Config) {
	submits := []forward.Scheme{forward.WSS, forward.WS}
	if !s.appliesTo(to, "it applies only to wss:// and ws:// targets", submits, "channel", "api_key") {
		return c
	}
	if to.known {
		s.require("channel", "without it the server does not know which collection the records are for")
		s.require("api_key", "without it the server does not know who sends the records")
	}
	c.Channel, c.APIKey = uint32(s.readNumber("channel")), s.readSecret("api_key")
	if files != nil {
		c.TLS = *files
	}
	if to.Scheme == forward.WS {
		s.warnIfUnencrypted(to, "The key leaves without encryption too: use wss://, or a loopback address.")
	}
	return c
}

// require reports the absence of an attribute that other attributes make necessary.
func (s *section) require(name, why string) {
	if !s.isWritten(name) {
		s.refuse(s.settings[name], s.header, why)
	}
}
