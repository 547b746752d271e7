package collector

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
)

// otherProtocols are protocols that a sender may use by mistake instead of Frame Streams, with
// the octets at the beginning of a connection and what to change.
var otherProtocols = []struct {
	begins []string
	remedy string
}{
	{[]string{"\x16\x03"}, // a TLS record: handshake, version 3.x (RFC 8446, section 5.1)
		"a TLS handshake, and this source speaks no TLS: add tls to the source, or set dnstap-tls: no in Unbound"},
	{[]string{"GET ", "HEAD", "POST", "PUT ", "DELE", "CONN", "OPTI", "TRAC", "PATC", "PRI "}, // RFC 9110, RFC 9113
		"an HTTP request, and this source reads dnstap: metrics and the status page are at admin.listen"},
	{[]string{"PROX", "\r\n\r\n"}, // version 1, version 2
		"a PROXY protocol header, which this source does not read: remove send-proxy or send-proxy-v2 at the proxy"},
}

// notControl returns the error for a data frame of this length in the handshake. If the length
// is the beginning of another protocol, the error names that protocol and the remedy.
func notControl(length uint32) error {
	if err := otherProtocol(binary.BigEndian.AppendUint32(nil, length)); err != nil {
		return err
	}
	return fmt.Errorf("data frame of %d bytes before START", length)
}

// otherProtocol returns an error that names the protocol of a connection that begins with these
// four octets, or nil.
func otherProtocol(first []byte) error {
	for _, p := range otherProtocols {
		for _, begin := range p.begins {
			if bytes.HasPrefix(first, []byte(begin)) {
				return errors.New(p.remedy)
			}
		}
	}
	if isPowerDNS(first) {
		return errors.New("PowerDNS's own protobuf messages, and this source reads dnstap: " +
			"call dnstapFrameStreamServer instead of protobufServer and outgoingProtobufServer")
	}
	return nil
}

// isPowerDNS reports whether the octets begin a PBDNSMessage with its length in front, as
// PowerDNS's protobufServer sends it: a length of two octets, and then the field type, which
// is from 1 to 4 (dnsmessage.proto).
func isPowerDNS(first []byte) bool {
	const tagOfType = 1 << 3
	length := binary.BigEndian.Uint16(first)
	return length > 0 && first[2] == tagOfType && first[3] >= 1 && first[3] <= 4
}

// withoutTLS returns an error that names the protocol of a connection to a source with TLS that
// begins with these octets, which are no TLS record; nil if the protocol is unknown.
func withoutTLS(first []byte) error {
	first = first[:lengthSize]
	if binary.BigEndian.Uint32(first) == 0 { // of a control frame
		return errors.New("dnstap without TLS, and this source requires TLS: " +
			"set dnstap-tls: yes in Unbound, or remove tls from the source")
	}
	return otherProtocol(first)
}
