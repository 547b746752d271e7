package nmsgjson

import "github.com/dnstap-pdns/dnstap-pdns/transform/dnstext"

// message is a DNS message.
type message struct {
	Header     header     `json:"header"`
	Question   []question `json:"question"`
	Answer     []rrset    `json:"answer"`
	Authority  []rrset    `json:"authority"`
	Additional []rrset    `json:"additional"`
}

type header struct {
	Opcode any      `json:"opcode"`
	Rcode  any      `json:"rcode"`
	ID     uint16   `json:"id"`
	Flags  []string `json:"flags"`
	OPT    *opt     `json:"opt,omitempty"`
}

type opt struct {
	EDNS struct {
		Version uint8    `json:"version"`
		Flags   []string `json:"flags"`
		UDP     uint16   `json:"udp"`
		Options []text   `json:"options"`
	} `json:"edns"`
}

type question struct {
	Name  text   `json:"qname"`
	Class string `json:"qclass"`
	Type  string `json:"qtype"`
}

type rrset struct {
	Name  text   `json:"rrname"`
	TTL   uint32 `json:"rrttl"`
	Class string `json:"rrclass"`
	Type  string `json:"rrtype"`
	Rdata []text `json:"rdata"`
}

// message returns a DNS message, or nil if it is malformed.
func (e *Encoder) message(wire []byte) *message {
	in := &e.dns
	if !in.Parse(wire) {
		return nil
	}
	e.messages = append(e.messages, message{
		Header: header{
			Opcode: named(dnstext.OpcodeMnemonic(in.Opcode()), in.Opcode()),
			Rcode:  named(dnstext.RcodeMnemonic(in.Rcode), in.Rcode),
			ID:     in.ID,
			Flags:  e.flags(),
			OPT:    e.opt(),
		},
	})
	m := &e.messages[len(e.messages)-1]
	first := len(e.questions)
	for _, q := range in.Questions {
		e.questions = append(e.questions, question{e.name(q.Name), dnstext.Class(q.Class), dnstext.Type(q.Type)})
	}
	m.Question = list(e.questions[first:])
	for i, section := range []*[]rrset{&m.Answer, &m.Authority, &m.Additional} {
		var ok bool
		if *section, ok = e.section(in.Sections[i]); !ok {
			return nil
		}
	}
	return m
}

// named returns a mnemonic, or the number of a value without one.
func named(mnemonic string, number uint16) any {
	if mnemonic == "" {
		return number
	}
	return mnemonic
}

func (e *Encoder) flags() []string {
	first := len(e.names)
	e.names = e.dns.AppendFlags(e.names)
	return list(e.names[first:])
}

var ednsFlags = []string{"do"}

func (e *Encoder) opt() *opt {
	in := &e.dns.EDNS
	if !in.Present {
		return nil
	}
	e.opts = append(e.opts, opt{})
	o := &e.opts[len(e.opts)-1]
	o.EDNS.Version, o.EDNS.UDP, o.EDNS.Flags = in.Version, in.UDPSize, ednsFlags[:0]
	if in.DO {
		o.EDNS.Flags = ednsFlags
	}
	first := len(e.texts)
	for rest := in.Options; len(rest) > 0; {
		var b []byte
		b, rest = dnstext.AppendOption(e.text, rest)
		e.texts = append(e.texts, e.textOf(b))
	}
	o.EDNS.Options = list(e.texts[first:])
	return o
}

// section returns the RRsets of a section, or false if rdata is malformed.
func (e *Encoder) section(in []dnstext.RRset) ([]rrset, bool) {
	start := len(e.rrsets)
	for i := range in {
		set, first := &in[i], len(e.texts)
		for r := range e.dns.Records(set) {
			b, ok := e.dns.AppendRdata(e.text, set, r, dnstext.WDNS)
			if !ok {
				return nil, false
			}
			e.texts = append(e.texts, e.textOf(b))
		}
		e.rrsets = append(e.rrsets, rrset{e.name(set.Owner), set.TTL, dnstext.Class(set.Class), dnstext.Type(set.Type), e.texts[first:]})
	}
	return list(e.rrsets[start:]), true
}
