package present

import (
	"encoding/base64"
	"net/netip"
	"strconv"

	"github.com/miekg/dns"

	"github.com/dnstap-pdns/dnstap-pdns/forward/nmsg"
)

// summary is what the first line of a message's text says. What is zero, nil or
// invalid is not known.
type summary struct {
	event            string // what it is, where that is not a response with its query
	server, resolver netip.AddrPort
	transport        string
	qname            []byte // wire form
	qtype, qclass    uint16
	rcode            *uint16
	zone             []byte   // wire form
	delay            float64  // seconds from query to response; 0 where times are too coarse to tell
	timeout          *float64 // seconds that a response was waited for
	query, response  []byte   // DNS messages
}

// AppendText appends the message for a person to read: a line that says when,
// who and what, then the response's records (or the query's, where there is no
// response), indented, in zone file form. On an error, a message that is not
// what its type says, b is returned as it was.
func AppendText(b []byte, m nmsg.Message) ([]byte, error) {
	var w textWriter
	return w.lines(b, m)
}

// textWriter writes text. Everything that came from outside goes through
// appendName, appendRdata, appendPrintable or a mnemonic, which let through
// printable ASCII only.
type textWriter struct {
	b       []byte
	message message
}

func (w *textWriter) lines(b []byte, m nmsg.Message) ([]byte, error) {
	w.b = appendTime(b, m.Sec, m.Nsec)
	if m.Nsec == 0 {
		w.b = w.b[:len(w.b)-len(".000000000")]
	}
	kind, known := kindOf(m)
	if !known {
		w.unknown(m)
		return w.b, nil
	}
	_, name := names(m.Vendor, m.Type)
	w.word(name)
	s, err := summarize(kind, m.Data)
	if err != nil {
		return b, err
	}
	w.records(&s, m)
	return w.b, nil
}

func summarize(kind uint32, data []byte) (summary, error) {
	switch kind {
	case typeDNSQR:
		return summarizeDNSQR(data)
	case typeDNSTap:
		return summarizeDNSTap(data)
	}
	return summarizeDNSObs(data)
}

// unknown writes a message of a type that nothing here can read.
func (w *textWriter) unknown(m nmsg.Message) {
	w.number("vendor", uint64(m.Vendor))
	w.number("type", uint64(m.Type))
	w.number("bytes", uint64(len(m.Data)))
	w.ids(m)
	w.b = append(w.b, "\n  ; "...)
	w.b = base64.StdEncoding.AppendEncode(w.b, m.Data)
	w.b = append(w.b, '\n')
}

func (w *textWriter) records(s *summary, m nmsg.Message) {
	msg := s.response
	if msg == nil {
		msg = s.query
	}
	readable := msg != nil && w.message.parse(msg)
	if readable {
		s.complete(&w.message)
	}
	w.headline(s, readable)
	w.ids(m)
	w.b = append(w.b, '\n')
	switch {
	case readable:
		w.edns()
		w.sections()
	case msg != nil:
		w.b = strconv.AppendInt(append(w.b, "  ; no readable DNS message: "...), int64(len(msg)), 10)
		w.b = append(w.b, " bytes\n"...)
	}
}

// complete fills in what only the DNS message says.
func (s *summary) complete(m *message) {
	if s.qname == nil && len(m.questions) > 0 {
		q := &m.questions[0]
		s.qname, s.qtype, s.qclass = q.name.of(m.names), q.typ, q.class
	}
	if s.response != nil {
		s.rcode = &m.rcode
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
		w.b = appendRcode(append(w.b, ' '), *s.rcode)
	}
	if readable && s.response != nil {
		w.flags()
	}
	if len(s.zone) > 0 {
		w.b = appendName(append(w.b, " zone="...), s.zone, zoneForm)
	}
	if s.delay != 0 {
		w.seconds(" delay=", s.delay)
	}
	if s.timeout != nil {
		w.seconds(" timeout=", *s.timeout)
	}
	if s.resolver.IsValid() && !s.resolver.Addr().IsUnspecified() {
		w.endpoint("resolver=", s.resolver, 0)
	}
}

