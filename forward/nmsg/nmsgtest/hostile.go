package nmsgtest

import (
	"bytes"

	"github.com/miekg/dns"

	"github.com/dnstap-pdns/dnstap-pdns/forward/nmsg"
)

// Hostile are texts that harm a terminal, a browser, a shell or a parser of JSON or lines.
var Hostile = []string{
	"\x1b[2J\x1b]0;owned\x07", "\x9b31m", "\x1b]8;;http://evil.test\x1b\\", "\r\n", "\u202egnp.exe", "\xff\xfe\x80",
	"\u009b31m", "\u2066x\u2069", "\u2028", "\ufeff", "\U000e0041",
	"<script>alert(1)</script>", "&amp;", "%s%n%!d(MISSING)", "${IFS}$(id)`id`", "\x00\x7f\x08", `"};{"`, `\u001b`, "; rm", "é",
}

// HostileRecords is the number of answers in the first of HostileMessages.
const HostileRecords = 8

// HostileMessages returns payloads that contain s in every field that has room for it.
func HostileMessages(s string) []nmsg.Message {
	label := append([]byte{byte(len(s))}, s...)
	name := append(bytes.Clone(label), 0)
	text := bytes.Clone(label)
	option := append([]byte{0, 15, 0, byte(2 + len(s)), 0, 0}, s...)
	svc := append(append(append([]byte{0, 1}, name...), 0, 1, 0, byte(len(text))), text...)
	response := Response(
		Record(dns.TypeNS, dns.ClassINET, 1, name),
		Record(dns.TypeTXT, dns.ClassINET, 1, text),
		Record(dns.TypeSVCB, dns.ClassINET, 1, svc),
		Record(dns.TypeCAA, dns.ClassINET, 1, append([]byte{0}, append(text, s...)...)),
		Record(dns.TypeURI, dns.ClassINET, 1, append([]byte{0, 1, 0, 1}, s...)),
		Record(65000, dns.ClassINET, 1, []byte(s)),
		Record(dns.TypeA, dns.ClassCHAOS, 1, []byte(s)),
		Record(dns.TypeOPT, 4096, 0, append(option, append([]byte{0, 10, 0, byte(len(s))}, s...)...)),
		append(bytes.Clone(name), Record(dns.TypeA, 64000, 1, []byte(s))[1:]...),
	)
	tap := Fields{}.Bytes(1, []byte(s)).Bytes(2, []byte(s)).Bytes(3, []byte(s)).Varint(15, 1)
	message := Fields{}.Varint(1, 4).Bytes(4, []byte(s)).Bytes(5, []byte(s)).Bytes(11, []byte(s)).Bytes(14, response)
	return []nmsg.Message{
		DNSObs(name, response, name),
		DNSObs([]byte(s), []byte(s), []byte(s)),
		Base(nmsg.NumberDNSTap, tap.Bytes(14, message)),
		Base(nmsg.NumberDNSQR, DNSQR().Bytes(8, []byte(s)).Bytes(12, []byte(s)).Bytes(15, []byte(s)).Bytes(18, []byte(s))),
		DNSDedupe(name, dns.TypeNS, name),
		DNSDedupe([]byte(s), dns.TypeTXT, text, []byte(s)),
		{Vendor: 99, Type: 99, Data: []byte(s)},
	}
}
