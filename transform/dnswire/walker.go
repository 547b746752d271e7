package dnswire

import "encoding/binary"

// A Walker reads whole messages and checks them. Its zero value is ready; it is reused from
// message to message and borrows the message that it walked last. Its memory grows with the
// longest message. dnstext.Message, which is for printing, accepts more than a Walker.
type Walker struct {
	Msg []byte // the message; the caller may set it to nil to release it

	ID, Flags     uint16
	Questions     int
	HasQuestion   bool // the first question was read
	QnameEnd      int  // the query name is Msg[HeaderLen:QnameEnd]
	Qtype, Qclass uint16

	Records       []Record
	Counts        [3]int // records by section, as the header states
	End           int    // the offset after the last record
	OPT           int    // index of the OPT record in Records, or -1
	ExtendedRcode uint8  // upper bits of the rcode, RFC 6891 section 6.1.3
	Signed        bool   // by TSIG or SIG(0), or there is a TKEY record

	// Runs are the labels of all names, each label once.
	Runs []Run

	// PointsOutsideNames reports that a pointer points to anything but a label or root of a
	// name, or to a name whose letter case is treated otherwise. Then offsets must not move,
	// and octets must not change.
	PointsOutsideNames bool

	marks   []mark // by offset
	now     mark   // the generation of this message
	omitted [3]int // records by section
	outside bool   // of the name that was read last, as Run.Outside
}

// A Record is the position of a resource record in a message.
type Record struct {
	Owner, Rdata, End uint16
	Type, Class       uint16
	Section           uint8 // Answer, Authority or Additional
	Omitted           bool  // see Omit
}

// A Run is a row of labels up to a pointer or the root. Length octets are not letters, so a
// Run can be lowercased in place.
type Run struct {
	Start, End uint16 // End is the offset of the pointer or the root
	KeepCase   bool   // letter case is data
	Outside    bool   // continues, by a pointer, in octets that were not read as a name
}

// A mark is in Walker.marks for each offset at which a name, or the rest of a name, begins:
// its uncompressed length, whether its letter case is data, how many pointers follow, and
// the generation, which distinguishes the marks of this message from those of earlier ones.
type mark uint32

const (
	markLen        mark = 0xff
	markCase       mark = 1 << 8
	markHop        mark = 1 << 9
	markHops       mark = 0x7f << 9
	markGeneration mark = 1 << 16 // the lowest of its bits
)

// maxHops is the number of pointers in one name: as many as it can have labels.
const maxHops = 126

// Qname is the query name. It is uncompressed: only the header precedes it.
func (w *Walker) Qname() []byte { return w.Msg[HeaderLen:w.QnameEnd] }

// Walk reads a whole message and reports whether it is well formed. If it is not, ID and
// Flags are valid if msg has a header, and the question if HasQuestion. Octets after the last
// record are allowed.
func (w *Walker) Walk(msg []byte) bool {
	w.Msg = msg
	w.HasQuestion = false
	if len(msg) < HeaderLen {
		return false
	}
	w.ID = binary.BigEndian.Uint16(msg)
	w.Flags = binary.BigEndian.Uint16(msg[2:])
	if len(msg) > MaxMessage {
		return false
	}
	w.reset(len(msg))
	w.Questions = int(binary.BigEndian.Uint16(msg[4:]))
	off := HeaderLen
	for i := range w.Questions {
		if off = w.question(off, i == 0); off < 0 {
			return false
		}
	}
	for section := range w.Counts {
		w.Counts[section] = int(binary.BigEndian.Uint16(msg[6+2*section:]))
		for range w.Counts[section] {
			if off = w.record(off, uint8(section)); off < 0 {
				return false
			}
		}
	}
	w.End = off
	return true
}

func (w *Walker) reset(n int) {
	if n > len(w.marks) {
		w.marks = make([]mark, max(n, 512))
		w.now = 0
	}
	if w.now += markGeneration; w.now == 0 { // all generations have been used
		clear(w.marks)
		w.now = markGeneration
	}
	w.Runs = w.Runs[:0]
	w.Records = w.Records[:0]
	w.Counts = [3]int{}
	w.omitted = [3]int{}
	w.OPT = -1
	w.ExtendedRcode = 0
	w.Signed = false
	w.PointsOutsideNames = false
}

