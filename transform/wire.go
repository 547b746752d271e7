package transform

import (
	"encoding/binary"

	"github.com/miekg/dns"
)

const (
	headerLen  = 12
	maxName    = 255   // RFC 1035 section 2.3.4, octets in wire form with the root
	maxMessage = 65535 // RFC 1035 section 4.2.2
	maxHops    = 126   // pointers in one name: as many as it can have labels

	flagQR = 1 << 15
	flagTC = 1 << 9
	flagRD = 1 << 8
	flagZ  = 1 << 6
	flagAD = 1 << 5
	flagCD = 1 << 4

	maskOpcode = 0xf << 11
	maskRcode  = 0xf
)

// A mark is in walker.marks for each offset where a name, or the rest of one, begins:
// its uncompressed length, whether its letter case is data, how many pointers follow,
// and the generation, which distinguishes the marks of this message from those of earlier ones.
type mark uint32

const (
	markLen        mark = 0xff
	markCase       mark = 1 << 8
	markHop        mark = 1 << 9
	markHops       mark = 0x7f << 9
	markGeneration mark = 1 << 16 // the first of its bits
)

// A run is a stretch of labels that stand in the message itself, up to a pointer
// or the root. No length octet is a letter, so a run is lowercased as it lies.
type run struct {
	start, end uint16
	keepCase   bool
	astray     bool // goes on in what no run holds
}

// An rr is where a resource record lies.
type rr struct {
	owner, rdata, end uint16
	typ, class        uint16
	section           uint8 // answer, authority, additional
	removed           bool  // it must not leave
}

const (
	answer = iota
	authority
	additional
)

// walker is the one reader of DNS wire format (RFC 1035 section 4.1). It is
// reused from message to message and borrows the message that it walked last.
type walker struct {
	msg   []byte
	marks []mark // by offset
	now   mark   // the generation of this message
	runs  []run
	rrs   []rr

	id, flags          uint16
	questions          int
	asked              bool // the first question could be read
	qnameEnd           int  // the query name is msg[headerLen:qnameEnd]
	qtype, qclass      uint16
	counts             [3]int // records by section, as the header says
	removed            [3]int // of those, the ones that must not leave
	end                int    // behind the last record
	opt                int    // index of the OPT record in rrs, or -1
	extendedRcode      uint8
	signed             bool // TSIG, TKEY or SIG(0)
	pointsOutsideNames bool // a pointer leads into anything but a name: offsets must not move, bytes must not change
	astray             bool // as of the name that was read last
}

// qname is the query name as it stands in the message; it cannot be compressed,
// since nothing stands before it.
func (w *walker) qname() []byte { return w.msg[headerLen:w.qnameEnd] }

// walk reads a whole message and reports whether it is well formed. Where it is
// not, id and flags are good if the header was there, and the first question if
// asked says so.
func (w *walker) walk(msg []byte) bool {
	w.msg = msg
	w.asked = false
	if len(msg) < headerLen {
		return false
	}
	w.id = binary.BigEndian.Uint16(msg)
	w.flags = binary.BigEndian.Uint16(msg[2:])
	if len(msg) > maxMessage {
		return false
	}
	w.reset(len(msg))
	w.questions = int(binary.BigEndian.Uint16(msg[4:]))
	off := headerLen
	for i := range w.questions {
		if off = w.question(off, i == 0); off < 0 {
			return false
		}
	}
	for section := range w.counts {
		w.counts[section] = int(binary.BigEndian.Uint16(msg[6+2*section:]))
		for range w.counts[section] {
			if off = w.record(off, uint8(section)); off < 0 {
				return false
			}
		}
	}
	w.end = off
	return true
}

func (w *walker) reset(n int) {
	if n > len(w.marks) {
		w.marks = make([]mark, max(n, 512))
		w.now = 0
	}
	if w.now += markGeneration; w.now == 0 { // all generations have been used
		clear(w.marks)
		w.now = markGeneration
	}
	w.runs = w.runs[:0]
	w.rrs = w.rrs[:0]
	w.counts = [3]int{}
	w.removed = [3]int{}
	w.opt = -1
	w.extendedRcode = 0
	w.signed = false
	w.pointsOutsideNames = false
}

func (w *walker) question(off int, first bool) int {
	off = w.name(off, false)
	if off < 0 || off+4 > len(w.msg) {
		return -1
	}
	if first {
		w.asked = true
		w.qnameEnd = off
		w.qtype = binary.BigEndian.Uint16(w.msg[off:])
		w.qclass = binary.BigEndian.Uint16(w.msg[off+2:])
	}
	return off + 4
}

func (w *walker) record(off int, section uint8) int {
	owner := off
	off = w.name(off, false)
	if off < 0 || off+10 > len(w.msg) {
		return -1
	}
	fixed := w.msg[off : off+10]
	rdata := off + 10
	end := rdata + int(binary.BigEndian.Uint16(fixed[8:]))
	if end > len(w.msg) {
		return -1
	}
	r := rr{uint16(owner), uint16(rdata), uint16(end), binary.BigEndian.Uint16(fixed), binary.BigEndian.Uint16(fixed[2:]), section, false}
	w.rrs = append(w.rrs, r)
	switch r.typ {
	case typeOPT:
		if !w.option(r, off, fixed[4]) {
			return -1
		}
	case typeTSIG, typeTKEY:
		w.signed = true
	default:
		if !w.rdata(r) {
			return -1
		}
	}
	return end
}

