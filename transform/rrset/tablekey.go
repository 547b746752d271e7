package rrset

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"math"
	"slices"

	"github.com/dnstap-pdns/dnstap-pdns/transform/dnswire"
)

// A key is the identity of an RRset in a table, and all of its data but the TTL. RRsets that
// differ only in the order of their rdata have the same key:
//
//	type 2 | class 2 | length of name 1 | offset of bailiwick in name 1 | name | rdata ...
//
// Each rdata is its length 2 and its octets. They are sorted as wdns_sort_rrset does: shorter
// first, then by octets.
type key []byte

const keyFixed = 6 // octets before the name

// setKey sets t.key to the key of an RRset, which may be malformed in other respects.
func (t *Table) setKey(set *RRset) error {
	if len(set.Name) > dnswire.MaxName || len(set.Bailiwick) == 0 || !bytes.HasSuffix(set.Name, set.Bailiwick) || len(set.Rdata) == 0 {
		return ErrMalformed
	}
	size := keyFixed + len(set.Name)
	for _, r := range set.Rdata {
		if len(r) > math.MaxUint16 {
			return ErrMalformed
		}
		if size += 2 + len(r); size > t.entries.maxKey() {
			return ErrTooBig
		}
	}
	t.sorted = append(t.sorted[:0], set.Rdata...)
	slices.SortFunc(t.sorted, compareRdata)
	t.key = appendKey(t.key[:0], set, t.sorted)
	clear(t.sorted) // they are borrowed
	return nil
}

func compareRdata(a, b []byte) int {
	return cmp.Or(cmp.Compare(len(a), len(b)), bytes.Compare(a, b))
}

// appendKey appends the key of an RRset whose rdata is sorted. It omits repetitions.
func appendKey(k key, set *RRset, sorted [][]byte) key {
	k = binary.BigEndian.AppendUint16(k, set.Type)
	k = binary.BigEndian.AppendUint16(k, set.Class)
	k = append(k, byte(len(set.Name)), byte(len(set.Name)-len(set.Bailiwick)))
	k = append(k, set.Name...)
	for i, r := range sorted {
		if i > 0 && bytes.Equal(r, sorted[i-1]) {
			continue
		}
		k = append(binary.BigEndian.AppendUint16(k, uint16(len(r))), r...)
	}
	return k
}

// read sets every field of an RRset that a key has. They borrow the key.
func (k key) read(set *RRset) {
	set.Type, set.Class = binary.BigEndian.Uint16(k), binary.BigEndian.Uint16(k[2:])
	rdata := k[keyFixed+int(k[4]):]
	set.Name = k[keyFixed : len(k)-len(rdata)]
	set.Bailiwick = set.Name[k[5]:]
	set.Rdata = set.Rdata[:0]
	for len(rdata) > 0 {
		end := 2 + int(binary.BigEndian.Uint16(rdata))
		set.Rdata = append(set.Rdata, rdata[2:end])
		rdata = rdata[end:]
	}
}

// isValid reports whether setKey can have made the key, for keys that were read.
func (k key) isValid() bool {
	if len(k) < keyFixed || len(k) <= keyFixed+int(k[4]) || k[5] >= k[4] {
		return false
	}
	before := []byte(nil)
	for rdata := k[keyFixed+int(k[4]):]; len(rdata) > 0; {
		if len(rdata) < 2 || len(rdata) < 2+int(binary.BigEndian.Uint16(rdata)) {
			return false
		}
		r := rdata[2 : 2+binary.BigEndian.Uint16(rdata)]
		if before != nil && compareRdata(before, r) >= 0 {
			return false
		}
		before, rdata = r, rdata[2+len(r):]
	}
	return true
}

// isWellFormed reports whether the owner, the bailiwick and the names in rdata are valid names.
// Readers of databases require that: dnstable_convert ends at the first name that is not valid.
func (set *RRset) isWellFormed() bool {
	if !dnswire.IsName(set.Name) || !isAtLabel(set.Name, len(set.Name)-len(set.Bailiwick)) {
		return false
	}
	layout, _ := dnswire.Presentation(set.Type)
	if layout == "" {
		return true
	}
	return !slices.ContainsFunc(set.Rdata, func(r []byte) bool { return hasInvalidName(layout, r) })
}

func hasInvalidName(l dnswire.Layout, rdata []byte) bool {
	fields, named := l.Fields(rdata, 0, len(rdata)), false
	for fields.HasOctets() && fields.Next() {
		if !fields.IsName() {
			continue
		}
		if named = true; !dnswire.IsName(rdata[fields.Start:fields.End]) {
			return true
		}
	}
	return fields.Malformed && (named || fields.IsName())
}

// isAtLabel reports whether a label of a valid name, or the root, begins at the offset.
func isAtLabel(name []byte, offset int) bool {
	at := 0
	for at < offset {
		at += 1 + int(name[at])
	}
	return at == offset
}
