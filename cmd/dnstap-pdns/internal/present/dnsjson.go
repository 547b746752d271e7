package present

// bits of the header's flags, in nmsgtool's order (RFC 1035 section 4.1.1,
// RFC 4035 section 3).
var headerFlags = [...]struct {
	bit  uint16
	name string
}{
	{1 << 15, "qr"}, {1 << 10, "aa"}, {1 << 9, "tc"}, {1 << 8, "rd"}, {1 << 7, "ra"}, {1 << 5, "ad"}, {1 << 4, "cd"},
}

var sectionNames = [...]string{"answer", "authority", "additional"}

const (
	opcodeShift = 11
	opcodeMask  = 0xf
	flagDO      = 1 << 15 // in the OPT record (RFC 3225 section 3)
)

// dns writes a DNS message as an object, or null where it is none.
func (w *writer) dns(wire []byte) {
	start := len(w.b)
	if w.message.parse(wire) && w.dnsObject() {
		return
	}
	w.b = append(w.b[:start], "null"...)
	w.comma = true
}

func (w *writer) dnsObject() bool {
	m := &w.message
	w.open('{')
	w.header()
	w.key("question")
	w.open('[')
	for i := range m.questions {
		w.question(&m.questions[i])
	}
	w.close(']')
	for i, name := range sectionNames {
		w.key(name)
		w.open('[')
		for j := range m.sections[i] {
			if !w.rrset(&m.sections[i][j]) {
				return false
			}
		}
		w.close(']')
	}
	w.close('}')
	return true
}

func (w *writer) header() {
	m := &w.message
	w.key("header")
	w.open('{')
	w.key("opcode")
	w.named(opcodeName(m.flags>>opcodeShift&opcodeMask), m.flags>>opcodeShift&opcodeMask)
	w.key("rcode")
	w.named(rcodeName(m.rcode), m.rcode)
	w.key("id")
	w.uint(uint64(m.id))
	w.key("flags")
	w.open('[')
	for _, flag := range headerFlags {
		if m.flags&flag.bit != 0 {
			w.next()
			w.string(flag.name)
		}
	}
	w.close(']')
	if m.edns.present {
		w.opt()
	}
	w.close('}')
}

// named writes a mnemonic, or the number of what has none.
func (w *writer) named(mnemonic string, number uint16) {
	if mnemonic == "" {
		w.uint(uint64(number))
		return
	}
	w.string(mnemonic)
}

func (w *writer) opt() {
	e := &w.message.edns
	w.key("opt")
	w.open('{')
	w.key("edns")
	w.open('{')
	w.key("version")
	w.uint(uint64(e.version))
	w.key("flags")
	w.open('[')
	if e.flags&flagDO != 0 {
		w.next()
		w.string("do")
	}
	w.close(']')
	w.key("udp")
	w.uint(uint64(e.udpSize))
	w.key("options")
	w.open('[')
	for rest := e.options.of(w.message.wire); len(rest) > 0; {
		w.text, rest = nextOption(w.text[:0], rest)
		w.next()
		w.b = appendString(w.b, w.text)
	}
	w.close(']')
	w.close('}')
	w.close('}')
}

func (w *writer) question(q *question) {
	w.next()
	w.open('{')
	w.key("qname")
	w.name(q.name.of(w.message.names))
	w.key("qclass")
	w.b = append(appendClass(append(w.b, '"'), q.class), '"')
	w.key("qtype")
	w.typ(q.typ)
	w.close('}')
}

func (w *writer) rrset(set *rrset) bool {
	m := &w.message
	w.next()
	w.open('{')
	w.key("rrname")
	w.name(set.owner.of(m.names))
	w.key("rrttl")
	w.uint(uint64(set.ttl))
	w.key("rrclass")
	w.b = append(appendClass(append(w.b, '"'), set.class), '"')
	w.key("rrtype")
	w.typ(set.typ)
	w.key("rdata")
	w.open('[')
	for i := set.first; i >= 0; i = m.rdatas[i].next {
		var ok bool
		w.text, ok = appendRdata(w.text[:0], m.wire, set, m.rdatas[i].span, wdnsForm)
		if !ok {
			return false
		}
		w.next()
		w.b = appendString(w.b, w.text)
	}
	w.close(']')
	w.close('}')
	return true
}