// option notes the OPT record (RFC 6891 section 6.1.1: one, in additional). It
// will go, so nothing may count on a name inside it.
func (w *walker) option(r rr, ownerEnd int, extendedRcode uint8) bool {
	if w.opt >= 0 || r.section != additional {
		return false
	}
	w.opt = len(w.rrs) - 1
	w.extendedRcode = extendedRcode
	clear(w.marks[r.owner:ownerEnd])
	if n := len(w.runs); n > 0 && w.runs[n-1].start == r.owner {
		w.runs = w.runs[:n-1]
	}
	return true
}

// name reads the name at off, marks it, and returns the offset behind it, or -1.
func (w *walker) name(off int, keepCase bool) int {
	w.astray = false
	stop, end := w.labels(off, keepCase, 0)
	if end >= 0 && (stop > off || w.astray) {
		w.runs = append(w.runs, run{uint16(off), uint16(stop), keepCase, w.astray})
	}
	return end
}

// labels reads labels up to the root or a pointer at stop, behind which is end,
// and marks them; end is -1 where they are no name. So many pointers led here.
func (w *walker) labels(start int, keepCase bool, hops int) (stop, end int) {
	msg := w.msg
	for off := start; off < len(msg); {
		c := int(msg[off])
		switch {
		case c == 0:
			return off, w.named(start, off, off+1, w.now|1, keepCase)
		case c < 64:
			off += 1 + c
		case c >= 0xc0 && off+1 < len(msg):
			m := w.pointer((c&0x3f)<<8|int(msg[off+1]), start, keepCase, hops+1)
			if m == 0 {
				return off, -1
			}
			return off, w.named(start, off, off+2, m, keepCase)
		default:
			return off, -1
		}
	}
	return start, -1
}

// named marks the labels from start to where the rest of the name, of which rest
// tells, begins; end is behind the name.
func (w *walker) named(start, stop, end int, rest mark, keepCase bool) int {
	total := stop - start + int(rest&markLen)
	if total > maxName {
		return -1
	}
	what := rest &^ (markLen | markCase)
	if keepCase {
		what |= markCase
	}
	w.marks[stop] = rest&markLen | what
	for off := start; off < stop; off += 1 + int(w.msg[off]) {
		w.marks[off] = mark(total-(off-start)) | what
	}
	return end
}

// pointer follows a pointer in a name that begins at start, and returns the mark
// of what it leads to, or 0. A pointer goes strictly back (RFC 1035 section
// 4.1.4: a prior occurrence), so every chain ends.
func (w *walker) pointer(target, start int, keepCase bool, hops int) mark {
	if target < headerLen || target >= start || hops > maxHops {
		return 0
	}
	if w.marks[target]&^(markGeneration-1) != w.now {
		w.pointsOutsideNames, w.astray = true, true
		if _, end := w.labels(target, keepCase, hops); end < 0 {
			return 0
		}
	}
	m := w.marks[target]
	if keepCase != (m&markCase != 0) {
		w.pointsOutsideNames = true // one and the same label would need two letter cases
	}
	if m&markHops >= maxHops*markHop {
		return 0
	}
	return m + markHop
}

// expand appends the uncompressed name at off, which the walk has found good.
func (w *walker) expand(b []byte, off int) []byte {
	for {
		c := int(w.msg[off])
		switch {
		case c == 0:
			return append(b, 0)
		case c < 64:
			b = append(b, w.msg[off:off+1+c]...)
			off += 1 + c
		default:
			off = (c&0x3f)<<8 | int(w.msg[off+1])
		}
	}
}

// remove marks a record as one that must not leave, if so.
func (w *walker) remove(i int, so bool) {
	if r := &w.rrs[i]; so && !r.removed {
		r.removed = true
		w.removed[r.section]++
	}
}

// removes reports whether a record must not leave.
func (w *walker) removes() bool { return w.removed != [3]int{} }

// leaving returns how many records of a section leave: not the OPT record, nor what remove
// marked.
func (w *walker) leaving(section int) int {
	n := w.counts[section] - w.removed[section]
	if section == additional && w.opt >= 0 {
		n--
	}
	return n
}

// sameSet reports whether two records belong to one RRset, a signature to the RRset
// that it covers.
func (w *walker) sameSet(i, j int) bool {
	a, b := &w.rrs[i], &w.rrs[j]
	if a.section != b.section || covered(w, a) != covered(w, b) {
		return false
	}
	if a.owner == b.owner {
		return true
	}
	var left, right [maxName + 1]byte
	return equalFold(w.expand(left[:0], int(a.owner)), w.expand(right[:0], int(b.owner)))
}

// hasRootSOA reports whether the authority section holds the SOA record of the root.
func (w *walker) hasRootSOA() bool {
	for _, r := range w.rrs {
		if r.section == authority && r.typ == dns.TypeSOA && w.marks[r.owner]&markLen == 1 {
			return true
		}
	}
	return false
}