func (w *textWriter) question(s *summary) {
	if s.qname == nil {
		return
	}
	w.b = appendName(append(w.b, ' '), s.qname, zoneForm)
	if s.qclass != dns.ClassINET {
		w.b = appendClass(append(w.b, ' '), s.qclass)
	}
	w.b = appendType(append(w.b, ' '), s.qtype)
}

func (w *textWriter) flags() {
	const flagQR = 1 << 15 // said by "response" already
	for _, flag := range headerFlags {
		if flag.bit != flagQR && w.message.flags&flag.bit != 0 {
			w.word(flag.name)
		}
	}
}

func (w *textWriter) word(s string) { w.b = append(append(w.b, ' '), s...) }

func (w *textWriter) number(key string, v uint64) {
	w.word(key)
	w.b = strconv.AppendUint(append(w.b, '='), v, 10)
}

func (w *textWriter) seconds(key string, v float64) {
	w.b = append(strconv.AppendFloat(append(w.b, key...), v, 'f', 6, 64), 's')
}

// endpoint writes an address, and its port unless it is the usual one or not
// known.
func (w *textWriter) endpoint(key string, e netip.AddrPort, usual uint16) {
	if !e.IsValid() {
		return
	}
	w.word(key)
	if e.Port() == usual || e.Port() == 0 {
		w.b = appendAddr(w.b, e.Addr())
		return
	}
	w.b = e.AppendTo(w.b)
}

func (w *textWriter) ids(m nmsg.Message) {
	if m.Source != 0 {
		w.word("source=")
		w.b = appendSource(w.b, m.Source)
	}
	if m.Operator != 0 {
		w.number("operator", uint64(m.Operator))
	}
	if m.Group != 0 {
		w.number("group", uint64(m.Group))
	}
}

func (w *textWriter) edns() {
	e := &w.message.edns
	if !e.present {
		return
	}
	w.b = strconv.AppendUint(append(w.b, "  ; edns version "...), uint64(e.version), 10)
	if e.flags&flagDO != 0 {
		w.word("do")
	}
	w.b = strconv.AppendUint(append(w.b, " udp "...), uint64(e.udpSize), 10)
	for rest := e.options.of(w.message.wire); len(rest) > 0; {
		w.b, rest = nextOption(append(w.b, ", "...), rest)
	}
	w.b = append(w.b, '\n')
}

func (w *textWriter) sections() {
	for i, name := range sectionNames {
		sets := w.message.sections[i]
		if len(sets) == 0 {
			continue
		}
		w.b = append(append(append(w.b, "  ; "...), name...), '\n')
		for j := range sets {
			w.rrset(&sets[j])
		}
	}
}

// rrset writes a line for each record.
func (w *textWriter) rrset(set *rrset) {
	m := &w.message
	for i := set.first; i >= 0; i = m.rdatas[i].next {
		w.b = appendName(append(w.b, "  "...), set.owner.of(m.names), zoneForm)
		w.b = strconv.AppendUint(append(w.b, ' '), uint64(set.ttl), 10)
		w.b = appendClass(append(w.b, ' '), set.class)
		w.b = appendType(append(w.b, ' '), set.typ)
		w.b = append(w.b, ' ')
		w.rdata(set, m.rdatas[i].span)
		w.b = append(w.b, '\n')
	}
}

// rdata writes a record's data, as plain bytes where it has no better form.
func (w *textWriter) rdata(set *rrset, data span) {
	start := len(w.b)
	w.b, _ = appendRdata(w.b, w.message.wire, set, data, zoneForm)
	if len(w.b) == start {
		w.b = appendGeneric(w.b, data.of(w.message.wire))
	}
}
