package present

import (
	"encoding/binary"
	"encoding/hex"
	"strconv"
	"time"

	"github.com/dnstap-pdns/dnstap-pdns/forward/nmsg"
)

// Message types of vendor base (nmsg's nmsg/base/defs.h).
const (
	typeDNSQR  = nmsg.NumberDNSQR
	typeDNSTap = nmsg.NumberDNSTap
	typeDNSObs = nmsg.NumberDNSObs
)

// AppendJSON appends one line for the message, newline included. A message of a
// type that the package does not know becomes a line with the numbers of vendor
// and type and the data in base64. On an error, a message that is not what its
// type says, b is returned as it was.
func AppendJSON(b []byte, m nmsg.Message) ([]byte, error) {
	var w writer
	return w.line(b, m)
}

func (w *writer) line(b []byte, m nmsg.Message) ([]byte, error) {
	vendor, name := names(m.Vendor, m.Type)
	w.b = b
	w.open('{')
	w.key("time")
	w.b = append(appendTime(append(w.b, '"'), m.Sec, m.Nsec), '"')
	w.key("vname")
	w.string(vendor)
	w.key("mname")
	w.string(name)
	if m.Source != 0 {
		w.key("source")
		w.b = append(appendSource(append(w.b, '"'), m.Source), '"')
	}
	if m.Operator != 0 {
		w.key("operator")
		w.uint(uint64(m.Operator))
	}
	if m.Group != 0 {
		w.key("group")
		w.uint(uint64(m.Group))
	}
	if err := w.payload(m); err != nil {
		return b, err
	}
	w.close('}')
	return append(w.b, '\n'), nil
}

func (w *writer) payload(m nmsg.Message) (err error) {
	kind, known := kindOf(m)
	if !known {
		w.key("vid")
		w.uint(uint64(m.Vendor))
		w.key("msgtype")
		w.uint(uint64(m.Type))
		w.key("payload")
		w.base64(m.Data)
		return nil
	}
	w.key("message")
	w.open('{')
	switch kind {
	case typeDNSQR:
		err = w.dnsqr(m.Data)
	case typeDNSTap:
		err = w.dnstap(m.Data)
	case typeDNSObs:
		err = w.dnsobs(m.Data)
	}
	w.close('}')
	return err
}

// kindOf returns the type of a message that the package knows.
func kindOf(m nmsg.Message) (kind uint32, known bool) {
	if m.Vendor != nmsg.VendorBase {
		return 0, false
	}
	return m.Type, m.Type == typeDNSQR || m.Type == typeDNSTap || m.Type == typeDNSObs
}

const unknown = "(unknown)"

// names returns the names of a vendor and its message type.
func names(vendor, typ uint32) (vname, mname string) {
	m := nmsg.Message{Vendor: vendor, Type: typ}
	if vname, mname, ok := m.Name(); ok {
		return vname, mname
	}
	switch vendor {
	case nmsg.VendorSIE:
		return "SIE", unknown
	case nmsg.VendorBase:
		return "base", unknown
	}
	return unknown, unknown
}

// appendTime appends date and time in UTC with nine decimals. Years have four
// digits, whatever a broken payload says.
func appendTime(b []byte, sec int64, nsec uint32) []byte {
	t := time.Unix(sec, 0).UTC()
	year := t.Year() % 10000
	if year < 0 {
		year = -year
	}
	b = appendPadded(b, uint64(year), 4)
	b = t.AppendFormat(b, "-01-02 15:04:05.")
	return appendPadded(b, uint64(nsec%1e9), 9)
}

func appendPadded(b []byte, v uint64, width int) []byte {
	for digits := strconv.FormatUint(v, 10); width > 0; width-- {
		if width <= len(digits) {
			return append(b, digits...)
		}
		b = append(b, '0')
	}
	return b
}

// appendSource appends a source id as nmsgtool writes it, in eight hex digits.
func appendSource(b []byte, id uint32) []byte {
	var raw [4]byte
	binary.BigEndian.PutUint32(raw[:], id)
	return hex.AppendEncode(b, raw[:])
}
