package present

import (
	"encoding/base64"
	"fmt"
	"net/netip"

	"github.com/miekg/dns"

	"github.com/dnstap-pdns/dnstap-pdns/forward/nmsg"
	"github.com/dnstap-pdns/dnstap-pdns/forward/nmsg/nmsgjson"
	"github.com/dnstap-pdns/dnstap-pdns/transform/dnstext"
)

// AppendText appends the message as a person reads it: a line with time, addresses, question and
// result, then, indented, the records of the response, or of the query if there is no response,
// in zone file form. An RRset of dnsdedupe has its bailiwick, times and count in the line. If the message is not of its payload's message type, it returns b and an
// error.
func AppendText(b []byte, m nmsg.Message) ([]byte, error) {
	var w textWriter
	return w.append(b, m)
}

// textWriter writes text. Package dnstext formats every octet of a message, or it is base64, so
// that the text is printable ASCII.
type textWriter struct {
	b       []byte
	message dnstext.Message
}

func (w *textWriter) append(b []byte, m nmsg.Message) ([]byte, error) {
	w.b = nmsgjson.AppendTime(b, m.Sec, m.Nsec)
	if m.Nsec == 0 {
		w.b = w.b[:len(w.b)-len(".000000000")]
	}
	_, name, known := m.Name()
	if !known {
		w.printf(" vendor=%d type=%d bytes=%d", m.Vendor, m.Type, len(m.Data))
		w.ids(m)
		w.printf("\n  ; %s\n", base64.StdEncoding.EncodeToString(m.Data))
		return w.b, nil
	}
	w.word(name)
	if m.Vendor == nmsg.VendorSIE {
		if err := w.dedupe(m); err != nil {
			return b, err
		}
		return w.b, nil
	}
	s, err := summarize(m.Type, m.Data)
	if err != nil {
		return b, err
	}
	w.records(&s, m)
	return w.b, nil
}

func (w *textWriter) records(s *summary, m nmsg.Message) {
	msg := s.response
	if msg == nil {
		msg = s.query
	}
	readable := msg != nil && w.message.Parse(msg)
	if readable {
		s.complete(&w.message)
	}
	w.headline(s, readable)
	w.ids(m)
	w.printf("\n")
	switch {
	case readable:
		w.edns()
		w.sections()
	case msg != nil:
		w.printf("  ; no readable DNS message: %d bytes\n", len(msg))
	}
}

func (w *textWriter) headline(s *summary, readable bool) {
	if s.event != "" {
		w.word(s.event)
	}
	w.endpoint("", s.server, 53)
	if s.transport != "" && s.transport != "UDP" {
		w.word(s.transport)
	}
	w.question(s)
	if s.rcode != nil {
		w.word(dnstext.Rcode(*s.rcode))
	}
	if readable && s.response != nil {
		for _, flag := range w.message.AppendFlags(nil) {
			if flag != "qr" { // a response has it
				w.word(flag)
			}
		}
	}
	if len(s.zone) > 0 {
		w.name(" zone=", s.zone)
	}
	if s.delay != 0 {
		w.printf(" delay=%.6fs", s.delay)
	}
	if s.timeout != nil {
		w.printf(" timeout=%.6fs", *s.timeout)
	}
	if s.resolver.IsValid() && !s.resolver.Addr().IsUnspecified() {
		w.endpoint("resolver=", s.resolver, 0)
	}
}

func (w *textWriter) question(s *summary) {
	if s.qname == nil {
		return
	}
	w.name(" ", s.qname)
	if s.qclass != dns.ClassINET {
		w.word(dnstext.Class(s.qclass))
	}
	w.word(dnstext.Type(s.qtype))
}

func (w *textWriter) printf(format string, args ...any) { w.b = fmt.Appendf(w.b, format, args...) }

func (w *textWriter) word(s string) { w.b = append(append(w.b, ' '), s...) }

func (w *textWriter) name(before string, name []byte) {
	w.b = dnstext.AppendName(append(w.b, before...), name, dnstext.Zone)
}

// endpoint writes an address, and its port unless it is the usual port or unknown.
func (w *textWriter) endpoint(key string, e netip.AddrPort, usual uint16) {
	if !e.IsValid() {
		return
	}
	w.word(key)
	if e.Port() == usual || e.Port() == 0 {
		w.b = dnstext.AppendAddr(w.b, e.Addr())
		return
	}
	w.b = e.AppendTo(w.b)
}

func (w *textWriter) ids(m nmsg.Message) {
	if m.Source != 0 {
		w.printf(" source=%08x", m.Source)
	}
	if m.Operator != 0 {
		w.printf(" operator=%d", m.Operator)
	}
	if m.Group != 0 {
		w.printf(" group=%d", m.Group)
	}
}

func (w *textWriter) edns() {
	e := &w.message.EDNS
	if !e.Present {
		return
	}
	w.printf("  ; edns version %d", e.Version)
	if e.DO {
		w.word("do")
	}
	w.printf(" udp %d", e.UDPSize)
	for rest := e.Options; len(rest) > 0; {
		w.b, rest = dnstext.AppendOption(append(w.b, ", "...), rest)
	}
	w.printf("\n")
}

func (w *textWriter) sections() {
	m := &w.message
	for i, sets := range m.Sections {
		if len(sets) > 0 {
			w.printf("  ; %s\n", dnstext.Sections[i])
		}
		for j := range sets {
			set := &sets[j]
			for rdata := range m.Records(set) {
				w.name("  ", set.Owner)
				w.printf(" %d %s %s ", set.TTL, dnstext.Class(set.Class), dnstext.Type(set.Type))
				w.b, _ = m.AppendRdata(w.b, set, rdata, dnstext.Zone)
				w.printf("\n")
			}
		}
	}
}