func (w *Walker) question(off int, first bool) int {
	off = w.name(off, false)
	if off < 0 || off+4 > len(w.Msg) {
		return -1
	}
	if first {
		w.HasQuestion = true
		w.QnameEnd = off
		w.Qtype = binary.BigEndian.Uint16(w.Msg[off:])
		w.Qclass = binary.BigEndian.Uint16(w.Msg[off+2:])
	}
	return off + 4
}

func (w *Walker) record(off int, section uint8) int {
	owner := off
	off = w.name(off, false)
	if off < 0 || off+FixedLen > len(w.Msg) {
		return -1
	}
	fixed := w.Msg[off : off+FixedLen]
	rdata := off + FixedLen
	end := rdata + int(binary.BigEndian.Uint16(fixed[8:]))
	if end > len(w.Msg) {
		return -1
	}
	typ := binary.BigEndian.Uint16(fixed)
	w.Records = append(w.Records, Record{uint16(owner), uint16(rdata), uint16(end), typ, binary.BigEndian.Uint16(fixed[2:]), section, false})
	switch typ {
	case typeOPT:
		if !w.option(owner, off, section, fixed[4]) {
			return -1
		}
	case typeTSIG, typeTKEY:
		w.Signed = true
	default:
		if !w.rdata(typ, rdata, end) {
			return -1
		}
	}
	return end
}

// option notes the OPT record, or returns false if it is the second or not in additional (RFC
// 6891 section 6.1.1). It removes the owner from the names that were read, so that a pointer to
// it sets PointsOutsideNames.
func (w *Walker) option(owner, ownerEnd int, section, extendedRcode uint8) bool {
	if w.OPT >= 0 || section != Additional {
		return false
	}
	w.OPT = len(w.Records) - 1
	w.ExtendedRcode = extendedRcode
	clear(w.marks[owner:ownerEnd])
	if n := len(w.Runs); n > 0 && int(w.Runs[n-1].Start) == owner {
		w.Runs = w.Runs[:n-1]
	}
	return true
}

// rdata checks rdata against its type, and reads the names in it.
func (w *Walker) rdata(typ uint16, off, end int) bool {
	switch typ { // most records are of these types
	case typeA:
		return end-off == 4
	case typeAAAA:
		return end-off == 16
	case typeNS, typeCNAME, typePTR:
		return w.name(off, false) == end
	case typeTXT:
		for off < end {
			off += 1 + int(w.Msg[off])
		}
		return off == end
	case typeSIG:
		if end-off >= 2 && binary.BigEndian.Uint16(w.Msg[off:]) == 0 {
			w.Signed = true // SIG(0), RFC 2931
		}
	}
	f := coarseOf(typ, w.Msg[off:end]).Fields(w.Msg, off, end)
	for f.Next() {
		if f.IsName() && w.name(f.Start, f.Kind == CasedName) != f.End {
			return false
		}
	}
	return !f.Malformed
}

// Fields returns the fields of a record's rdata in the coarse layout of a Walker, which has only
// the kinds Name, CasedName, String, IPv4, IPv6, IPv6Tail, HIPHeader, Params, Opaque, Random,
// and numbers of octets.
func (w *Walker) Fields(r *Record) Fields {
	return coarseOf(r.Type, w.Msg[r.Rdata:r.End]).Fields(w.Msg, int(r.Rdata), int(r.End))
}

// name reads the name at off, marks it, and returns the offset after it, or -1 if it is
// malformed. keepCase states that its letter case is data.
func (w *Walker) name(off int, keepCase bool) int {
	w.outside = false
	stop, end := w.labels(off, keepCase, 0)
	if end >= 0 && (stop > off || w.outside) {
		w.Runs = append(w.Runs, Run{uint16(off), uint16(stop), keepCase, w.outside})
	}
	return end
}

