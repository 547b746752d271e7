package explain

import (
	"bytes"
	"fmt"
	"maps"
	"slices"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/dnstap-pdns/dnstap-pdns/cmd/dnstap-pdns/internal/canary"
)

// Fields of dnstap.proto. Records are made from message and type of a frame, and from the fields
// of a message up to lastOfMessage. This file has its own parser, because package collector reads
// identity and version only to show them with the connection, and skips the other fields.
const (
	dnstapMessage protowire.Number = 14
	dnstapType    protowire.Number = 15
	lastOfMessage protowire.Number = 14
)

// Names of the fields that are never copied.
var (
	dnstapFields  = map[protowire.Number]string{1: "identity", 2: "version", 3: "extra"}
	messageFields = map[protowire.Number]string{15: "policy", 16: "http_protocol"}
)

// Bounds of the values of those fields that are kept.
const (
	maxValues    = 16 // of one field
	maxFields    = 16
	longestValue = 255 // octets
)

// uncopied is the values of the fields that are never copied, by name of the field.
type uncopied map[string]*field

type field struct {
	values []value
	more   bool // there were more than maxValues
}

type value struct {
	octets []byte
	frames uint64
}

// addFrame counts the values of those fields of a dnstap frame that are never copied, and searches
// the output for them from now on. A damaged frame is read up to the damage.
func (e *Explainer) addFrame(frame []byte) {
	eachField(frame, func(n protowire.Number, octets []byte) {
		switch n {
		case dnstapType:
		case dnstapMessage:
			eachField(octets, func(n protowire.Number, octets []byte) {
				if n > lastOfMessage {
					e.addUncopied("message."+nameOf(n, messageFields), octets)
				}
			})
		default:
			e.addUncopied(nameOf(n, dnstapFields), octets)
		}
	})
}

func nameOf(n protowire.Number, names map[protowire.Number]string) string {
	if name, ok := names[n]; ok {
		return name
	}
	return fmt.Sprintf("field %d", n)
}

func (e *Explainer) addUncopied(name string, octets []byte) {
	f := e.uncopied[name]
	if f == nil {
		if len(e.uncopied) == maxFields {
			return
		}
		f = &field{}
		e.uncopied[name] = f
	}
	octets = octets[:min(len(octets), longestValue)]
	i := slices.IndexFunc(f.values, func(v value) bool { return bytes.Equal(v.octets, octets) })
	switch {
	case i >= 0:
		f.values[i].frames++
	case len(f.values) == maxValues:
		f.more = true
	default:
		f.values = append(f.values, value{bytes.Clone(octets), 1})
		e.search.add(canary.OfText(string(octets)), never, asASCII(string(octets)))
	}
}

// neverCopied returns the values of fields that are never copied, and how often each was found in
// the output.
func (e *Explainer) neverCopied() []Uncopied {
	all := []Uncopied{}
	for _, name := range slices.Sorted(maps.Keys(e.uncopied)) {
		f := e.uncopied[name]
		for _, v := range f.values {
			u := Uncopied{Field: name, Value: octets(v.octets), Frames: v.frames, Findings: []Finding{}}
			if w := e.search.find(string(v.octets)); w != nil {
				u.Searched, u.Found, u.Findings = w.Searchable(), w.found, sorted(w.findings)
			}
			all = append(all, u)
		}
		if f.more {
			all = append(all, Uncopied{Field: name, Value: "other values too", Findings: []Finding{}})
		}
	}
	return all
}

// eachField calls f for each field of a protobuf message, and reports whether the message is well
// formed. value is the contents of a length-delimited field, or the encoding of another field.
func eachField(b []byte, f func(n protowire.Number, value []byte)) bool {
	for len(b) > 0 {
		n, typ, size := protowire.ConsumeTag(b)
		if size < 0 {
			return false
		}
		b = b[size:]
		var value []byte
		if typ == protowire.BytesType {
			value, size = protowire.ConsumeBytes(b)
		} else {
			size = protowire.ConsumeFieldValue(n, typ, b)
			value = b[:max(size, 0)]
		}
		if size < 0 {
			return false
		}
		f(n, value)
		b = b[size:]
	}
	return true
}
