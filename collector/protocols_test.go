package collector

import (
	"bytes"
	"encoding/hex"
	"strings"
	"testing"
)

func TestOtherProtocolsAreNamed(t *testing.T) {
	// What PowerDNS Recursor 4.8.8 sends first with protobufServer for a query and for a response.
	query := unhex(t, "0053080112102835121486304b2285a42be7dbf8afe82001280132047f000001")
	response := unhex(t, "007d080262100a0a6c6f63616c686f73742e100118011a02766d402b12106753")
	const (
		noTLS    = "a TLS handshake, and this source speaks no TLS: add tls to the source, or set dnstap-tls: no in Unbound"
		http     = "an HTTP request, and this source reads dnstap: metrics and the status page are at admin.listen"
		proxy    = "a PROXY protocol header, which this source does not read: remove send-proxy or send-proxy-v2 at the proxy"
		powerdns = "PowerDNS's own protobuf messages, and this source reads dnstap: " +
			"call dnstapFrameStreamServer instead of protobufServer and outgoingProtobufServer"
	)
	tests := []struct {
		name, want string
		in         []byte
	}{
		{"TLS 1.0", noTLS, []byte{0x16, 3, 1, 2, 0, 1, 0}},
		{"HTTP GET", http, []byte("GET /metrics HTTP/1.1\r\n\r\n")},
		{"HTTP POST", http, []byte("POST / HTTP/1.1\r\n\r\n")},
		{"HTTP/2", http, []byte("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")},
		{"PROXY version 1", proxy, []byte("PROXY TCP4 192.0.2.53 192.0.2.60 40053 6000\r\n")},
		{"PROXY version 2", proxy, []byte("\r\n\r\n\x00\r\nQUIT\n\x21\x11\x00\x0c")},
		{"PowerDNS, query", powerdns, query},
		{"PowerDNS, response", powerdns, response},

		{"dnstap of 2,049 octets", "data frame of 2049 bytes before START", frame(make([]byte, 0x801))},
		{"dnstap of 67,590 octets", "data frame of 67590 bytes before START", frame(make([]byte, 0x10806))},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			checkHandshake(t, bytes.NewReader(tt.in), false, "at byte 0: "+tt.want)
			checkHandshake(t, bytes.NewReader(tt.in[:4]), false, "at byte 0: "+tt.want)
			r := startSource(t, unixConfig(t))
			nc := r.dial(t)
			send(t, nc, tt.in[:4])
			expectClosed(t, nc)
			eventually(t, "the protocol is logged", func() bool { return strings.Contains(r.log.String(), tt.want) })
			eventually(t, "the failure is kept", func() bool { return r.Failure().Error == "at byte 0: "+tt.want })
			if r.Failure().Time.IsZero() {
				t.Error("without its time")
			}
		})
	}
}

func unhex(t *testing.T, s string) []byte {
	b, err := hex.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}