// labels parses labels from start up to the root or a pointer, and marks them. stop is the
// offset of that root or pointer, end the offset after it, or -1 if the name is malformed. hops
// counts the pointers followed so far.
func (w *Walker) labels(start int, keepCase bool, hops int) (stop, end int) {
	msg := w.Msg
	for off := start; off < len(msg); {
		c := int(msg[off])
		switch {
		case c == 0:
			return off, w.markName(start, off, off+1, w.now|1, keepCase)
		case c < 64:
			off += 1 + c
		case c >= 0xc0 && off+1 < len(msg):
			m := w.pointer((c&0x3f)<<8|int(msg[off+1]), start, keepCase, hops+1)
			if m == 0 {
				return off, -1
			}
			return off, w.markName(start, off, off+2, m, keepCase)
		default:
			return off, -1
		}
	}
	return start, -1
}

// markName marks the labels from start to stop, and stop itself: there is the root or pointer,
// whose mark is rest. It returns end, or -1 if the name is too long.
func (w *Walker) markName(start, stop, end int, rest mark, keepCase bool) int {
	total := stop - start + int(rest&markLen)
	if total > MaxName {
		return -1
	}
	what := rest &^ (markLen | markCase)
	if keepCase {
		what |= markCase
	}
	w.marks[stop] = rest&markLen | what
	for off := start; off < stop; off += 1 + int(w.Msg[off]) {
		w.marks[off] = mark(total-(off-start)) | what
	}
	return end
}

// pointer returns the mark of a pointer to target in the label run that begins at start, or 0
// if it is malformed. It reads the target as a name if no name has a label there. A pointer
// points strictly backwards (RFC 1035 section 4.1.4: a prior occurrence), so every chain ends.
func (w *Walker) pointer(target, start int, keepCase bool, hops int) mark {
	if target < HeaderLen || target >= start || hops > maxHops {
		return 0
	}
	if w.marks[target]&^(markGeneration-1) != w.now {
		w.PointsOutsideNames, w.outside = true, true
		if _, end := w.labels(target, keepCase, hops); end < 0 {
			return 0
		}
	}
	m := w.marks[target]
	if keepCase != (m&markCase != 0) {
		w.PointsOutsideNames = true // one label would need two letter cases
	}
	if m&markHops >= maxHops*markHop {
		return 0
	}
	return m + markHop
}

// Expand appends the uncompressed name at off, which Walk has found well formed.
func (w *Walker) Expand(b []byte, off int) []byte {
	b, _, _ = ExpandName(b, w.Msg, off)
	return b
}

// IsRoot reports whether the name at off is the root, or a pointer to it.
func (w *Walker) IsRoot(off int) bool { return w.marks[off]&markLen == 1 }

// Continuation returns the octets at the target of the pointer that ends a Run; nil if the root ends
// it.
func (w *Walker) Continuation(r Run) []byte {
	if w.Msg[r.End] == 0 {
		return nil
	}
	return w.Msg[int(w.Msg[r.End]&0x3f)<<8|int(w.Msg[r.End+1]):]
}

// RRsetType is the type of the RRset that a record belongs to: a signature belongs to the
// RRset that it covers (RFC 4034 section 3.1.1).
func (w *Walker) RRsetType(r *Record) uint16 {
	if (r.Type == typeRRSIG || r.Type == typeSIG) && r.End-r.Rdata >= 2 {
		return binary.BigEndian.Uint16(w.Msg[r.Rdata:])
	}
	return r.Type
}

// SameRRset reports whether the records with these indexes have the same section, owner and
// type, as Covered returns it. It does not compare their classes.
func (w *Walker) SameRRset(i, j int) bool {
	a, b := &w.Records[i], &w.Records[j]
	if a.Section != b.Section || w.RRsetType(a) != w.RRsetType(b) {
		return false
	}
	if a.Owner == b.Owner {
		return true
	}
	var left, right [MaxName + 1]byte
	return EqualFold(w.Expand(left[:0], int(a.Owner)), w.Expand(right[:0], int(b.Owner)))
}

// Omit marks the record with this index as omitted from copies of the message.
func (w *Walker) Omit(i int) {
	if r := &w.Records[i]; !r.Omitted {
		r.Omitted = true
		w.omitted[r.Section]++
	}
}

// HasOmitted reports whether a record was omitted.
func (w *Walker) HasOmitted() bool { return w.omitted != [3]int{} }

// RemainingCount returns the number of records of a section without the OPT record and the omitted
// records.
func (w *Walker) RemainingCount(section int) int {
	n := w.Counts[section] - w.omitted[section]
	if section == Additional && w.OPT >= 0 {
		n--
	}
	return n
}
